"""What was sent, by its media type: JSON or XML, R4 or R5."""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from fhir_ecg.fhir.outcome import MalformedError, Problem, UnprocessableError
from fhir_ecg.fhir.parameters import resource_and_values
from fhir_ecg.fhir.parsing import check_observation, check_resource, parse_json
from fhir_ecg.fhir.release import Release, detect_release
from fhir_ecg.fhir.xml_form import parse_xml


@dataclass(frozen=True)
class Form:
    """How a resource is written down."""

    syntax: Literal["json", "xml"] = "json"
    release: Release | None = None
    """None where the sender did not declare one: it is told by the fields."""
    parameter: str | None = None
    """Of what may stand in a Parameters resource, the parameter that holds it."""

    @property
    def media_type(self) -> str:
        """The form as a MIME type."""
        version = f"; fhirVersion={self.release}" if self.release else ""
        return f"application/fhir+{self.syntax}{version}"

    def with_release(self, release: Release) -> Self:
        """The same form of a known release."""
        return replace(self, release=release)


def read_document(body: bytes, form: Form) -> dict[str, Any]:
    """Parse bytes into the JSON form of a resource.

    Raises:
        MalformedError: They are no resource in that syntax.
    """
    if form.syntax == "json":
        return parse_json(body)
    try:
        return parse_xml(body, form.release)
    except MalformedError as error:
        # What is no XML at all has a line, but no element.
        raise MalformedError(*(replace(p, expression=p.expression or "Observation") for p in error.problems)) from error


def read_observation(body: bytes, form: Form) -> tuple[dict[str, Any], Form]:
    """Parse and check an Observation; the form comes back with its release, and a parameter only if one holds it.

    Raises:
        MalformedError: The bytes are no Observation in that syntax.
        UnprocessableError: An element breaks its release's rules, or releases are mixed.
    """
    observation = read_document(body, form)
    if form.parameter and observation.get("resourceType") == "Parameters":
        observation = _held(observation, form.parameter)
    else:
        form = replace(form, parameter=None)
    release = check_release(observation, form)
    return observation, form.with_release(release)


def read_resource(body: bytes, form: Form, kind: str) -> dict[str, Any]:
    """Parse and check a resource of R4 that is no Observation.

    Raises:
        MalformedError: The bytes are no resource of that type in that syntax.
        UnprocessableError: An element breaks R4's rules, or another release is declared.
    """
    if form.release is Release.R5:
        raise UnprocessableError(
            Problem("structure", f"A {kind} is read here in R4's form; send fhirVersion=4.0.", kind)
        )
    try:
        resource = read_document(body, form.with_release(Release.R4))
    except MalformedError as error:  # what cannot be parsed is taken for an Observation there
        problems = [replace(p, expression=kind) if p.expression == "Observation" else p for p in error.problems]
        raise MalformedError(*problems) from error
    check_resource(resource, kind)
    return resource


def _held(document: dict[str, Any], parameter: str) -> dict[str, Any]:
    resource = resource_and_values(document, parameter).resource
    if resource is None:
        text = f"There is no parameter {parameter}; it holds the Observation."
        raise MalformedError(Problem("required", text, "Parameters.parameter"))
    return resource


def check_release(observation: dict[str, Any], form: Form) -> Release:
    """Tell an Observation's release and check it against that.

    Raises:
        MalformedError: It is another resource.
        UnprocessableError: An element breaks its release's rules, or releases are mixed.
    """
    release = detect_release(observation, form.release)
    check_observation(observation, release)
    return release

"""What was sent, by its media type: JSON or XML, R4 or R5."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from fhir_ecg.fhir.outcome import MalformedError, Problem, RefusedError, UnprocessableError
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
    root: str = "Observation"
    """FHIRPath of the Observation in what was sent."""

    @property
    def media_type(self) -> str:
        """The form as a MIME type."""
        version = f"; fhirVersion={self.release}" if self.release else ""
        return f"application/fhir+{self.syntax}{version}"

    def with_release(self, release: Release) -> Self:
        """The same form of a known release."""
        return replace(self, release=release)


def read_document(body: bytes, form: Form, expected: str | None = "Observation") -> dict[str, Any]:
    """Parse bytes into the JSON form of a resource.

    Args:
        body: The bytes.
        form: Their form.
        expected: The type that belongs here: what is no JSON or XML at all has a line, but no element of its own.

    Raises:
        MalformedError: They are no resource in that syntax.
    """
    if form.syntax == "json":
        return parse_json(body, expected)
    try:
        return parse_xml(body, form.release)
    except MalformedError as error:
        raise MalformedError(*(replace(p, expression=p.expression or expected) for p in error.problems)) from error


def read_observation(body: bytes, form: Form) -> tuple[dict[str, Any], Form]:
    """Parse and check an Observation; the form comes back with its release, its root, and a parameter if one holds it.

    Raises:
        MalformedError: The bytes are no Observation in that syntax.
        UnprocessableError: An element breaks its release's rules, or releases are mixed.
    """
    observation = read_document(body, form, None if form.parameter else "Observation")
    if form.parameter and observation.get("resourceType") == "Parameters":
        observation, root = _held(observation, form.parameter)
        form = replace(form, root=root)
    else:
        form = replace(form, parameter=None)
    with rooted(form.root):
        release = check_release(observation, form)
    return observation, form.with_release(release)


@contextmanager
def rooted(root: str) -> Iterator[None]:
    """Let the problems of an Observation say where in what was sent they are."""
    try:
        yield
    except RefusedError as error:
        raise type(error)(*(_rooted(problem, root) for problem in error.problems)) from error


def _rooted(problem: Problem, root: str) -> Problem:
    expression = problem.expression or ""
    if not expression.startswith("Observation"):
        return problem
    return replace(problem, expression=root + expression.removeprefix("Observation"))


def read_resource(body: bytes, form: Form, kind: str) -> dict[str, Any]:
    """Parse and check a resource of R4 that is no Observation.

    Raises:
        MalformedError: The bytes are no resource of that type in that syntax.
        UnprocessableError: An element breaks R4's rules, or another release is declared.
    """
    _require_r4(form, kind)
    resource = read_document(body, form.with_release(Release.R4), kind)
    check_resource(resource, kind)
    return resource


def check_r4_resource(resource: dict[str, Any], form: Form, kind: str) -> None:
    """Check a resource that was parsed as a part of another, as `read_resource` does.

    Raises:
        MalformedError: It is of another type.
        UnprocessableError: An element breaks R4's rules, or another release is declared.
    """
    _require_r4(form, kind)
    check_resource(resource, kind)


def _require_r4(form: Form, kind: str) -> None:
    if form.release is Release.R5:
        text = f"A {kind} is read here in R4's form; send fhirVersion=4.0."
        raise UnprocessableError(Problem("structure", text, kind))


def _held(document: dict[str, Any], parameter: str) -> tuple[dict[str, Any], str]:
    """Give the resource in a parameter, and its FHIRPath."""
    given = resource_and_values(document, parameter)
    if given.resource is None:
        text = f"There is no parameter {parameter}; it holds the Observation."
        raise MalformedError(Problem("required", text, "Parameters.parameter"))
    return given.resource, given.place


def check_release(observation: dict[str, Any], form: Form) -> Release:
    """Tell an Observation's release and check it against that.

    Raises:
        MalformedError: It is another resource.
        UnprocessableError: An element breaks its release's rules, or releases are mixed.
    """
    release = detect_release(observation, form.release)
    check_observation(observation, release)
    return release

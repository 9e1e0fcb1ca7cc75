"""Saying what would become of an Observation, without storing anything."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fhir_ecg.ecg.quality import CLASSIFIED_SECONDS, quality_findings, quality_warnings
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.fhir.document import Form, check_release, read_document, rooted
from fhir_ecg.fhir.ecg_observation import Sent, read_joined
from fhir_ecg.fhir.outcome import MalformedError, Problem, RefusedError
from fhir_ecg.fhir.parameters import resource_and_values
from fhir_ecg.fhir.plausibility import check_plausibility
from fhir_ecg.fhir.xml_document import xml_document
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.service.change import Amendment, amend_within, withdraw_within
from fhir_ecg.store.unit_of_work import UnitOfWork

MODES = ("create", "update", "delete", "profile")
_CHANGES = ("update", "delete")
_PARAMETER = "resource"
_VALUES = ("mode", "profile")
_KNOWN_PROFILES = (
    "http://hl7.org/fhir/StructureDefinition/Observation",
    "http://fhir-ecg.org/fhir/StructureDefinition/",
)


@dataclass(frozen=True)
class Question:
    """What is to be validated, and how."""

    resource: dict[str, Any] | None
    form: Form
    mode: str
    profile: str | None
    problems: tuple[Problem, ...] = ()
    """What kept the resource from being read."""
    root: str = "Observation"
    """FHIRPath of the resource in what was sent."""


def read_question(body: bytes, form: Form, query: dict[str, str]) -> Question:
    """Read what is asked; an empty body asks about no resource.

    Args:
        body: An Observation, or Parameters with `resource`, `mode` and `profile`.
        form: The form of the body.
        query: `mode` and `profile`, where the address has them.

    Raises:
        MalformedError: The body is no JSON or XML at all, or the Parameters are not those of this operation.
    """
    resource: dict[str, Any] | None = None
    problems: tuple[Problem, ...] = ()
    values, root = dict(query), "Observation"
    if body:
        if form.syntax == "xml":
            xml_document(body)
        try:
            resource = read_document(body, form, None)
        except MalformedError as error:
            if form.syntax == "json":
                raise
            problems = error.problems
        if resource and resource.get("resourceType") == "Parameters":
            given = resource_and_values(resource, _PARAMETER, _VALUES)
            resource, values, root = given.resource, values | given.values, given.place
    if unknown := values.keys() - set(_VALUES):
        text = f"There is no parameter {min(unknown)[:60]!r} here; there are {', '.join(_VALUES)}."
        raise MalformedError(Problem("not-supported", text))
    mode = values.get("mode", "create")
    if mode not in MODES:
        raise MalformedError(Problem("code-invalid", f"The mode {mode[:40]!r} is none of {', '.join(MODES)}."))
    if resource is None and not problems and mode != "delete":
        raise MalformedError(Problem("required", "Send the Observation that is to be validated.", "Observation"))
    return Question(resource, form, mode, values.get("profile"), problems, root)


def validate(
    application: Application, question: Question, caller: Caller, identity: str | None = None
) -> list[Problem]:
    """List what stands against an Observation, and else what would be taken.

    Args:
        application: The parts.
        question: What is asked.
        caller: Who asks.
        identity: The id in the address, where it has one.

    Returns:
        Errors alone, or one `information` with, as it may be, warnings and further `information`.

    Raises:
        NotStoredError: What would be changed or deleted is not stored.
        DeletedError: It was deleted.
        MalformedError: What would be changed or deleted is not named.
    """
    if question.mode in _CHANGES:
        identity = identity or _own_id(question)
    problems = [*_profile_problems(question.profile), *question.problems]
    told: list[Problem] = []
    if not problems:
        try:
            told = _told(application, question, caller, identity)
        except RefusedError as error:
            problems += error.problems
    return problems or told


def _told(application: Application, question: Question, caller: Caller, identity: str | None) -> list[Problem]:
    """Do what the door does, and say what it would lead to."""
    if question.mode == "delete":
        _undone(application, lambda work: withdraw_within(work, identity or "", caller, now()))
        text = f"Observation/{identity} would be deleted, and its report ended."
        return [Problem("informational", text, severity="information")]
    resource, root = question.resource or {}, question.root
    with rooted(root):
        release = check_release(resource, question.form)
    if question.mode == "update":
        amendment = Amendment(identity or "", resource, question.form.with_release(release), b"", root=root)
        _undone(application, lambda work: amend_within(work, amendment, caller, now()))
        text = f"Observation/{identity} would be replaced. Its waveform stays."
        return [Problem("informational", text, severity="information")]
    recording = read_joined([Sent(resource, root)], application.policy.repairs)
    check_plausibility(recording, root)
    return [_taken(recording), *_signal(recording)]


def _undone(application: Application, change: Callable[[UnitOfWork], object]) -> None:
    """Make a change as a part of a transaction, and take it back."""
    with suppress(_UndoneError), application.store.transaction() as work:
        change(work)
        raise _UndoneError


class _UndoneError(Exception):
    """Rolls a transaction back."""


def _own_id(question: Question) -> str:
    identity = (question.resource or {}).get("id")
    if not isinstance(identity, str):
        text = "Name what would be changed in the address, as Observation/[id]/$validate, or give the resource its id."
        raise MalformedError(Problem("required", text, f"{question.root}.id"))
    return identity


def _profile_problems(profile: str | None) -> list[Problem]:
    if profile is None or profile.split("|")[0].startswith(_KNOWN_PROFILES):
        return []
    text = f"This server does not have the profile {profile[:200]!r}: nothing was checked against it. Leave it out."
    return [Problem("not-supported", text)]


def _taken(recording: Recording) -> Problem:
    derived = [*map(str, recording.derived)]
    sentences = [
        f"An ECG of 12 leads, {recording.sampling_rate:g} Hz, {recording.seconds:.2f} s would be taken.",
        f"Leads that would be derived: {', '.join(derived)}." if derived else "No lead would be derived.",
        f"Repairs that would be applied: {', '.join(recording.repairs)}." if recording.repairs else "",
        f"The first {CLASSIFIED_SECONDS:g} s would be read." if recording.seconds > CLASSIFIED_SECONDS else "",
    ]
    return Problem("informational", " ".join(filter(None, sentences)), severity="information")


def _signal(recording: Recording) -> list[Problem]:
    """Say what would be told of the signal; what cancels the report is a warning."""
    if findings := quality_findings(recording):
        return [
            Problem("business-rule", f"The report would be cancelled: {each.text} [{each.code}]", severity="warning")
            for each in findings
        ]
    return [
        Problem("informational", f"{each.text} [{each.code}]", severity="information")
        for each in quality_warnings(recording)
    ]

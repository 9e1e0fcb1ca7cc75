"""ECGs in a Bundle: whole ones, and those with an Observation for each lead, put together.

Observations belong to one ECG where one of them names the others (`hasMember`, `derivedFrom`), or where subject,
time and device are the same. https://hl7.org/fhir/R4/bundle.html
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_ecg.ecg.leads import Lead, missing_leads
from fhir_ecg.fhir.document import Form, check_release
from fhir_ecg.fhir.ecg_observation import Sent
from fhir_ecg.fhir.json_form import form_faults
from fhir_ecg.fhir.outcome import MalformedError, Problem, RefusedError
from fhir_ecg.fhir.parsing import fhirpath
from fhir_ecg.fhir.repairs import NONE
from fhir_ecg.fhir.waveforms import find_waveforms

MOST_ENTRIES = 500
_RELATIONS = ("hasMember", "derivedFrom")


@dataclass
class EcgEntries:
    """The entries of one ECG, or one entry that can be none."""

    entries: list[int]
    """Places in Bundle.entry; the first one's Observation stands for the ECG."""
    sent: list[Sent]
    problems: list[Problem] = field(default_factory=list)


def ecgs_of_bundle(bundle: dict[str, Any], form: Form, types: tuple[str, ...]) -> list[EcgEntries]:
    """Find the ECGs of a Bundle of one of the types.

    Raises:
        MalformedError: It is no such Bundle, or has no entry.
    """
    entries = bundle_entries(bundle, types)
    return ecgs_of_entries(entries, range(len(entries)), form)


def ecgs_of_entries(entries: Sequence[Any], places: Iterable[int], form: Form) -> list[EcgEntries]:
    """Find the ECGs among the entries of a Bundle at some places."""
    found: list[EcgEntries] = []
    observations: dict[int, dict[str, Any]] = {}
    for index in places:
        if problems := _entry_problems(entries[index], index, form):
            found.append(EcgEntries([index], [], problems))
        else:
            observations[index] = entries[index]["resource"]
    groups = _groups(observations, {_address(entries[index]): index for index in observations})
    found += [EcgEntries(group, [Sent(observations[i], entry_root(i)) for i in group]) for group in groups]
    for ecg in found:
        ecg.problems += _stranger_problems(ecg)
    return sorted(found, key=lambda ecg: ecg.entries)


def bundle_entries(bundle: dict[str, Any], types: tuple[str, ...]) -> list[Any]:
    """Give the entries of a Bundle of one of the types.

    Raises:
        MalformedError: It is no such Bundle, or has no entry.
    """
    if bundle.get("resourceType") != "Bundle":
        raise MalformedError(Problem("invalid", "The body is no Bundle; one belongs here.", "Bundle.resourceType"))
    for location, code, text in form_faults(bundle):
        raise MalformedError(Problem(code, text, fhirpath("Bundle", location)))
    if bundle.get("type") not in types:
        text = f"Bundle.type is {str(bundle.get('type'))[:40]!r}; {' or '.join(types)} is taken here."
        raise MalformedError(Problem("not-supported", text, "Bundle.type"))
    entries = bundle.get("entry")
    if not isinstance(entries, list) or not entries:
        raise MalformedError(Problem("required", "The Bundle has no entry.", "Bundle.entry"))
    if len(entries) > MOST_ENTRIES:
        text = f"The Bundle has {len(entries)} entries; at most {MOST_ENTRIES} are taken."
        raise MalformedError(Problem("too-long", text, "Bundle.entry"))
    return entries


def _entry_problems(entry: Any, index: int, form: Form) -> list[Problem]:
    if not isinstance(entry, dict) or not isinstance(entry.get("resource"), dict):
        return [Problem("required", "The entry has no resource.", entry_root(index))]
    try:
        check_release(entry["resource"], form)
    except RefusedError as error:
        return [in_entry(problem, index) for problem in error.problems]
    return []


def in_entry(problem: Problem, index: int) -> Problem:
    """Say where in the Bundle a problem of an entry's Observation or DiagnosticReport is."""
    rest = (problem.expression or "").removeprefix("Observation").removeprefix("DiagnosticReport")
    return Problem(problem.code, problem.diagnostics, entry_root(index) + rest, problem.severity)


def entry_root(index: int) -> str:
    """Give the FHIRPath of an entry's resource."""
    return f"Bundle.entry[{index}].resource"


def _address(entry: Any) -> str | None:
    if not isinstance(entry, dict):
        return None
    full_url, resource = entry.get("fullUrl"), entry.get("resource")
    if isinstance(full_url, str) or not isinstance(resource, dict):
        return full_url
    return f"Observation/{resource.get('id')}"


def _groups(observations: dict[int, dict[str, Any]], addresses: dict[str | None, int]) -> list[list[int]]:
    """Put the places of Observations together that are one ECG; the one that names others comes first."""
    free = dict.fromkeys(observations)
    groups = []
    for index, observation in observations.items():
        members = [addresses[name] for name in _related(observation) if name in addresses]
        members = [member for member in members if member in free and member != index]
        if index in free and members:
            groups.append([index, *members])
            for member in (index, *members):
                free.pop(member, None)
    together: dict[Any, list[int]] = {}
    for index in free:
        key = index if _is_whole(observations[index]) else _case_of(observations[index])
        together.setdefault(key, []).append(index)
    return groups + list(together.values())


def _related(observation: dict[str, Any]) -> Iterator[str]:
    for relation in _RELATIONS:
        yield from (reference.get("reference", "") for reference in observation.get(relation, []))


def _is_whole(observation: dict[str, Any]) -> bool:
    named = find_waveforms(observation, "Observation", NONE).named
    return not missing_leads({lead for lead in named if isinstance(lead, Lead)})


def _case_of(observation: dict[str, Any]) -> tuple[str, ...]:
    """Give what the Observations of one ECG have in common."""
    times = [observation.get(name) for name in ("effectiveDateTime", "effectiveInstant", "effectivePeriod")]
    return tuple(map(str, (observation.get("subject"), times, observation.get("device"))))


def _stranger_problems(ecg: EcgEntries) -> list[Problem]:
    """Refuse Observations that one names as its own, but that are of another subject."""
    subjects = {str(sent.resource.get("subject")): sent.root for sent in ecg.sent}
    if len(subjects) < 2:
        return []
    (one, first), (other, second), *_ = subjects.items()
    text = f"The Observations of one ECG name two subjects: {one[:80]} at {first}, {other[:80]} at {second}."
    return [Problem("value", text, f"{second}.subject")]

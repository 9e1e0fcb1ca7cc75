"""ECGs in a Bundle: whole ones, and those with an Observation for each lead. https://hl7.org/fhir/R4/bundle.html"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_ecg.fhir.document import Form, check_release
from fhir_ecg.fhir.ecg_groups import BundledObservation, Group, entry_root, group_observations
from fhir_ecg.fhir.ecg_observation import Sent
from fhir_ecg.fhir.json_form import form_faults
from fhir_ecg.fhir.outcome import MalformedError, Problem, RefusedError
from fhir_ecg.fhir.parsing import fhirpath

MOST_ENTRIES = 500
_MEMBERS = {"id", "extension", "modifierExtension", "link", "fullUrl", "resource", "search", "request", "response"}


@dataclass
class EcgEntries:
    """The entries of one ECG, or one entry that can be none."""

    entries: list[int]
    """Places in Bundle.entry; the first one's Observation stands for the ECG."""
    sent: list[Sent]
    problems: list[Problem] = field(default_factory=list)


def ecgs_of_entries(entries: Sequence[Any], places: Iterable[int], form: Form) -> list[EcgEntries]:
    """Find the ECGs among the entries of a Bundle at some places."""
    found: list[EcgEntries] = []
    observations: list[BundledObservation] = []
    addresses: dict[str, int] = {}
    for index in places:
        if problems := _entry_problems(entries[index], index, form) or _repeated_address(entries, index, addresses):
            found.append(EcgEntries([index], [], problems))
        else:
            entry = entries[index]
            observations.append(BundledObservation(index, entry["resource"], entry.get("fullUrl")))
    for group, problems in group_observations(observations):
        sent = [Sent(each.resource, each.root) for each in group]
        found.append(EcgEntries([each.place for each in group], sent, problems + _stranger_problems(group)))
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
    if problems := _member_problems(entry, index):
        return problems
    try:
        check_release(entry["resource"], form)
    except RefusedError as error:
        return [in_entry(problem, index) for problem in error.problems]
    return []


def _member_problems(entry: dict[str, Any], index: int) -> list[Problem]:
    """Find what does not belong into an entry. https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry"""
    where = f"Bundle.entry[{index}]"
    problems = [
        Problem("structure", f"An entry of a Bundle has no element {name[:64]!r}.", where)
        for name in entry
        if name.removeprefix("_") not in _MEMBERS
    ]
    if "modifierExtension" in entry:
        text = "A modifier extension may change what the entry means, and is unknown here. Send it without."
        problems.append(Problem("extension", text, f"{where}.modifierExtension[0]"))
    if not isinstance(entry.get("fullUrl", ""), str):
        text = "fullUrl is a string: the address of the entry's resource, such as urn:uuid:..."
        problems.append(Problem("value", text, f"{where}.fullUrl"))
    return problems


def _repeated_address(entries: Sequence[Any], index: int, addresses: dict[str, int]) -> list[Problem]:
    """Refuse an address that an entry before has: which one is meant by it would be unclear."""
    address = entries[index].get("fullUrl")
    if address is None or (other := addresses.setdefault(address, index)) == index:
        return []
    text = f"Entry {other} has the same fullUrl (bdl-7). Give each entry an address of its own, such as urn:uuid:..."
    return [Problem("invariant", text, f"Bundle.entry[{index}].fullUrl")]


def in_entry(problem: Problem, index: int) -> Problem:
    """Say where in the Bundle a problem of an entry's Observation or DiagnosticReport is."""
    rest = (problem.expression or "").removeprefix("Observation").removeprefix("DiagnosticReport")
    return Problem(problem.code, problem.diagnostics, entry_root(index) + rest, problem.severity)


def _stranger_problems(group: Group) -> list[Problem]:
    """Refuse Observations that one names as its own, but that are of another subject."""
    first = group[0]
    for each in group[1:]:
        one, other = first.alike["subject"], each.alike["subject"]
        if one != other:
            text = (
                f"The Observations of one ECG name two subjects: {_shown(one)} at {first.root}, {_shown(other)} at "
                f"{each.root}."
            )
            return [Problem("value", text, f"{each.root}.subject")]
    return []


def _shown(subject: Any) -> str:
    if subject is None:
        return "none"
    return "|".join(map(str, subject))[:80] if isinstance(subject, tuple) else str(subject)[:80]

"""Which Observations of a Bundle are one ECG: those that links join, or that say alike of whom, when and with what.

https://hl7.org/fhir/R4/observation.html#obsgrouping https://hl7.org/fhir/R4/bundle.html#references
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fhir_ecg.ecg.leads import Lead, missing_leads
from fhir_ecg.fhir.effective import moment_of
from fhir_ecg.fhir.lead_coding import AnyLead
from fhir_ecg.fhir.outcome import Problem
from fhir_ecg.fhir.repairs import NONE
from fhir_ecg.fhir.waveforms import find_waveforms

Observation = dict[str, Any]

_RELATIONS = ("hasMember", "derivedFrom")
_HISTORY = re.compile(r"/_history/[^/]+$")
_RESTFUL = re.compile(r"(https?://.+/)Observation/[^/]+")
# Derived from a document or an image is no link between Observations.
_OBSERVATION = re.compile(r"(?:.*/)?Observation/[^/]+|urn:uuid:.+|urn:oid:.+")


def entry_root(index: int) -> str:
    """Give the FHIRPath of an entry's resource."""
    return f"Bundle.entry[{index}].resource"


@dataclass(frozen=True)
class BundledObservation:
    """An Observation of a Bundle."""

    place: int
    """In Bundle.entry."""
    resource: Observation
    full_url: str | None

    @property
    def root(self) -> str:
        """Its FHIRPath."""
        return entry_root(self.place)

    @cached_property
    def named(self) -> frozenset[AnyLead]:
        """Leads that it has, readable or not, those beyond the twelve among them."""
        return frozenset(find_waveforms(self.resource, self.root, NONE).named)

    @property
    def leads(self) -> frozenset[Lead]:
        """Those of the twelve."""
        return frozenset(lead for lead in self.named if isinstance(lead, Lead))

    @property
    def is_whole(self) -> bool:
        """Whether it is an ECG by itself."""
        return not missing_leads(set(self.leads))

    @property
    def address(self) -> str | None:
        """What others of the Bundle call it."""
        return _HISTORY.sub("", self.full_url) if self.full_url else f"Observation/{self.resource.get('id')}"

    @cached_property
    def alike(self) -> dict[str, Any]:
        """What the Observations of one ECG have in common where no link joins them, by element."""
        resource = self.resource
        return {
            "subject": named_by(resource.get("subject")),
            "effective": moment_of(resource),
            "device": named_by(resource.get("device")),
            "encounter": named_by(resource.get("encounter")),
            "basedOn": tuple(sorted(map(named_by, resource.get("basedOn", [])), key=repr)),
            "partOf": tuple(sorted(map(named_by, resource.get("partOf", [])), key=repr)),
        }

    @property
    def is_timed(self) -> bool:
        """Whether it says when it was recorded, without which others cannot be told to be of the same ECG."""
        return self.alike["effective"] is not None


Group = list[BundledObservation]


def group_observations(observations: list[BundledObservation]) -> list[tuple[Group, list[Problem]]]:
    """Put Observations together that are one ECG, each in one group; the first of a group stands for the ECG.

    A whole ECG is joined with no other leads, whatever links them: it may be derived from another, or be compared.

    Returns:
        The groups, each with what kept it from being an ECG.
    """
    links = _Links(observations)
    groups = [part for group in links.groups(observations) for part in _without_whole(links, group)]
    linked = [group for group in groups if len(group) > 1]
    alike: dict[Any, Group] = {}
    for [single] in (group for group in groups if len(group) == 1):
        joins = single.is_timed and single.named and not single.is_whole
        alike.setdefault(tuple(single.alike.items()) if joins else single.place, []).append(single)
    found = [*linked, *alike.values()]
    return [(group, links.broken(group) + _parted(group, found)) for group in found]


def named_by(reference: dict[str, Any] | None) -> Any:
    """Give what a reference leads to, without how it is shown; None where it says neither address nor identifier."""
    if not reference:
        return None
    if address := reference.get("reference"):
        return _HISTORY.sub("", address)
    identifier = reference.get("identifier") or {}
    return (identifier.get("system"), identifier["value"]) if "value" in identifier else None


def _without_whole(links: "_Links", group: Group) -> list[Group]:
    """Let a whole ECG leave a group that holds other leads too; what has no leads goes where it is linked first."""
    whole = [each for each in group if each.is_whole]
    others = [each for each in group if not each.is_whole]
    if not whole or (len(whole) == 1 and not any(each.named for each in others)):
        return [group]
    parts = [[each] for each in whole] + links.groups([each for each in others if each.named])
    waiting = [each for each in others if not each.named]
    while taken := [(each, part) for each in waiting if (part := links.first_linked(each, parts))]:
        for each, part in taken:
            part.append(each)
            waiting.remove(each)
    return parts + links.groups(waiting)


class _Links:
    """The references of Observations to each other."""

    def __init__(self, observations: list[BundledObservation]) -> None:
        self._by_address = {each.address: each for each in observations}
        self._by_place = {each.place: each for each in observations}

    def groups(self, among: Collection[BundledObservation]) -> list[Group]:
        """Put together what any chain of references joins; who is named by none of its group comes first."""
        free = {each.place for each in among}
        neighbours: dict[int, dict[int, None]] = {place: {} for place in sorted(free)}
        named = set()
        for place, near in neighbours.items():
            for target in self._targets(self._by_place[place]):
                if target in free and target != place:
                    named.add(target)
                    near[target] = None
                    neighbours[target][place] = None
        starts = sorted(neighbours, key=lambda place: (place in named, place))
        found = [[self._by_place[each] for each in _reached(start, neighbours, free)] for start in starts]
        return sorted(filter(None, found), key=lambda group: group[0].place)

    def first_linked(self, observation: BundledObservation, parts: list[Group]) -> Group | None:
        """Find the first part that an Observation names, or that names it."""
        targets = set(self._targets(observation))
        for part in parts:
            named = {target for each in part for target in self._targets(each)}
            if observation.place in named or targets & {each.place for each in part}:
                return part
        return None

    def broken(self, group: Group) -> list[Problem]:
        """Find references that lead to no entry, of a group that lacks leads."""
        if not _lacks_leads(group):
            return []
        return [
            Problem(
                "not-found",
                f"{relation} names {reference[:120]}, but no Observation to be created in this Bundle has that "
                "address (fullUrl). Send all leads of an ECG in one Bundle.",
                f"{each.root}.{relation}[{index}].reference",
            )
            for each in group
            for relation, index, reference in _references(each.resource)
            if _OBSERVATION.fullmatch(reference) and self._resolve(each, reference) is None
        ]

    def _targets(self, observation: BundledObservation) -> Iterator[int]:
        for _, _, reference in _references(observation.resource):
            if target := self._resolve(observation, reference):
                yield target.place

    def _resolve(self, naming: BundledObservation, reference: str) -> BundledObservation | None:
        """A relative reference is relative to where the one that names is."""
        reference = _HISTORY.sub("", reference)
        base = _RESTFUL.fullmatch(naming.address or "")
        return self._by_address.get(reference) or (self._by_address.get(base[1] + reference) if base else None)


def _reached(start: int, neighbours: dict[int, dict[int, None]], free: set[int]) -> Iterator[int]:
    waiting = [start]
    while waiting:
        place = waiting.pop(0)
        if place in free:
            free.remove(place)
            yield place
            waiting += neighbours[place]


def _references(observation: Observation) -> Iterator[tuple[str, int, str]]:
    for relation in _RELATIONS:
        for index, reference in enumerate(observation.get(relation, [])):
            if "reference" in reference:
                yield relation, index, reference["reference"]


def _lacks_leads(group: Group) -> bool:
    return bool(missing_leads({lead for each in group for lead in each.leads}))


def _parted(group: Group, groups: list[Group]) -> list[Problem]:
    """Say what parts some leads from the leads that they may belong to."""
    others = [other for other in groups if _lacks_leads(other) and _leads(other)]
    if not (_lacks_leads(group) and _leads(group)) or len(others) < 2:
        return []
    most = max(others, key=len)
    if group is most or _leads(group) & _leads(most):
        return []
    one, other = group[0], most[0]
    differing = [name for name, value in one.alike.items() if value != other.alike[name]]
    why = f"{' and '.join(differing)} differ" if differing else "its time has no time of day"
    text = (
        f"Its leads are not put together with those of Bundle.entry[{other.place}]: {why}. "
        "The Observations of one ECG have the same subject, effective time (with the time of day), device, "
        "encounter, basedOn and partOf, or one of them names the others in hasMember."
    )
    return [Problem("business-rule", text, f"{one.root}.{(differing or ['effective'])[0]}")]


def _leads(group: Group) -> frozenset[Lead]:
    return frozenset(lead for each in group for lead in each.leads)

"""A search for AuditEvents in the terms of the audit trail. https://hl7.org/fhir/R4/auditevent.html#search"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, StringConstraints, TypeAdapter

from fhir_ecg.fhir.audit_event import CLIENT_SYSTEM, USER_SYSTEM
from fhir_ecg.fhir.audit_kinds import kind_of
from fhir_ecg.fhir.outcome import MalformedError, Problem
from fhir_ecg.fhir.search import CURSOR, NEWEST_FIRST, Search, parse_search
from fhir_ecg.fhir.search_criteria import (
    Criterion,
    DateCriterion,
    IdCriterion,
    LastUpdatedCriterion,
    Range,
    ReferenceCriterion,
    StringCriterion,
    TokenCriterion,
)
from fhir_ecg.fhir.search_index import IDENTIFIER_OF, indexed

MOST_ALTERNATIVES = 50
_LONGEST_CURSOR = 200
_OUTCOMES = {"0": True, "4": False}

Place = tuple[datetime, str]
"""When an entry was recorded, and its id: what entries are ordered by."""
_PLACE: TypeAdapter[Place] = TypeAdapter(
    tuple[AwareDatetime, Annotated[str, StringConstraints(pattern=r"^[a-f0-9\-]{1,36}$")]]
)


@dataclass(frozen=True)
class Named:
    """A client, or with another role a row of the index; None as the value of a role is none at all."""

    role: str
    value: str


@dataclass(frozen=True)
class AuditSearch:
    """Which entries are wanted: all of it must hold."""

    search: Search
    groups: tuple[tuple[Named, ...], ...] = ()
    """Of each at least one."""
    names: tuple[tuple[str, ...], ...] = ()
    """Of each: a client or user whose folded name begins with at least one."""
    kinds: tuple[TokenCriterion, ...] = ()
    """What must hold of type, subtype and action."""
    successful: tuple[bool, ...] | None = None
    ids: frozenset[str] | None = None
    ranges: tuple[tuple[Range, ...], ...] = ()
    after: Place | None = None
    """The last place of the page before."""


def parse_audit_search(query: Iterable[tuple[str, str]], *, lenient: bool = False) -> AuditSearch:
    """Read a query.

    Raises:
        MalformedError: A parameter is unknown (unless lenient), a value is none of its kind, or what is asked for
            is not done for AuditEvents.
    """
    search = parse_search("AuditEvent", query, lenient=lenient)
    if search.sort != NEWEST_FIRST or search.includes:
        raise _refused("AuditEvents come the newest first, with nothing beside them: leave out _sort and _include.")
    if search.summary == "count" or search.total == "accurate":
        raise _refused("AuditEvents are not counted: leave out _summary=count and _total=accurate.")
    wanted = _Wanted()
    for criterion in search.criteria:
        wanted.take(criterion)
    return AuditSearch(
        search,
        tuple(wanted.groups),
        tuple(wanted.names),
        tuple(wanted.kinds),
        None if wanted.successful is None else tuple(wanted.successful),
        wanted.ids,
        tuple(wanted.ranges),
        _read_cursor(search.cursor) if search.cursor else None,
    )


def actions_of(known: Iterable[str], criteria: Iterable[TokenCriterion]) -> list[str]:
    """Choose, of the actions in the audit trail, those whose type, subtype and action are the wanted ones."""
    return [action for action in known if all(_is_kind(action, criterion) for criterion in criteria)]


def write_cursor(place: Place) -> str:
    """Write where a next page begins."""
    return base64.urlsafe_b64encode(json.dumps([place[0].isoformat(), place[1]]).encode()).decode()


class _Wanted:
    """A query as far as it has been read."""

    def __init__(self) -> None:
        self.groups: list[tuple[Named, ...]] = []
        self.names: list[tuple[str, ...]] = []
        self.kinds: list[TokenCriterion] = []
        self.successful: set[bool] | None = None
        self.ids: frozenset[str] | None = None
        self.ranges: list[tuple[Range, ...]] = []

    def take(self, criterion: Criterion) -> None:
        if isinstance(criterion, DateCriterion | LastUpdatedCriterion):
            self.ranges.append(criterion.ranges)
        elif isinstance(criterion, IdCriterion):
            ids = frozenset(criterion.ids)
            self.ids = ids if self.ids is None else self.ids & ids
        elif isinstance(criterion, StringCriterion) and criterion.match == "starts":
            self.names.append(criterion.texts)
        elif isinstance(criterion, ReferenceCriterion):
            self._add(criterion.parameter, [named for t in criterion.targets for named in _target(criterion, t)])
        elif isinstance(criterion, TokenCriterion):
            self._take_token(criterion)
        else:
            raise _refused("Of modifiers, AuditEvents are searched with :identifier and the type of a reference alone.")

    def _take_token(self, criterion: TokenCriterion) -> None:
        if criterion.parameter in {"type", "subtype", "action"}:
            self.kinds.append(criterion)
        elif criterion.parameter == "outcome":
            found = {_OUTCOMES[code] for system, code in criterion.tokens if code in _OUTCOMES and not system}
            self.successful = found if self.successful is None else self.successful & found
        elif criterion.parameter == IDENTIFIER_OF.format("agent"):
            self._add("agent", [named for token in criterion.tokens for named in _agent(*token)])
        elif criterion.parameter == IDENTIFIER_OF.format("patient"):
            self._add("patient", [_patient(*token) for token in criterion.tokens])
        else:
            raise _refused("AuditEvents are found by the identifier of an agent or a patient, of no other entity.")

    def _add(self, parameter: str, group: list[Named]) -> None:
        if len(group) > MOST_ALTERNATIVES:
            raise _refused(f"{parameter} comes to {len(group)} values; {MOST_ALTERNATIVES} are the most.")
        self.groups.append(tuple(group))


def _target(criterion: ReferenceCriterion, target: str) -> list[Named]:
    return [Named("user" if criterion.parameter == "agent" else "entity", target)]


def _agent(system: str | None, code: str | None) -> list[Named]:
    found = []
    if code is not None and system in {None, CLIENT_SYSTEM}:
        found.append(Named("client", code))
    if code is not None and system in {None, USER_SYSTEM}:
        found.append(Named("user", code))
    return found


def _patient(system: str | None, code: str | None) -> Named:
    if code is None:
        raise _refused("patient:identifier needs a value, such as http://hospital.example/patients|123.")
    return Named("patient-value", code) if system is None else Named("patient-system", indexed(f"{system}|{code}"))


def _is_kind(action: str, criterion: TokenCriterion) -> bool:
    kind = kind_of(action)
    if criterion.parameter == "action":
        return any(code == kind.action and not system for system, code in criterion.tokens)
    coding: dict[str, Any] = kind.type if criterion.parameter == "type" else kind.subtype
    return any(
        (system is None or system == coding["system"]) and code in {None, coding["code"]}
        for system, code in criterion.tokens
    )


def _read_cursor(cursor: str) -> Place:
    try:
        return _PLACE.validate_json(base64.urlsafe_b64decode(cursor[:_LONGEST_CURSOR].encode()))
    except ValueError as error:
        text = f"{CURSOR} is no page of this search; take the address from the Bundle's next link."
        raise _refused(text) from error


def _refused(text: str) -> MalformedError:
    return MalformedError(Problem("not-supported", text))

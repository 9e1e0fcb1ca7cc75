"""Finding audit entries, the newest first, along indexes: at a cost that does not grow with their number."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, literal, literal_column, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from fhir_ecg.fhir.audit_event import SUCCESS, AuditRecord
from fhir_ecg.fhir.audit_search import MOST_ALTERNATIVES, AuditSearch, Named, Place, actions_of
from fhir_ecg.fhir.outcome import MalformedError, Problem
from fhir_ecg.fhir.search_index import folded
from fhir_ecg.store.base import UtcDateTime
from fhir_ecg.store.search_clauses import moment_in
from fhir_ecg.store.tables import AuditEventRow, AuditReferenceRow

# Written out, so that the database sees that the index of failures has it all.
_SUCCEEDED = AuditEventRow.outcome == literal_column(f"'{SUCCESS}'")
_FAILED = AuditEventRow.outcome != literal_column(f"'{SUCCESS}'")
_MOST_CLIENTS = 1000


@dataclass(frozen=True)
class AuditPage:
    """Entries, and where the next page begins; None where there is none."""

    records: list[AuditRecord]
    last: Place | None


class AuditEvents:
    """The audit entries as they are searched for and read."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, identity: str) -> AuditRecord | None:
        """Read an entry."""
        row = self._session.scalar(select(AuditEventRow).where(AuditEventRow.id == identity))
        return None if row is None else record_of(row)

    def find(self, wanted: AuditSearch) -> AuditPage:
        """Find entries.

        Raises:
            MalformedError: A name begins those of too many people.
        """
        count = wanted.search.count
        if not count:
            return AuditPage([], None)
        places = list(islice(self._places(wanted), count + 1))
        shown = places[:count]
        rows = self._session.scalars(select(AuditEventRow).where(AuditEventRow.id.in_([i for _, i in shown])))
        by_id = {row.id: record_of(row) for row in rows}
        return AuditPage([by_id[identity] for _, identity in shown], shown[-1] if len(places) > count else None)

    def _places(self, wanted: AuditSearch) -> Iterator[Place]:
        """List the places of what is wanted in order: walked along one index for each alternative, and merged."""
        groups = [*wanted.groups, *(self._named(texts) for texts in wanted.names)]
        if wanted.kinds:
            actions = actions_of(self._distinct(AuditEventRow.action), wanted.kinds)
            groups.append(tuple(Named("action", action) for action in actions))
        if not all(groups):
            return iter(())
        groups.sort(key=_is_vague)
        first, others = (groups[0], groups[1:]) if groups else ((None,), [])
        clauses = [*_clauses(wanted), *(or_(*(_holds(named) for named in group)) for group in others)]
        walks = [self._session.execute(_walk(named, wanted, clauses)) for named in first]
        found = merge(*(((row[0], row[1]) for row in walk) for walk in walks), reverse=True)
        return (place for place, _ in groupby(found))

    def _named(self, texts: tuple[str, ...]) -> tuple[Named, ...]:
        """List the clients and users whose names begin so."""
        clients = islice(self._distinct(AuditEventRow.client), _MOST_CLIENTS)
        named = [Named("client", client) for client in clients if folded(client).startswith(texts)]
        for text in texts:
            named += [Named("user-name", name) for name in islice(self._user_names(text), MOST_ALTERNATIVES + 1)]
        if len(named) > MOST_ALTERNATIVES:
            text = f"agent-name begins the names of more than {MOST_ALTERNATIVES} agents; give more of the name."
            raise MalformedError(Problem("too-costly", text))
        return tuple(dict.fromkeys(named))

    def _user_names(self, text: str) -> Iterator[str]:
        value, is_name = AuditReferenceRow.value, AuditReferenceRow.role == "user-name"
        name = self._session.scalar(select(func.min(value)).where(is_name, value >= text))
        while name is not None and name.startswith(text):
            yield name
            name = self._session.scalar(select(func.min(value)).where(is_name, value > name))

    def _distinct(self, column: Any) -> Iterator[str]:
        """Step from value to value along the column's index; there are few."""
        value = self._session.scalar(select(func.min(column)))
        while value is not None:
            yield value
            value = self._session.scalar(select(func.min(column)).where(column > value))


def _is_vague(group: Iterable[Named]) -> int:
    """Order by how many entries a value has, as a rule: those of one action are the most."""
    roles = {named.role for named in group}
    return 2 if "action" in roles else 1 if "client" in roles else 0


def _walk(named: Named | None, wanted: AuditSearch, clauses: list[ColumnElement[bool]]) -> Select[Any]:
    """Walk along the index of one value, or of all entries."""
    base: Any = AuditEventRow if named is None or named.role in {"client", "action"} else AuditReferenceRow
    recorded = base.recorded
    identity = AuditEventRow.id if base is AuditEventRow else AuditReferenceRow.event_id
    walk = select(recorded, identity)
    if base is AuditReferenceRow:
        walk = walk.join(AuditEventRow, AuditEventRow.id == AuditReferenceRow.event_id)
    if named is not None:
        walk = walk.where(_is(named))
    walk = walk.where(*clauses, *(moment_in(ranges, recorded) for ranges in wanted.ranges))
    if wanted.after is not None:
        moment, last = wanted.after
        walk = walk.where(tuple_(recorded, identity) < tuple_(literal(moment, UtcDateTime()), last))
    return walk.order_by(recorded.desc(), identity.desc()).limit(wanted.search.count + 1)


def _clauses(wanted: AuditSearch) -> list[ColumnElement[bool]]:
    clauses: list[ColumnElement[bool]] = []
    if wanted.ids is not None:
        clauses.append(AuditEventRow.id.in_(wanted.ids))
    if wanted.successful is not None:
        clauses.append(or_(false(), *(_SUCCEEDED if successful else _FAILED for successful in wanted.successful)))
    return clauses


def _is(named: Named) -> ColumnElement[bool]:
    if named.role == "client":
        return AuditEventRow.client == named.value
    if named.role == "action":
        return AuditEventRow.action == named.value
    return and_(AuditReferenceRow.role == named.role, AuditReferenceRow.value == named.value)


def _holds(named: Named) -> ColumnElement[bool]:
    """Test whether an entry has a value."""
    if named.role in {"client", "action"}:
        return _is(named)
    held = aliased(AuditReferenceRow)  # the walk itself may go along that table
    return exists().where(
        held.role == named.role,
        held.value == named.value,
        held.recorded == AuditEventRow.recorded,
        held.event_id == AuditEventRow.id,
    )


def record_of(row: AuditEventRow) -> AuditRecord:
    """Give an entry as it is read."""
    return AuditRecord(
        row.id, row.recorded, row.action, row.outcome, row.client, row.request_id, row.entities, row.detail
    )

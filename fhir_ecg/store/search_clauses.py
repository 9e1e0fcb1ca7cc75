"""Search criteria to SQL, in two forms that both cost what the index tells, not what is stored.

`matching` lists the ids of what fulfils a criterion, by a range of an index. `probe` tests one resource, by its id.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, literal, or_, select, union_all
from sqlalchemy.orm import aliased

from fhir_ecg.fhir.search_criteria import (
    AnyCriterion,
    ChainedCriterion,
    Criterion,
    DateCriterion,
    HasCriterion,
    IdCriterion,
    LastUpdatedCriterion,
    NotCriterion,
    PresentCriterion,
    Range,
    ReferenceCriterion,
    StringCriterion,
    TokenCriterion,
)
from fhir_ecg.store.search_tables import DateRow, ReferenceRow, StringRow, TokenRow
from fhir_ecg.store.tables import ResourceRow

_RowCriterion = TokenCriterion | ReferenceCriterion | DateCriterion | StringCriterion | PresentCriterion
_TABLES: dict[type, Any] = {
    TokenCriterion: TokenRow,
    ReferenceCriterion: ReferenceRow,
    DateCriterion: DateRow,
    StringCriterion: StringRow,
}
_KINDS: dict[str, Any] = {"token": TokenRow, "reference": ReferenceRow, "date": DateRow, "string": StringRow}
# Sorts after all that begins alike.
_LAST = "\U0010ffff"


def matching(criterion: Criterion, resource_type: str, inner_limit: int) -> Select[Any] | None:
    """Select the ids of what fulfils a criterion, some perhaps twice; None where no index lists them.

    Of a chain, so many resources are followed at the most; see `chained_through`.
    """
    if isinstance(criterion, IdCriterion | LastUpdatedCriterion):
        resource = aliased(ResourceRow)
        return select(resource.id).where(resource.type == resource_type, _of_resource(criterion, resource))
    if isinstance(criterion, AnyCriterion):
        parts = [matching(part, resource_type, inner_limit) for part in criterion.criteria]
        found = [part for part in parts if part is not None]
        return _united(found) if len(found) == len(parts) else None
    if isinstance(criterion, ChainedCriterion | HasCriterion):
        return _matching_reference(criterion, resource_type, inner_limit)
    if isinstance(criterion, NotCriterion):
        return None
    selects = []
    for part in _parts(criterion):
        table = aliased(_table(criterion))
        selects.append(select(table.resource_id).where(*_key(criterion, resource_type, table), _holds(part, table)))
    return _united(selects)


def chained_through(criterion: Criterion) -> list[tuple[Criterion, str]]:
    """List the criteria inside a criterion that `matching` follows, with the types that they are of."""
    if isinstance(criterion, ChainedCriterion):
        return [(criterion.criterion, criterion.target_type)]
    if isinstance(criterion, HasCriterion):
        return [(criterion.criterion, criterion.source_type)]
    if isinstance(criterion, AnyCriterion):
        return [inner for part in criterion.criteria for inner in chained_through(part)]
    return []


def probe(criterion: Criterion, resource_type: str, identity: Any) -> ColumnElement[bool]:
    """Test whether the resource of an id fulfils a criterion."""
    if isinstance(criterion, NotCriterion):
        return ~probe(criterion.criterion, resource_type, identity)
    if isinstance(criterion, AnyCriterion):
        return or_(*(probe(part, resource_type, identity) for part in criterion.criteria))
    if isinstance(criterion, IdCriterion | LastUpdatedCriterion):
        resource = aliased(ResourceRow)
        return _there(resource.type == resource_type, resource.id == identity, _of_resource(criterion, resource))
    if isinstance(criterion, ChainedCriterion | HasCriterion):
        return _probe_reference(criterion, resource_type, identity)
    return _probe_rows(criterion, resource_type, identity)


def _probe_rows(criterion: _RowCriterion, resource_type: str, identity: Any) -> ColumnElement[bool]:
    table = aliased(_table(criterion))
    of_it = (*_key(criterion, resource_type, table), table.resource_id == identity)
    if isinstance(criterion, DateCriterion):
        # SQLite would read a range of dates for one resource, if it saw that an index has them.
        low, high = func.coalesce(table.low, table.low), func.coalesce(table.high, table.high)
        return _there(*of_it, or_(*(_range(*sought, low, high) for sought in criterion.ranges)))
    return _there(*of_it, _holds(criterion, table))


def low_bounds(ranges: Iterable[Range]) -> tuple[datetime | None, datetime | None]:
    """Give a first moment, and one that is not reached, between which every match of a range begins."""
    firsts, lasts = [], []
    for prefix, start, end in ranges:
        firsts.append({"eq": start, "sa": end}.get(prefix))
        lasts.append({"eq": end, "lt": start, "le": end, "eb": start, "ap": end}.get(prefix))
    first = None if None in firsts else min(moment for moment in firsts if moment)
    return first, None if None in lasts else max(moment for moment in lasts if moment)


def moment_in(ranges: Iterable[Range], moment: Any) -> ColumnElement[bool]:
    """Compare a moment with what is sought."""
    return or_(*(_moment(prefix, start, end, moment) for prefix, start, end in ranges))


def _there(*clauses: ColumnElement[bool]) -> ColumnElement[bool]:
    # With an offset PostgreSQL makes no join of it, which could read the whole index for a page of twenty.
    return select(literal(1)).where(*clauses).offset(0).exists()


def _united(selects: list[Select[Any]]) -> Select[Any]:
    if len(selects) == 1:
        return selects[0]
    return select(union_all(*selects).subquery().c[0])


def _table(criterion: _RowCriterion) -> Any:
    return _KINDS[criterion.kind] if isinstance(criterion, PresentCriterion) else _TABLES[type(criterion)]


def _key(criterion: _RowCriterion, resource_type: str, table: Any) -> tuple[ColumnElement[bool], ...]:
    return table.resource_type == resource_type, table.parameter == criterion.parameter


def _parts(criterion: _RowCriterion) -> list[_RowCriterion]:
    """Split dates, so that each part is one range of an index."""
    if not isinstance(criterion, DateCriterion):
        return [criterion]
    return [replace(criterion, ranges=(sought,)) for sought in criterion.ranges]


def _holds(criterion: _RowCriterion, table: Any) -> ColumnElement[bool]:
    if isinstance(criterion, TokenCriterion):
        return _tokens(criterion, table)
    if isinstance(criterion, ReferenceCriterion):
        return table.target.in_(criterion.targets)  # type: ignore[no-any-return]
    if isinstance(criterion, DateCriterion):
        return or_(*(_range(*sought, table.low, table.high) for sought in criterion.ranges))
    if isinstance(criterion, StringCriterion):
        return or_(*(_text(criterion, text, table) for text in criterion.texts))
    return and_(True)


def _tokens(criterion: TokenCriterion, table: Any) -> ColumnElement[bool]:
    # A row without code stands for an element without one, which no token finds.
    codes = [code for system, code in criterion.tokens if system is None and code]
    clauses: list[ColumnElement[bool]] = [table.code.in_(codes)] if codes else []
    for system, code in criterion.tokens:
        if system is not None and code != "":
            clauses.append(and_(table.system == system, table.code == code if code else table.code != ""))
    return or_(*clauses) if clauses else false()


def _text(criterion: StringCriterion, text: str, table: Any) -> ColumnElement[bool]:
    if criterion.match == "exact":
        return table.value == text  # type: ignore[no-any-return]
    if criterion.match == "contains":
        return table.folded.contains(text, autoescape=True)  # type: ignore[no-any-return]
    return and_(table.folded >= text, table.folded < text + _LAST)


def _of_resource(criterion: IdCriterion | LastUpdatedCriterion, resource: Any) -> ColumnElement[bool]:
    if isinstance(criterion, IdCriterion):
        return and_(resource.id.in_(criterion.ids), resource.deleted.is_(False))
    return and_(moment_in(criterion.ranges, resource.last_updated), resource.deleted.is_(False))


def _range(prefix: str, start: datetime, end: datetime, low: Any, high: Any) -> ColumnElement[bool]:
    """Compare the stored [low, high) with the sought [start, end), as search.html#prefix defines.

    Each begins with what one of the two indexes bounds, also where that follows from the rest.
    """
    within = and_(low >= start, low < end, high <= end)
    clauses: dict[str, ColumnElement[bool]] = {
        "eq": within,
        "ne": or_(low < start, high > end),
        "gt": high > end,
        "lt": low < start,
        "ge": and_(high > start, or_(high > end, low >= start)),
        "le": and_(low < end, or_(low < start, high <= end)),
        "sa": low >= end,
        "eb": high <= start,
        "ap": and_(low < end, high > start),
    }
    return clauses[prefix]


def _moment(prefix: str, start: datetime, end: datetime, moment: Any) -> ColumnElement[bool]:
    within = and_(moment >= start, moment < end)
    clauses: dict[str, ColumnElement[bool]] = {
        "eq": within,
        "ne": or_(moment < start, moment >= end),
        "gt": moment >= end,
        "lt": moment < start,
        "ge": moment >= start,
        "le": moment < end,
        "sa": moment >= end,
        "eb": moment < start,
        "ap": within,
    }
    return clauses[prefix]


def _matching_reference(
    criterion: ChainedCriterion | HasCriterion, resource_type: str, inner_limit: int
) -> Select[Any] | None:
    """Go from the inside out: first what fulfils the inner criterion, then the references."""
    inner_type = criterion.target_type if isinstance(criterion, ChainedCriterion) else criterion.source_type
    inner = matching(criterion.criterion, inner_type, inner_limit)
    if inner is None:
        return None
    ids = inner.limit(inner_limit).subquery().c[0]
    row = aliased(ReferenceRow)
    if isinstance(criterion, ChainedCriterion):
        return select(row.resource_id).where(
            row.resource_type == resource_type,
            row.parameter == criterion.parameter,
            row.target.in_(select(literal(f"{inner_type}/") + ids)),
        )
    return select(func.substr(row.target, len(resource_type) + 2)).where(
        row.resource_type == inner_type,
        row.resource_id.in_(select(ids)),
        row.parameter == criterion.parameter,
        func.substr(row.target, 1, len(resource_type) + 1) == f"{resource_type}/",
    )


def _probe_reference(
    criterion: ChainedCriterion | HasCriterion, resource_type: str, identity: Any
) -> ColumnElement[bool]:
    row = aliased(ReferenceRow)
    if isinstance(criterion, ChainedCriterion):
        target = criterion.target_type
        identity_there = func.substr(row.target, len(target) + 2)
        resource = aliased(ResourceRow)
        # A reference can be to what is not stored, of which even a `:not` does not hold.
        stored = _there(resource.type == target, resource.id == identity_there, resource.deleted.is_(False))
        return _there(
            row.resource_type == resource_type,
            row.parameter == criterion.parameter,
            row.resource_id == identity,
            func.substr(row.target, 1, len(target) + 1) == f"{target}/",
            stored,
            probe(criterion.criterion, target, identity_there),
        )
    return _there(
        row.resource_type == criterion.source_type,
        row.parameter == criterion.parameter,
        row.target == literal(f"{resource_type}/") + identity,
        probe(criterion.criterion, criterion.source_type, row.resource_id),
    )

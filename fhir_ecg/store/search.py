"""Search criteria to SQL."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from fhir_ecg.fhir.outcome import MalformedError, Problem
from fhir_ecg.fhir.search import (
    CURSOR,
    ChainedCriterion,
    Criterion,
    DateCriterion,
    IdCriterion,
    LastUpdatedCriterion,
    ReferenceCriterion,
    Search,
    TokenCriterion,
)
from fhir_ecg.store.tables import DateRow, ReferenceRow, ResourceRow, TokenRow


@dataclass(frozen=True)
class Page:
    """The ids of one page of matches, newest first."""

    ids: list[str]
    total: int
    next_cursor: str | None


def find(session: Session, search: Search) -> Page:
    """Run a search; pages follow each other by key, so that what is added meanwhile shifts nothing.

    Raises:
        MalformedError: The cursor is none of ours.
    """
    matches = and_(
        ResourceRow.type == search.resource_type,
        *(_clause(criterion, search.resource_type, ResourceRow) for criterion in search.criteria),
    )
    total = session.scalar(select(func.count()).select_from(ResourceRow).where(matches)) or 0
    if search.count == 0:
        return Page([], total, None)
    key = tuple_(ResourceRow.last_updated, ResourceRow.id)
    page = select(ResourceRow).where(matches)
    if search.cursor is not None:
        page = page.where(key < tuple_(*_read_cursor(search.cursor)))
    page = page.order_by(ResourceRow.last_updated.desc(), ResourceRow.id.desc()).limit(search.count + 1)
    rows = list(session.scalars(page))
    more = len(rows) > search.count
    rows = rows[: search.count]
    return Page([row.id for row in rows], total, _write_cursor(rows[-1]) if more else None)


def _clause(criterion: Criterion, resource_type: str, resource: Any) -> ColumnElement[bool]:
    if isinstance(criterion, IdCriterion):
        return resource.id.in_(criterion.ids)  # type: ignore[no-any-return]
    if isinstance(criterion, LastUpdatedCriterion):
        # A moment: its range is the moment itself.
        return _ranges(criterion.ranges, resource.last_updated, resource.last_updated)
    table: Any = aliased(_TABLES[type(criterion)])
    return exists().where(
        table.resource_type == resource_type,
        table.resource_id == resource.id,
        table.parameter == criterion.parameter,
        _matches(criterion, table),
    )


_TABLES: dict[type, type[TokenRow | ReferenceRow | DateRow]] = {
    TokenCriterion: TokenRow,
    ReferenceCriterion: ReferenceRow,
    DateCriterion: DateRow,
    ChainedCriterion: ReferenceRow,
}


def _matches(criterion: Criterion, table: Any) -> ColumnElement[bool]:
    if isinstance(criterion, TokenCriterion):
        return or_(*(_token(system, code, table) for system, code in criterion.tokens))
    if isinstance(criterion, ReferenceCriterion):
        return table.target.in_(criterion.targets)  # type: ignore[no-any-return]
    if isinstance(criterion, DateCriterion):
        return _ranges(criterion.ranges, table.low, table.high)
    if isinstance(criterion, ChainedCriterion):
        target = aliased(ResourceRow)
        return exists().where(
            target.type == criterion.target_type,
            table.target == criterion.target_type + "/" + target.id,
            _clause(criterion.criterion, criterion.target_type, target),
        )
    raise TypeError(f"{type(criterion).__name__} has no index table")


def _token(system: str | None, code: str | None, table: Any) -> ColumnElement[bool]:
    parts = []
    if system is not None:
        parts.append(table.system == system)
    if code is not None:
        parts.append(table.code == code)
    return and_(*parts)


def _ranges(ranges: Iterable[tuple[str, datetime, datetime]], low: Any, high: Any) -> ColumnElement[bool]:
    return or_(*(_in_range(prefix, start, end, low, high) for prefix, start, end in ranges))


def _in_range(prefix: str, start: datetime, end: datetime, low: Any, high: Any) -> ColumnElement[bool]:
    """Compare the stored [low, high) with the sought [start, end), as search.html#prefix defines."""
    within = and_(low >= start, high <= end)
    clauses: dict[str, ColumnElement[bool]] = {
        "eq": within,
        "ne": ~within,
        "gt": high > end,
        "lt": low < start,
        "ge": or_(high > end, within),
        "le": or_(low < start, within),
        "sa": low >= end,
        "eb": high <= start,
    }
    return clauses[prefix]


def _write_cursor(row: ResourceRow) -> str:
    return base64.urlsafe_b64encode(f"{row.last_updated.isoformat()}|{row.id}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        moment, _, identity = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
        return datetime.fromisoformat(moment), identity
    except (ValueError, binascii.Error) as error:
        text = f"{CURSOR} is no page of this server; take the address from the Bundle's next link."
        raise MalformedError(Problem("invalid", text)) from error

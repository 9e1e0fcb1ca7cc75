"""Running a search at a cost that does not grow with what is stored.

No criterion is counted beyond a thousand matches. Where one has no more, its matches are looked at, one by one. Where
all have more, matches are dense: the resources are walked through in the order that is wanted until the page is full.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, literal_column, select
from sqlalchemy.orm import Session

from fhir_ecg.fhir.search import Search, SortKey
from fhir_ecg.fhir.search_criteria import Criterion, DateCriterion, LastUpdatedCriterion
from fhir_ecg.store.search_clauses import chained_through, low_bounds, matching, moment_in, probe
from fhir_ecg.store.search_order import (
    Place,
    Walk,
    read_cursor,
    walk,
    walk_through,
    with_id,
    write_cursor,
)
from fhir_ecg.store.tables import ResourceRow

MOST_COUNTED = 1000
# So far a walk goes on hope; then the criterion with fewest matches is looked at, if it has no more than that.
_WINDOW = 2000
_MOST_GATHERED = 10_000


@dataclass(frozen=True)
class Page:
    """The ids of one page of matches, in order."""

    ids: list[str]
    total: int | None
    """None where it was not wanted, or would have cost too much to count."""
    next_cursor: str | None


@dataclass(frozen=True)
class _Driver:
    """The criterion with fewest matches."""

    criterion: Criterion | None
    count: int


def find(session: Session, search: Search) -> Page:
    """Run a search; pages follow each other by key, so that what is added meanwhile shifts nothing.

    Raises:
        MalformedError: The cursor is none of ours.
    """
    keys = with_id(search.sort)
    after = read_cursor(search.cursor, keys) if search.cursor is not None else None
    if search.count == 0 or search.summary == "count":
        return Page([], _count_all(session, search), None)
    driver = _driver(session, search, MOST_COUNTED)
    wanted = search.count + 1
    total: int | None = None
    if driver.criterion is not None and driver.count <= MOST_COUNTED:
        gathered, total = _gather(session, search, driver.criterion, after, MOST_COUNTED)
        found = gathered[:wanted]
    else:
        found = _walk(session, search, walk(search.resource_type, keys), after, wanted)
        if not search.criteria and driver.count <= MOST_COUNTED:
            total = driver.count
        elif after is None and len(found) < wanted:
            total = len(found)
    if search.total == "none":
        total = None
    elif search.total == "accurate" and total is None:
        total = _count_all(session, search)
    more = len(found) == wanted
    found = found[: search.count]
    return Page([place[-1] for place in found], total, write_cursor(found[-1], keys) if more else None)


def _driver(session: Session, search: Search, most: int) -> _Driver:
    """Count the matches of each criterion, up to one more than `most`; None is the type alone."""
    if not search.criteria:
        everything = select(ResourceRow.id).where(
            ResourceRow.type == search.resource_type, ResourceRow.deleted.is_(False)
        )
        return _Driver(None, _count(session, everything, most))
    counts = [
        _Driver(criterion, _matches(session, criterion, search.resource_type, most)) for criterion in search.criteria
    ]
    return min(counts, key=lambda driver: driver.count)


def _matches(session: Session, criterion: Criterion, resource_type: str, most: int) -> int:
    selected = matching(criterion, resource_type, most)
    if selected is None:
        return most + 1
    for inner, inner_type in chained_through(criterion):
        if _matches(session, inner, inner_type, most) > most:
            return most + 1
    return _count(session, selected, most)


def _count(session: Session, selected: Select[Any], most: int) -> int:
    some = selected.limit(_written(most + 1)).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def _written(number: int) -> ColumnElement[int]:
    # Not as a parameter: PostgreSQL plans for the number that it sees.
    return literal_column(str(number))


def _gather(
    session: Session, search: Search, criterion: Criterion, after: Place | None, most: int
) -> tuple[list[Place], int]:
    """List the matches after a place in order, and count all, by way of the one criterion."""
    listed = matching(criterion, search.resource_type, most)
    if listed is None:
        raise TypeError(f"{criterion} cannot be listed")
    ids = select(listed.limit(_written(most + 1)).subquery().c[0]).distinct().subquery()
    way = walk_through(ids, search.resource_type, with_id(search.sort))
    tests = [probe(other, search.resource_type, way.identity) for other in search.criteria if other is not criterion]
    is_next = literal(True) if after is None else way.after(after)
    rows = session.execute(way.select.where(*tests).add_columns(is_next)).all()
    return [tuple(row[:-1]) for row in rows if row[-1]], len(rows)


def _walk(session: Session, search: Search, way: Walk, after: Place | None, wanted: int) -> list[Place]:
    """Look at resources in order until enough match."""
    whole = way.select.where(*_bounds(search, way))
    if after is not None:
        whole = whole.where(way.after(after))
    tests = [probe(criterion, search.resource_type, way.identity) for criterion in search.criteria]
    matches = whole.where(*tests).limit(_written(wanted))
    end = session.execute(whole.offset(_written(_WINDOW)).limit(_written(1))).first() if tests else None
    if end is None:
        return [tuple(row) for row in session.execute(matches)]
    found = [tuple(row) for row in session.execute(matches.where(way.up_to(tuple(end))))]
    if len(found) == wanted:
        return found
    driver = _driver(session, search, _MOST_GATHERED)
    if driver.criterion is not None and driver.count <= _MOST_GATHERED:
        return _gather(session, search, driver.criterion, after, _MOST_GATHERED)[0][:wanted]
    return [tuple(row) for row in session.execute(matches)]


def _bounds(search: Search, way: Walk) -> list[ColumnElement[bool]]:
    """Leave out parts of the way where a criterion on the first sort key cannot hold."""
    column, bounds = way.columns[0], []
    for criterion in search.criteria:
        if isinstance(criterion, LastUpdatedCriterion) and way.keys[0].parameter == "_lastUpdated":
            bounds.append(moment_in(criterion.ranges, column))
        elif isinstance(criterion, DateCriterion) and way.keys[0].parameter == criterion.parameter:
            first, last = low_bounds(criterion.ranges)
            bounds += [column >= literal(first, column.type)] if first else []
            bounds += [column < literal(last, column.type)] if last else []
    return bounds


def _count_all(session: Session, search: Search) -> int:
    """Count every match, whatever it costs."""
    resource_type = search.resource_type
    driver = _driver(session, search, MOST_COUNTED)
    listed = matching(driver.criterion, resource_type, MOST_COUNTED) if driver.criterion is not None else None
    cut_off = driver.criterion is not None and driver.count > MOST_COUNTED and chained_through(driver.criterion)
    if listed is None or cut_off:
        tests = [probe(criterion, resource_type, ResourceRow.id) for criterion in search.criteria]
        everything = select(func.count()).select_from(ResourceRow)
        clauses = (ResourceRow.type == resource_type, ResourceRow.deleted.is_(False), *tests)
        return session.scalar(everything.where(*clauses)) or 0
    ids = select(listed.subquery().c[0]).distinct().subquery()
    # By way of the resources: what is referred to need not be stored.
    way = walk_through(ids, resource_type, (SortKey("_id"),))
    tests = [probe(other, resource_type, way.identity) for other in search.criteria if other is not driver.criterion]
    return session.scalar(select(func.count()).select_from(way.select.where(*tests).subquery())) or 0

"""The order of matches, and the places in it where pages begin."""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select, tuple_
from sqlalchemy.orm import aliased

from fhir_ecg.fhir.dates import EARLIEST
from fhir_ecg.fhir.outcome import MalformedError, Problem
from fhir_ecg.fhir.search import CREATED, CURSOR, SortKey
from fhir_ecg.store.base import UtcDateTime
from fhir_ecg.store.search_tables import SortRow
from fhir_ecg.store.tables import ResourceRow

Place = tuple[Any, ...]
"""The values of the sort keys of one resource; the last one is its id."""

_OF_RESOURCE = {"_id": "id", "_lastUpdated": "last_updated", CREATED: "created"}
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_LONGEST_CURSOR = 1000


def with_id(sort: tuple[SortKey, ...]) -> tuple[SortKey, ...]:
    """End the sort keys with the id, so that no two resources have the same place."""
    names = [key.parameter for key in sort]
    if "_id" in names:
        return sort[: names.index("_id") + 1]
    return (*sort, SortKey("_id", sort[-1].descending))


@dataclass(frozen=True)
class Walk:
    """A way through resources of a type in order: through all along an index, or through those of some ids.

    Every comparison is the database's, also of ids, which it may order otherwise than Python.
    """

    select: Select[Any]
    """Selects places; ordered."""
    columns: tuple[Any, ...]
    keys: tuple[SortKey, ...]

    @property
    def identity(self) -> Any:
        """The column of ids."""
        return self.columns[-1]

    def after(self, place: Place) -> ColumnElement[bool]:
        """Test whether a resource comes after a place, by a range of the index."""
        descending = self.keys[0].descending
        values = [literal(value, column.type) for value, column in zip(place, self.columns, strict=True)]
        if all(key.descending == descending for key in self.keys):
            here, there = tuple_(*self.columns), tuple_(*values)
            return here < there if descending else here > there
        beyond = []
        for number, key in enumerate(self.keys):
            same = [c == v for c, v in zip(self.columns[:number], values[:number], strict=True)]
            column, value = self.columns[number], values[number]
            beyond.append(and_(*same, column < value if key.descending else column > value))
        return and_(self._from(place), or_(*beyond))

    def up_to(self, place: Place) -> ColumnElement[bool]:
        """Test whether a resource comes, by the first key, no later than a place."""
        column, value = self.columns[0], literal(place[0], self.columns[0].type)
        return column >= value if self.keys[0].descending else column <= value  # type: ignore[no-any-return]

    def _from(self, place: Place) -> ColumnElement[bool]:
        column, value = self.columns[0], literal(place[0], self.columns[0].type)
        return column <= value if self.keys[0].descending else column >= value  # type: ignore[no-any-return]


def walk(resource_type: str, keys: tuple[SortKey, ...]) -> Walk:
    """Set out to walk in an order; its first key has an index, the others are looked up."""
    first, *others = keys
    base: Any
    if first.parameter in _OF_RESOURCE:
        base = aliased(ResourceRow)
        identity = base.id
        clauses = [base.type == resource_type, base.deleted.is_(False)]
        columns = [getattr(base, _OF_RESOURCE[first.parameter])]
    else:
        base = aliased(SortRow)
        identity = base.resource_id
        clauses = [base.resource_type == resource_type, base.parameter == first.parameter]
        columns = [base.value]
    selected = select(*columns).select_from(base).where(*clauses)
    for key in others:
        selected, column = _with_key(selected, resource_type, key, identity)
        columns.append(column)
    return _in_order(selected, columns, keys)


def walk_through(ids: Any, resource_type: str, keys: tuple[SortKey, ...]) -> Walk:
    """Set out to walk in an order through the resources whose ids a subquery gives."""
    resource = aliased(ResourceRow)
    columns: list[Any] = []
    selected = select().select_from(ids).join(resource, and_(resource.type == resource_type, resource.id == ids.c[0]))
    for key in keys:
        if key.parameter in _OF_RESOURCE:
            column = getattr(resource, _OF_RESOURCE[key.parameter])
            selected = selected.add_columns(column)
        else:
            selected, column = _with_key(selected, resource_type, key, resource.id)
        columns.append(column)
    return _in_order(selected.where(resource.deleted.is_(False)), columns, keys)


def _in_order(selected: Select[Any], columns: list[Any], keys: tuple[SortKey, ...]) -> Walk:
    ordered = [column.desc() if key.descending else column.asc() for key, column in zip(keys, columns, strict=True)]
    return Walk(selected.order_by(*ordered), tuple(columns), keys)


def _with_key(selected: Select[Any], resource_type: str, key: SortKey, identity: Any) -> tuple[Select[Any], Any]:
    if key.parameter == "_id":
        return selected.add_columns(identity), identity
    if key.parameter in _OF_RESOURCE:
        resource = aliased(ResourceRow)
        same = and_(resource.type == resource_type, resource.id == identity)
        column = getattr(resource, _OF_RESOURCE[key.parameter])
        return selected.outerjoin(resource, same).add_columns(column), column
    row = aliased(SortRow)
    same = and_(row.resource_type == resource_type, row.resource_id == identity, row.parameter == key.parameter)
    value = func.coalesce(row.value, literal(EARLIEST, UtcDateTime()), type_=UtcDateTime())
    return selected.outerjoin(row, same).add_columns(value), value


def write_cursor(place: Place, keys: tuple[SortKey, ...]) -> str:
    """Write a place as text that only this server reads."""
    values = [value.isoformat() if isinstance(value, datetime) else value for value in place]
    return base64.urlsafe_b64encode(json.dumps([_named(keys), *values]).encode()).decode().rstrip("=")


def read_cursor(cursor: str, keys: tuple[SortKey, ...]) -> Place:
    """Read a place.

    Raises:
        MalformedError: The cursor is none of ours, or belongs to another order.
    """
    try:
        padded = cursor[:_LONGEST_CURSOR] + "=" * (-len(cursor) % 4)
        named, *values = json.loads(base64.urlsafe_b64decode(padded.encode()).decode())
        place = tuple(_value(key, value) for key, value in zip(keys, values, strict=True))
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error) as error:
        raise _no_page() from error
    if named != _named(keys):
        raise _no_page()
    return place


def _no_page() -> MalformedError:
    text = f"{CURSOR} is no page of this search; take the address from the Bundle's next link."
    return MalformedError(Problem("invalid", text))


def _named(keys: tuple[SortKey, ...]) -> str:
    return ",".join(f"{'-' if key.descending else ''}{key.parameter}" for key in keys)


def _value(key: SortKey, value: str) -> Any:
    if key.parameter != "_id":
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError("a moment without zone")
        return moment.astimezone(UTC)
    if not _ID.fullmatch(value):
        raise ValueError("no id")
    return value

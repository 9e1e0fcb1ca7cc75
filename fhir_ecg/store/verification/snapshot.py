"""One view of the database for a whole verification, beside processes that go on writing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Engine, inspect, select, tuple_
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from fhir_ecg.store.base import Base

UNREADABLE = (ValueError, TypeError, StatementError)
"""What is raised where a value is none of its column's type, which SQLite lets anybody write."""
_PAGE = 500
# Pages of tables whose rows can hold megabytes.
_SMALLER_PAGES = {"resource_version": 100, "submission": 10, "weights": 1}

Row = TypeVar("Row", bound=Base)


@contextmanager
def snapshot(engine: Engine) -> Iterator[Session]:
    """Begin to read; what others commit from then on is not seen."""
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with Session(engine, autoflush=False, expire_on_commit=False) as session:
        yield session


def pages(
    session: Session, table: type[Row], *where: ColumnElement[bool], order: Sequence[Any] | None = None
) -> Iterator[tuple[list[Row], list[str]]]:
    """Read a table page by page, in the order of its primary key or of other columns that are unique together.

    Yields:
        The rows, and the names of those that cannot be read because a value is none of its column's type.
    """
    key = order or inspect(table).primary_key
    last: tuple[Any, ...] | None = None
    size = _SMALLER_PAGES.get(table.__tablename__, _PAGE)
    while True:
        begun = where if last is None else (*where, tuple_(*key) > last)
        keys = [tuple(found) for found in session.execute(select(*key).where(*begun).order_by(*key).limit(size))]
        if not keys:
            return
        last = keys[-1]
        upper = (*begun, tuple_(*key) <= last)
        try:
            found = list(session.scalars(select(table).where(*upper).order_by(*key)))
            yield found, []
        except UNREADABLE:
            yield _one_by_one(session, table, key, keys)
        session.expunge_all()


def _one_by_one(
    session: Session, table: type[Row], key: Sequence[Any], keys: list[tuple[Any, ...]]
) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    unreadable = []
    for values in keys:
        same = [column == value for column, value in zip(key, values, strict=True)]
        try:
            rows += session.scalars(select(table).where(*same)).all()
        except UNREADABLE:
            unreadable.append("/".join(map(str, values)))
    return rows, unreadable

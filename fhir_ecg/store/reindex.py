"""Writing the search index of older versions anew, and that of the audit entries, beside processes that go on."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, and_, delete, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from fhir_ecg.store.audit_index import index_rows
from fhir_ecg.store.engine import WRITES
from fhir_ecg.store.resources import Resources
from fhir_ecg.store.search_index import INDEX_VERSION, write_index
from fhir_ecg.store.tables import AuditEventRow, AuditReferenceRow, ResourceRow
from fhir_ecg.store.verification.snapshot import pages, snapshot

_BATCH = 100
_REFERENCE = ("role", "value", "recorded", "event_id")


class Mended(NamedTuple):
    """What a step came to."""

    seen: int
    """Rows that were looked at."""
    added: int = 0
    removed: int = 0


def outdated(engine: Engine) -> int:
    """Count the resources that parameters of this version may not find, since an older one has indexed them."""
    with Session(engine) as session:
        return session.scalar(select(func.count()).select_from(ResourceRow).where(_outdated())) or 0


def reindex(engine: Engine) -> Iterator[int]:
    """Index them, yielding how many after each short transaction; ended early, the next call goes on there.

    Resources that another process is changing are passed over at first, and waited for one by one at the end: so this
    never holds one while it waits for another, and can block nobody for good.
    """
    for size, skip_locked in ((_BATCH, True), (1, False)):
        last: tuple[str, str] | None = None
        while True:
            with Session(engine.execution_options(**{WRITES: True})) as session, session.begin():
                rows = _next(session, last, size, skip_locked=skip_locked)
                for row in rows:
                    _index(session, row)
                done = [(row.type, row.id) for row in rows]
            if not done:
                break
            last = done[-1]
            yield len(done)


def _outdated() -> ColumnElement[bool]:
    return and_(ResourceRow.index_version < INDEX_VERSION, ResourceRow.deleted.is_(False))


def _next(session: Session, last: tuple[str, str] | None, size: int, *, skip_locked: bool) -> list[ResourceRow]:
    key = (ResourceRow.type, ResourceRow.id)
    wanted = select(ResourceRow).where(_outdated()).order_by(*key).limit(size)
    if last is not None:
        wanted = wanted.where(tuple_(*key) > last)
    return list(session.scalars(wanted.with_for_update(skip_locked=skip_locked)))


def _index(session: Session, row: ResourceRow) -> None:
    stored = Resources(session).get(row.type, row.id)
    if stored is not None:
        write_index(session, stored.content, new=False)
    row.index_version = INDEX_VERSION


def count_audit_index(engine: Engine) -> int:
    """Count the rows that `reindex_audit` looks at: audit entries, and what they are found by."""
    with Session(engine) as session:
        tables = (AuditEventRow, AuditReferenceRow)
        return sum(session.scalar(select(func.count()).select_from(table)) or 0 for table in tables)


def reindex_audit(engine: Engine) -> Iterator[Mended]:
    """Let each audit entry be found by what it says, and by nothing else.

    What is right stays; ended early, another call has only the rest to write. It looks at what was there when it
    began: an entry of this version is written together with what it is found by.
    """
    writable = engine.execution_options(**{WRITES: True})
    with snapshot(engine) as view:
        for entries, unreadable in pages(view, AuditEventRow):
            added = _add_references(writable, [row for entry in entries for row in _references(entry)])
            yield Mended(len(entries) + len(unreadable), added=added)
        for rows, unreadable in pages(view, AuditReferenceRow):
            wrong = _wrong_references(view, rows)
            _remove_references(writable, wrong)
            yield Mended(len(rows) + len(unreadable), removed=len(wrong))


def _references(entry: AuditEventRow) -> list[dict[str, Any]]:
    columns = {"id": entry.id, "recorded": entry.recorded, "entities": entry.entities, "detail": entry.detail}
    try:
        return index_rows([columns])
    except (ValueError, TypeError, KeyError, AttributeError):
        return []  # no entry that this service writes: a verification names it


def _add_references(engine: Engine, rows: list[dict[str, Any]]) -> int:
    insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    added = 0
    for start in range(0, len(rows), _BATCH):
        with engine.begin() as connection:
            some = insert(AuditReferenceRow).values(rows[start : start + _BATCH]).on_conflict_do_nothing()
            added += connection.execute(some, execution_options={"preserve_rowcount": True}).rowcount
    return added


def _wrong_references(view: Session, rows: Iterable[AuditReferenceRow]) -> list[dict[str, Any]]:
    found = [{name: getattr(row, name) for name in _REFERENCE} for row in rows]
    wanted = select(AuditEventRow).where(AuditEventRow.id.in_({row["event_id"] for row in found}))
    right = {_key(row) for entry in view.scalars(wanted) for row in _references(entry)}
    return [row for row in found if _key(row) not in right]


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _REFERENCE)


def _remove_references(engine: Engine, rows: list[dict[str, Any]]) -> None:
    if rows:
        with engine.begin() as connection:
            for row in rows:
                same = (getattr(AuditReferenceRow, name) == value for name, value in row.items())
                connection.execute(delete(AuditReferenceRow).where(*same))

"""Writing the search index of older versions anew, beside processes that go on."""

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Engine, and_, func, select, tuple_
from sqlalchemy.orm import Session

from fhir_ecg.store.engine import WRITES
from fhir_ecg.store.resources import Resources
from fhir_ecg.store.search_index import INDEX_VERSION, write_index
from fhir_ecg.store.tables import ResourceRow

_BATCH = 100


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

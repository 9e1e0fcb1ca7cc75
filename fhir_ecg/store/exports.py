"""Exports: which versions belong to one, where its files begin and end, and what stands in them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, and_, delete, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.store.resources import Resources
from fhir_ecg.store.tables import ExportRow, ResourceRow, ResourceVersionRow

# A file has some 25 MB at most, since what its reader has not yet taken waits on disk: an Observation that holds an ECG
# has some 100 kB, others, and deletions, less.
_MOST_IN_A_FILE = {"Observation": 250}
_MOST_IN_OTHER_FILES = 10_000
# So many are walked by in one transaction.
_STRIDE = 10_000


@dataclass(frozen=True)
class ExportFile:
    """A part of an export: the resources of a type from one id to another, or the deletions among them."""

    kind: str
    after: str
    """The id after which it begins."""
    last: str
    """The id with which it ends."""
    count: int
    deleted: bool = False
    """Whether it lists what was deleted, not what is there."""


@dataclass(frozen=True)
class Export:
    """An export, as far as its files are known."""

    id: str
    client: str | None
    request: str
    kinds: tuple[str, ...]
    elements: tuple[str, ...]
    since: datetime | None
    until: datetime | None
    as_of: datetime
    expires_at: datetime
    steps: int = 0
    walked: int = 0
    kind: str | None = None
    after: str = ""
    files: tuple[ExportFile, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all files are known."""
        return self.kind is None


@dataclass(frozen=True)
class Line:
    """One resource of a file: as JSON; without content where it was deleted."""

    identity: str
    content: bytes | None


class Exports:
    """The exports, in one transaction."""

    def __init__(self, session: Session, resources: Resources) -> None:
        self._session = session
        self._resources = resources

    def add(self, export: Export) -> None:
        """Keep an export."""
        self._session.add(ExportRow(**_columns(export)))

    def get(self, identity: str, client: str | None, moment: datetime) -> Export | None:
        """Find a client's export that has not expired."""
        own = ExportRow.client.is_(None) if client is None else ExportRow.client == client
        wanted = select(ExportRow).where(ExportRow.id == identity, own, ExportRow.expires_at > moment)
        row = self._session.scalars(wanted).one_or_none()
        return None if row is None else _export(row)

    def count(self, client: str | None) -> int:
        """Count a client's exports."""
        own = ExportRow.client.is_(None) if client is None else ExportRow.client == client
        return self._session.scalar(select(func.count()).select_from(ExportRow).where(own)) or 0

    def delete(self, identity: str) -> None:
        """Forget an export."""
        self._session.execute(delete(ExportRow).where(ExportRow.id == identity))

    def delete_expired(self, moment: datetime) -> None:
        """Forget the exports that have expired."""
        self._session.execute(delete(ExportRow).where(ExportRow.expires_at <= moment))

    def advance(self, before: Export, after: Export) -> bool:
        """Keep how far the walk has come; False where another has brought it on meanwhile, or it was given up."""
        values = {name: _columns(after)[name] for name in ("steps", "walked", "kind", "after", "files")}
        same = (ExportRow.id == before.id, ExportRow.steps == before.steps)
        result = self._session.execute(update(ExportRow).where(*same).values(**values))
        assert isinstance(result, CursorResult)  # noqa: S101 - what an UPDATE gives
        return bool(result.rowcount)

    def walk(self, export: Export) -> Export:
        """Walk through the next piece of the store, in the order of the primary key.

        What was deleted is told to who knows an earlier state, so only where `since` is given.
        """
        kind = export.kind
        if kind is None:
            return export
        stride = min(_most(kind, deleted=False), _STRIDE)
        ids = select(ResourceRow.id).where(ResourceRow.type == kind, ResourceRow.id > export.after)
        piece = ids.order_by(ResourceRow.id).limit(stride).subquery()
        passed, last = self._session.execute(select(func.count(), func.max(piece.c.id))).one()
        if not passed:
            rest = export.kinds[export.kinds.index(kind) + 1 :]
            return replace(export, steps=export.steps + 1, kind=rest[0] if rest else None, after="")
        files = export.files
        for deleted in (False, True) if export.since is not None else (False,):
            part = ExportFile(kind, export.after, last, 0, deleted)
            counted = select(func.count()).select_from(ResourceVersionRow).where(*_belongs(export, part))
            files = _joined(files, replace(part, count=self._session.scalar(counted) or 0))
        return replace(export, steps=export.steps + 1, walked=export.walked + passed, after=last, files=files)

    def lines(self, export: Export, file: ExportFile, limit: int) -> Iterator[Line]:
        """Read resources of a file, from its beginning up to a limit, in the order of ids."""
        wanted = select(ResourceVersionRow).where(*_belongs(export, file))
        for row in self._session.scalars(wanted.order_by(ResourceVersionRow.id).limit(limit)):
            content = None if file.deleted else row.content or serialise(self._resources.stored(row).content)
            yield Line(row.id, content)


def _most(kind: str, *, deleted: bool) -> int:
    return _MOST_IN_OTHER_FILES if deleted else _MOST_IN_A_FILE.get(kind, _MOST_IN_OTHER_FILES)


def _joined(files: tuple[ExportFile, ...], found: ExportFile) -> tuple[ExportFile, ...]:
    """Add a piece to the last file of its like where that has room, so that few resources among many are one file."""
    if not found.count:
        return files
    like = [number for number, file in enumerate(files) if (file.kind, file.deleted) == (found.kind, found.deleted)]
    if like and files[like[-1]].count + found.count <= _most(found.kind, deleted=found.deleted):
        last = files[like[-1]]
        joined = replace(last, last=found.last, count=last.count + found.count)
        return (*files[: like[-1]], joined, *files[like[-1] + 1 :])
    return (*files, found)


def _belongs(export: Export, file: ExportFile) -> list[ColumnElement[bool]]:
    """Choose the versions that were current at the export's moment."""
    row = ResourceVersionRow
    later = aliased(ResourceVersionRow)
    replaced = exists().where(
        later.type == row.type, later.id == row.id, later.version > row.version, later.last_updated <= export.as_of
    )
    clauses = [
        row.type == file.kind,
        row.id > file.after,
        row.id <= file.last,
        row.last_updated <= export.as_of,
        ~replaced,
        row.deleted.is_(True) if file.deleted else and_(~row.deleted, row.expired_at.is_(None)),
    ]
    if export.since is not None:
        clauses.append(row.last_updated > export.since)
    if export.until is not None:
        clauses.append(row.last_updated < export.until)
    return clauses


def _columns(export: Export) -> dict[str, Any]:
    lists = {"kinds": list(export.kinds), "elements": list(export.elements), "files": [vars(f) for f in export.files]}
    return vars(export) | lists


def _export(row: ExportRow) -> Export:
    columns = {column.key: getattr(row, column.key) for column in ExportRow.__table__.columns}
    lists = {
        "kinds": tuple(row.kinds),
        "elements": tuple(row.elements),
        "files": tuple(ExportFile(**file) for file in row.files),
    }
    return Export(**columns | lists)

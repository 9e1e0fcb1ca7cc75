"""FHIR resources with their versions and their search index."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from fhir_ecg.fhir.parsing import parse_json, serialise
from fhir_ecg.fhir.report import instant
from fhir_ecg.store.search_index import INDEX_VERSION, clear_index, write_index
from fhir_ecg.store.tables import ResourceRow, ResourceVersionRow, SubmissionRow

MOST_COUNTED = 1000


@dataclass(frozen=True)
class StoredResource:
    """One version of a resource as it is served."""

    content: dict[str, Any]
    version: int
    last_updated: datetime

    @property
    def reference(self) -> str:
        """Reference without version."""
        return f"{self.content['resourceType']}/{self.content['id']}"

    @property
    def versioned_reference(self) -> str:
        """Reference to this version."""
        return f"{self.reference}/_history/{self.version}"


@dataclass(frozen=True)
class Version:
    """One version in a history; without content where it is a deletion."""

    kind: str
    identity: str
    version: int
    last_updated: datetime
    content: dict[str, Any] | None
    expired_at: datetime | None = None

    @property
    def versioned_reference(self) -> str:
        """Reference to this version."""
        return f"{self.kind}/{self.identity}/_history/{self.version}"


class DeletedError(Exception):
    """The resource was deleted; its earlier versions can be read."""

    def __init__(self, version: Version) -> None:
        super().__init__(f"{version.kind}/{version.identity} was deleted")
        self.version = version


class ExpiredError(DeletedError):
    """The content of the version was removed when its retention ended; `has_current` where a later one can be read."""

    def __init__(self, version: Version, *, has_current: bool) -> None:
        super().__init__(version)
        self.args = (f"{version.versioned_reference} has expired",)
        self.has_current = has_current


HistoryKey = tuple[datetime, str, str, int]


@dataclass(frozen=True)
class HistoryWanted:
    """Which versions a history is to have."""

    kinds: tuple[str, ...]
    identity: str | None
    count: int
    since: datetime | None = None
    at: tuple[datetime, datetime] | None = None
    """Versions that were current at some time from the first moment up to, not including, the second."""
    before: HistoryKey | None = None
    """The last version of the page before."""


@dataclass(frozen=True)
class HistoryPage:
    """A page of versions, the newest first."""

    versions: list[Version]
    total: int | None
    """None where there are more than are counted."""
    last: HistoryKey | None
    """Where a next page begins; None where there is none."""


class Resources:
    """The resources of one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(
        self,
        resource: dict[str, Any],
        moment: datetime,
        *,
        submission_id: str | None = None,
        keep_content: bool = True,
    ) -> StoredResource:
        """Store a resource as the next version of its id.

        Without its content it is rendered at each read from its submission's bytes, which must be R4 JSON.
        """
        kind, identity = resource["resourceType"], resource["id"]
        row = self._next_version(kind, identity, moment)
        row.deleted = False
        rendered = _render(resource, identity, row.version, moment)
        content = serialise(rendered) if keep_content else None
        self._session.add(
            ResourceVersionRow(
                type=kind,
                id=identity,
                version=row.version,
                last_updated=moment,
                content=content,
                submission_id=submission_id,
            )
        )
        write_index(self._session, rendered, new=row.version == 1)
        return StoredResource(rendered, row.version, moment)

    def get(
        self, kind: str, identity: str, version: int | None = None, *, for_update: bool = False
    ) -> StoredResource | None:
        """Read one version, or the current one; `for_update` keeps others from changing it until the commit.

        Raises:
            DeletedError: That version is a deletion.
            ExpiredError: It has expired.
        """
        if version is None:
            current = self._session.get(
                ResourceRow, (kind, identity), with_for_update=for_update or None, populate_existing=for_update
            )
            if current is None:
                return None
            version = current.version
        row = self._session.get(ResourceVersionRow, (kind, identity, version))
        if row is not None and row.expired_at is not None:
            current = self._session.get(ResourceRow, (kind, identity))
            raise ExpiredError(self._version(row), has_current=current is not None and not current.deleted)
        if row is not None and row.deleted:
            raise DeletedError(self._version(row))
        return None if row is None else self.stored(row)

    def get_many(self, kind: str, identities: Sequence[str]) -> list[StoredResource]:
        """Read the current versions of those that are stored and not deleted, in the order of their ids' list."""
        current = and_(
            ResourceVersionRow.type == ResourceRow.type,
            ResourceVersionRow.id == ResourceRow.id,
            ResourceVersionRow.version == ResourceRow.version,
        )
        wanted = select(ResourceVersionRow).join(ResourceRow, current)
        wanted = wanted.where(ResourceRow.type == kind, ResourceRow.id.in_(identities), ResourceRow.deleted.is_(False))
        rows = {row.id: row for row in self._session.scalars(wanted)}
        sent = {row.submission_id for row in rows.values() if row.content is None}
        if sent:  # held until the resources are rendered from them, so that each is not fetched by itself
            _held = self._session.scalars(select(SubmissionRow).where(SubmissionRow.id.in_(sent))).all()
        return [self.stored(rows[identity]) for identity in identities if identity in rows]

    def exists(self, kind: str, identity: str) -> bool:
        """Tell whether a resource is or was stored."""
        return self._session.get(ResourceRow, (kind, identity)) is not None

    def was_sent(self, kind: str, identity: str) -> bool:
        """Tell whether a resource was sent to this service, rather than written by it."""
        sent = exists().where(
            ResourceVersionRow.type == kind,
            ResourceVersionRow.id == identity,
            ResourceVersionRow.submission_id.is_not(None),
        )
        return bool(self._session.scalar(select(sent)))

    def delete(self, kind: str, identity: str, moment: datetime, *, expired: bool = False) -> Version:
        """End a resource by a version without content; its earlier versions stay."""
        row = self._next_version(kind, identity, moment)
        row.deleted = True
        version = ResourceVersionRow(
            type=kind,
            id=identity,
            version=row.version,
            last_updated=moment,
            deleted=True,
            expired_at=moment if expired else None,
        )
        self._session.add(version)
        clear_index(self._session, kind, identity)
        return self._version(version)

    def history(self, wanted: HistoryWanted) -> HistoryPage:
        """List versions, the newest first; of those that have expired, only a deletion."""
        key = (
            ResourceVersionRow.last_updated,
            ResourceVersionRow.type,
            ResourceVersionRow.id,
            ResourceVersionRow.version,
        )
        clauses = _history_clauses(wanted)
        page = select(ResourceVersionRow).where(*clauses)
        if wanted.before is not None:
            page = page.where(tuple_(*key) < tuple_(*wanted.before))
        page = page.order_by(*(column.desc() for column in key)).limit(wanted.count + 1)
        rows = list(self._session.scalars(page)) if wanted.count else []
        more, rows = len(rows) > wanted.count, rows[: wanted.count]
        some = select(ResourceVersionRow.id).where(*clauses).limit(MOST_COUNTED + 1).subquery()
        total = self._session.scalar(select(func.count()).select_from(some)) or 0
        last = rows[-1] if more else None
        return HistoryPage(
            [self._version(row) for row in rows],
            total if total <= MOST_COUNTED else None,
            (last.last_updated, last.type, last.id, last.version) if last else None,
        )

    def _version(self, row: ResourceVersionRow) -> Version:
        content = None if row.deleted or row.expired_at is not None else self.stored(row).content
        return Version(row.type, row.id, row.version, row.last_updated, content, row.expired_at)

    def _next_version(self, kind: str, identity: str, moment: datetime) -> ResourceRow:
        # Locked, so that of two changes at once the second comes after the first.
        row = self._session.get(ResourceRow, (kind, identity), with_for_update=True, populate_existing=True)
        if row is None:
            row = ResourceRow(type=kind, id=identity, version=0, created=moment)
            self._session.add(row)
        row.version += 1
        row.last_updated = moment
        row.index_version = INDEX_VERSION
        return row

    def put_shared(self, resource: dict[str, Any], moment: datetime) -> None:
        """Store a resource that all processes of a version write alike, unless it was written so; others may do so now.

        What an older version wrote gets a next version. One that is of earlier is not written again: processes of two
        versions side by side would else replace each other's at every turn.
        """
        kind, identity = resource["resourceType"], resource["id"]
        if self._session.get(ResourceRow, (kind, identity)) is None:
            # The primary key decides who is first: whoever inserts the row, before its first version.
            with suppress(IntegrityError), self._session.begin_nested():
                row = ResourceRow(type=kind, id=identity, version=0, created=moment, last_updated=moment)
                self._session.add(row)
                self._session.flush()
                self.put(resource, moment)
                return
        if self._was_written(resource):
            return
        self._session.get(ResourceRow, (kind, identity), with_for_update=True, populate_existing=True)
        if not self._was_written(resource):
            self.put(resource, moment)

    def _was_written(self, resource: dict[str, Any]) -> bool:
        """Tell whether a version of a resource has this content, whenever it was written."""
        kind, identity = resource["resourceType"], resource["id"]
        wanted = parse_json(serialise(_timeless(resource)))
        same = (ResourceVersionRow.type == kind, ResourceVersionRow.id == identity)
        newest_first = select(ResourceVersionRow.content).where(*same).order_by(ResourceVersionRow.version.desc())
        contents = self._session.scalars(newest_first)
        return any(content is not None and _timeless(parse_json(content)) == wanted for content in contents)

    def stored(self, row: ResourceVersionRow) -> StoredResource:
        """Render a version that is no deletion and has not expired."""
        if row.content is not None:
            content = parse_json(row.content)
        else:
            submission = self._session.get_one(SubmissionRow, row.submission_id)
            content = _render(parse_json(submission.body), row.id, row.version, row.last_updated)
        return StoredResource(content, row.version, row.last_updated)


def _history_clauses(wanted: HistoryWanted) -> list[ColumnElement[bool]]:
    # In a history Bundle, what is no deletion has a resource: bdl-3 of R5.
    kept = ResourceVersionRow.expired_at.is_(None) | ResourceVersionRow.deleted
    clauses: list[ColumnElement[bool]] = [ResourceVersionRow.type.in_(wanted.kinds), kept]
    if wanted.identity is not None:
        clauses.append(ResourceVersionRow.id == wanted.identity)
    if wanted.since is not None:
        clauses.append(ResourceVersionRow.last_updated >= wanted.since)
    if wanted.at is not None:
        low, high = wanted.at
        later = aliased(ResourceVersionRow)
        same = and_(later.type == ResourceVersionRow.type, later.id == ResourceVersionRow.id)
        replaced = and_(same, later.version == ResourceVersionRow.version + 1, later.last_updated <= low)
        clauses += [ResourceVersionRow.last_updated < high, ~exists().where(replaced)]
    return clauses


def _timeless(resource: dict[str, Any]) -> dict[str, Any]:
    """Leave out what says when a resource was written."""
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in {"versionId", "lastUpdated"}}
    return {name: value for name, value in resource.items() if name not in {"meta", "date"}} | {"meta": meta}


def _render(resource: dict[str, Any], identity: str, version: int, moment: datetime) -> dict[str, Any]:
    """Give a resource its id and version; the order of its other elements stays."""
    own = {"versionId": str(version), "lastUpdated": instant(moment)}
    meta = own | {name: value for name, value in resource.get("meta", {}).items() if name not in own}
    rest = {name: value for name, value in resource.items() if name not in {"resourceType", "id", "meta"}}
    return {"resourceType": resource["resourceType"], "id": identity, "meta": meta} | rest

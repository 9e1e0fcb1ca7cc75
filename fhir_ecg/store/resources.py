"""FHIR resources with their versions and their search index."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fhir_ecg.fhir.parsing import parse_json, serialise
from fhir_ecg.fhir.report import instant
from fhir_ecg.fhir.search_index import DateEntry, IndexEntry, ReferenceEntry, TokenEntry, index_entries
from fhir_ecg.store.tables import (
    DateRow,
    ReferenceRow,
    ResourceRow,
    ResourceVersionRow,
    SubmissionRow,
    TokenRow,
)

_INDEX_TABLES: dict[type[IndexEntry], type[TokenRow | ReferenceRow | DateRow]] = {
    TokenEntry: TokenRow,
    ReferenceEntry: ReferenceRow,
    DateEntry: DateRow,
}


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
        row = self._session.get(ResourceRow, (kind, identity))
        if row is None:
            row = ResourceRow(type=kind, id=identity, version=0)
            self._session.add(row)
        row.version += 1
        row.last_updated = moment
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
        self._index(rendered)
        return StoredResource(rendered, row.version, moment)

    def get(self, kind: str, identity: str, version: int | None = None) -> StoredResource | None:
        """Read one version, or the current one."""
        if version is None:
            current = self._session.get(ResourceRow, (kind, identity))
            if current is None:
                return None
            version = current.version
        row = self._session.get(ResourceVersionRow, (kind, identity, version))
        return None if row is None else self._stored(row)

    def put_once(self, resource: dict[str, Any], moment: datetime) -> None:
        """Store a resource that is the same whoever writes it, unless it is there; another may write it just now."""
        kind, identity = resource["resourceType"], resource["id"]
        if self._session.get(ResourceRow, (kind, identity)) is not None:
            return
        # The primary key decides who is first: whoever inserts the row, before its first version.
        with suppress(IntegrityError), self._session.begin_nested():
            self._session.add(ResourceRow(type=kind, id=identity, version=0, last_updated=moment))
            self._session.flush()
            self.put(resource, moment)

    def _stored(self, row: ResourceVersionRow) -> StoredResource:
        if row.content is not None:
            content = parse_json(row.content)
        else:
            submission = self._session.get_one(SubmissionRow, row.submission_id)
            content = _render(parse_json(submission.body), row.id, row.version, row.last_updated)
        return StoredResource(content, row.version, row.last_updated)

    def _index(self, resource: dict[str, Any]) -> None:
        key = {"resource_type": resource["resourceType"], "resource_id": resource["id"]}
        for table in _INDEX_TABLES.values():
            self._session.execute(
                delete(table).where(
                    table.resource_type == key["resource_type"], table.resource_id == key["resource_id"]
                )
            )
        entries = index_entries(resource)
        for entry_type, table in _INDEX_TABLES.items():
            rows = [key | vars(entry) for entry in entries if isinstance(entry, entry_type)]
            if rows:
                self._session.execute(insert(table), rows)


def _render(resource: dict[str, Any], identity: str, version: int, moment: datetime) -> dict[str, Any]:
    """Give a resource its id and version; the order of its other elements stays."""
    own = {"versionId": str(version), "lastUpdated": instant(moment)}
    meta = own | {name: value for name, value in resource.get("meta", {}).items() if name not in own}
    rest = {name: value for name, value in resource.items() if name not in {"resourceType", "id", "meta"}}
    return {"resourceType": resource["resourceType"], "id": identity, "meta": meta} | rest

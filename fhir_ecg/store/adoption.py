"""Rows that no audit entry holds, as an older process writes them after an upgrade, to be taken into the chain."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from fhir_ecg.store.audit_chain import EVIDENCE, digest_of_entry, digest_of_row
from fhir_ecg.store.tables import AdmissionRow, AuditEventRow, ResourceVersionRow
from fhir_ecg.store.verification.snapshot import UNREADABLE

ADOPT = "adopt"
"""The action of the audit entries that hold adopted rows."""

_ENTRIES = AuditEventRow.__tablename__
_EVIDENCE = {evidence.table.__tablename__: evidence for evidence in EVIDENCE.values()}
_OF_THE_CHAIN = ("lane", "position", "previous", "digest", "digests")


@dataclass(frozen=True)
class Adopted:
    """What one audit entry has taken into the chain."""

    entry: str
    """The entry's id."""
    moment: datetime
    rows: int


class Adoption:
    """The rows of one transaction that may be adopted."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def digests(self, names: Iterable[tuple[str, str]]) -> dict[str, str | None]:
        """Compute the digests of rows, each given by its table and by what the chain calls it.

        Returns:
            The digests by name; None where an entry can hold no such row, or where there is none.
        """
        found: dict[str, str | None] = {}
        for table, name in names:
            try:
                found[name] = self._entry(name) if table == _ENTRIES else self._row(table, name)
            except UNREADABLE:
                found[name] = None
        return found

    def earlier(self) -> Iterator[Adopted]:
        """List what was adopted, the oldest first."""
        wanted = select(AuditEventRow.id, AuditEventRow.recorded, AuditEventRow.digests)
        wanted = wanted.where(AuditEventRow.action == ADOPT, AuditEventRow.lane.is_not(None))
        for identity, moment, digests in self._session.execute(wanted.order_by(AuditEventRow.recorded)):
            yield Adopted(identity, moment, len(digests or ()))

    def _row(self, table: str, name: str) -> str | None:
        evidence = _EVIDENCE.get(table)
        if evidence is None:
            return None
        values = tuple(_key_values(evidence.table, name.split("/")))
        row = self._session.get(evidence.table, values, populate_existing=True)
        if row is None or evidence.key(row) != name:
            return None
        digest = digest_of_row(row)
        self._session.expunge(row)  # it can have megabytes
        return digest

    def _entry(self, name: str) -> str | None:
        """Digest an entry that stands in no lane; what says that it stands in one is no older process's."""
        kind, _, identity = name.partition("/")
        row = self._session.scalar(select(AuditEventRow).where(AuditEventRow.id == identity))
        if row is None or kind != _ENTRIES:
            return None
        if any(getattr(row, column) is not None for column in _OF_THE_CHAIN):
            return None
        return digest_of_entry({column.key: getattr(row, column.key) for column in AuditEventRow.__table__.columns})


def _key_values(table: Any, parts: list[str]) -> Iterator[Any]:
    """Read a row's primary key out of its name; no older process has let a row expire, as a longer name would say."""
    if table is ResourceVersionRow:
        kind, identity, _, *rest = parts
        texts = [kind, identity, *rest]
    else:
        texts = parts[1:-1] if table is AdmissionRow else parts[1:]
    for column, text in zip(inspect(table).primary_key, texts, strict=True):
        yield column.type.python_type(text)

"""The audit trail: written in the transaction of what it records, never changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from fhir_ecg.store.audit_chain import append, evidence_of
from fhir_ecg.store.audit_index import write_audit_index


@dataclass(frozen=True)
class AuditEntry:
    """One thing that was done or refused."""

    action: str
    """`create`, `read`, `vread`, `search`, `classify`, `export` or `refuse`."""
    outcome: str = "success"
    """`success` or `failure`."""
    client: str | None = None
    request_id: str | None = None
    entities: tuple[str, ...] = ()
    """References to what it was done to."""
    detail: dict[str, Any] = field(default_factory=dict)


class AuditTrail:
    """The audit entries of one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._entries: list[dict[str, Any]] = []

    def add(self, entry: AuditEntry, moment: datetime, adopted: Mapping[str, str] | None = None) -> None:
        """Record an entry; it is written at the end of the transaction.

        Args:
            entry: What was done.
            moment: When.
            adopted: The digests, by name, of rows that the transaction has not written and that the entry is to hold.
        """
        columns = vars(entry) | {"entities": list(entry.entities)}
        held = dict(adopted) if adopted else None
        self._entries.append({"id": str(uuid4()), "recorded": moment, "digests": held} | columns)

    def close(self) -> None:
        """Write the entries as the transaction's last act, with the digests of all that it wrote.

        So a lane of the chain is locked last and for the shortest time. What nobody recorded is recorded as `store`.
        """
        digests = evidence_of(self._session)
        if digests and not self._entries:
            self.add(AuditEntry("store"), datetime.now(UTC))
        if self._entries:
            first = self._entries[0]
            first["digests"] = (first["digests"] or {}) | digests or None
            write_audit_index(self._session, self._entries)
            append(self._session, self._entries)
            self._entries = []

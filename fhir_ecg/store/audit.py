"""The audit trail: written in the transaction of what it records, never changed."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from fhir_ecg.store.tables import AuditEventRow


@dataclass(frozen=True)
class AuditEntry:
    """One thing that was done or refused."""

    action: str
    """`create`, `read`, `vread`, `search`, `classify` or `refuse`."""
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

    def add(self, entry: AuditEntry, moment: datetime) -> None:
        """Record an entry."""
        self._session.add(
            AuditEventRow(
                id=str(uuid4()),
                recorded=moment,
                action=entry.action,
                outcome=entry.outcome,
                client=entry.client,
                request_id=entry.request_id,
                entities=list(entry.entities),
                detail=entry.detail,
            )
        )

"""The audit entries about a patient's resources."""

from collections.abc import Collection, Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from fhir_ecg.fhir.audit_event import AuditRecord
from fhir_ecg.store.audit_events import record_of
from fhir_ecg.store.tables import AuditEventRow, AuditReferenceRow

_BATCH = 200


class PatientTrail:
    """The audit trail of one transaction, by what it is about."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def ids(self, role: str, values: Collection[str]) -> set[str]:
        """Find the ids of the entries that name one of these values in a role."""
        found: set[str] = set()
        ordered = sorted(values)
        for start in range(0, len(ordered), _BATCH):
            some = ordered[start : start + _BATCH]
            wanted = select(AuditReferenceRow.event_id)
            wanted = wanted.where(AuditReferenceRow.role == role, AuditReferenceRow.value.in_(some))
            found |= set(self._session.scalars(wanted))
        return found

    def records(self, ids: Collection[str]) -> Iterator[AuditRecord]:
        """Give these entries."""
        ordered = sorted(ids)
        for start in range(0, len(ordered), _BATCH):
            wanted = select(AuditEventRow).where(AuditEventRow.id.in_(ordered[start : start + _BATCH]))
            for row in self._session.scalars(wanted.order_by(AuditEventRow.recorded, AuditEventRow.id)):
                yield record_of(row)
            self._session.expunge_all()

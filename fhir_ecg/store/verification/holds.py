"""What expired although a legal hold kept it."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from fhir_ecg.store.holds import ActiveHolds
from fhir_ecg.store.tables import AuditEventRow, LegalHoldRow
from fhir_ecg.store.verification.finding import Finding
from fhir_ecg.store.verification.snapshot import UNREADABLE, pages


def holds_were_kept(session: Session) -> Iterator[Finding]:
    """Name the holds on what the entries `expire` say to have expired while they were in force."""
    holds = [row for rows, _ in pages(session, LegalHoldRow) for row in rows]
    if not holds:
        return
    moments = sorted(m for row in holds for m in (row.placed_at, row.released_at) if m is not None)
    columns = (AuditEventRow.id, AuditEventRow.recorded, AuditEventRow.entities, AuditEventRow.detail)
    wanted = select(*columns).where(AuditEventRow.action == "expire", AuditEventRow.recorded > moments[0])
    place, active = (-1, -1), ActiveHolds([])
    try:
        for entry in session.execute(wanted.order_by(AuditEventRow.recorded).execution_options(yield_per=500)):
            now = bisect_left(moments, entry.recorded), bisect_right(moments, entry.recorded)
            if now != place:  # between two moments the same holds are in force
                # Moments are whole milliseconds: in the one in which a hold began or ended, either may have been first.
                active = ActiveHolds(
                    row
                    for row in holds
                    if row.placed_at < entry.recorded and (row.released_at is None or entry.recorded < row.released_at)
                )
                place = now
            if hold := active.keeping(_observations(entry.entities), entry.detail.get("patients", [])):
                text = f"The audit entry {entry.id} let expire what the legal hold {hold.id} kept at that time."
                yield Finding("legal_hold", f"legal_hold/{hold.id}", "disagrees", text)
    except (*UNREADABLE, AttributeError):
        return  # an entry that this service did not write so: the walk has named it


def _observations(entities: Iterable[str]) -> list[str]:
    parts = (entity.split("/") for entity in entities)
    return [part[1] for part in parts if part[0] == "Observation" and len(part) > 1]

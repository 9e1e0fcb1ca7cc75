"""Legal holds: what is not to expire, and not to be deleted."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from fhir_ecg.fhir.audit_event import patient_reference
from fhir_ecg.store.audit_chain import change
from fhir_ecg.store.tables import LegalHoldRow


class ActiveHolds:
    """Holds, and which of them keeps a case."""

    def __init__(self, rows: Iterable[LegalHoldRow]) -> None:
        self._by_observation: dict[str, LegalHoldRow] = {}
        self._by_patient: dict[str, LegalHoldRow] = {}
        for row in rows:
            if row.observation_id is not None:
                self._by_observation[row.observation_id] = row
            if row.patient is not None:
                self._by_patient[_name(row.patient)] = row

    def keeping(self, observations: Iterable[str], subjects: Iterable[dict[str, Any]]) -> LegalHoldRow | None:
        """Find a hold on one of these Observations, by id, or on one of these patients, by reference or identifier."""
        for identity in observations:
            if row := self._by_observation.get(identity):
                return row
        for subject in subjects:
            for name in _names(subject):
                if row := self._by_patient.get(name):
                    return row
        return None


def _names(subject: dict[str, Any]) -> Iterable[str]:
    """List what a patient is named by: a subject can have both a reference and an identifier."""
    for part in ("reference", "identifier"):
        kept: dict[str, Any] = {name: subject[name] for name in (part, "type") if name in subject}
        if part in kept and (patient := patient_reference(kept)):
            yield _name(patient)


def _name(patient: dict[str, Any]) -> str:
    return json.dumps(patient, sort_keys=True)


class Holds:
    """The legal holds of one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def wait_for_expiries(self) -> None:
        """Let expiries that have begun come to their end, and others wait: what a new hold keeps does not expire."""
        self._lock("SHARE ROW EXCLUSIVE")

    def keep_as_they_are(self) -> None:
        """Let nobody place or release a hold until the commit."""
        self._lock("SHARE")

    def _lock(self, mode: str) -> None:
        # SQLite has one writer: whoever has begun to write.
        if self._session.connection().dialect.name == "postgresql":
            self._session.execute(text(f"LOCK TABLE legal_hold IN {mode} MODE"))

    def add(self, row: LegalHoldRow) -> None:
        """Place a hold."""
        self._session.add(row)

    def get(self, identity: str) -> LegalHoldRow | None:
        """Find a hold."""
        return self._session.get(LegalHoldRow, identity)

    def release(self, row: LegalHoldRow, moment: datetime, reason: str) -> None:
        """Release a hold."""
        change(self._session, row, released_at=moment, release_reason=reason)

    def recent(self, *, every: bool) -> list[LegalHoldRow]:
        """List holds, the newest first; with `every` also those that were released."""
        wanted = select(LegalHoldRow).order_by(LegalHoldRow.placed_at.desc(), LegalHoldRow.id)
        return [*self._session.scalars(wanted if every else wanted.where(LegalHoldRow.released_at.is_(None)))]

    def active(self) -> ActiveHolds:
        """Give the holds that were not released."""
        return ActiveHolds(self.recent(every=False))

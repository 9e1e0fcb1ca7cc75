"""What was let in under which key. The table's primary key decides between senders at the same moment."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fhir_ecg.store.tables import AdmissionRow

Scope = Literal["idempotency-key", "if-none-exist", "same-bytes"]


class AdmittedMeanwhileError(Exception):
    """Another transaction let an ECG in under the same key."""


@dataclass(frozen=True)
class AdmissionKey:
    """What lets an ECG in once."""

    scope: Scope
    key: str
    expires_at: datetime | None = None

    @property
    def key_sha256(self) -> str:
        """The key's digest, so that none is too long, and no identifier of a patient's case stands here."""
        return sha256(self.key.encode()).hexdigest()


@dataclass(frozen=True)
class Admitted:
    """An ECG that was let in under a key."""

    observation_id: str
    body_sha256: str


class Admissions:
    """The admissions of one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, key: AdmissionKey, moment: datetime) -> Admitted | None:
        """Find what was let in under a key that has not expired."""
        wanted = select(AdmissionRow.observation_id, AdmissionRow.body_sha256, AdmissionRow.expires_at)
        row = self._session.execute(wanted.where(*_of(key))).one_or_none()
        if row is None or (row.expires_at is not None and row.expires_at <= moment):
            return None
        return Admitted(row.observation_id, row.body_sha256)

    def add(self, key: AdmissionKey, admitted: Admitted, moment: datetime) -> None:
        """Let an ECG in under a key that nothing is let in under.

        Raises:
            AdmittedMeanwhileError: Another was let in since `find`; the transaction must be given up.
        """
        self._remove(*_of(key), AdmissionRow.expires_at <= moment)
        values = {"scope": key.scope, "key_sha256": key.key_sha256, "expires_at": key.expires_at, "admitted_at": moment}
        try:
            self._session.add(AdmissionRow(**values, **vars(admitted)))
            self._session.flush()
        except IntegrityError as error:
            raise AdmittedMeanwhileError from error

    def release(self, key: AdmissionKey, admitted: Admitted) -> None:
        """Let another in under a key, unless another was let in under it since `find`."""
        self._remove(*_of(key), AdmissionRow.observation_id == admitted.observation_id)

    def forget(self, observation_id: str) -> None:
        """Let the ECG of a deleted Observation in again."""
        self._remove(AdmissionRow.observation_id == observation_id)

    def _remove(self, *which: ColumnElement[bool]) -> None:
        # Row by row, so that the audit chain notes each.
        for row in self._session.scalars(select(AdmissionRow).where(*which).with_for_update()):
            self._session.delete(row)
        self._session.flush()


def _of(key: AdmissionKey) -> tuple[ColumnElement[bool], ...]:
    return AdmissionRow.scope == key.scope, AdmissionRow.key_sha256 == key.key_sha256

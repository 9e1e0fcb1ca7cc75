"""Workers' signs of life."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from fhir_ecg.store.tables import WorkerRow

# A worker that was silent for so long is forgotten.
_KEPT = timedelta(days=1)


@dataclass(frozen=True)
class WorkerIdentity:
    """Which worker it is, and what it reads with."""

    name: str
    """Host and process."""
    software_version: str
    weights_sha256: str


class Workers:
    """The workers, in one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def seen(self, worker: WorkerIdentity, moment: datetime) -> None:
        """Record that a worker lives, and forget those that have long been silent."""
        # Only the worker itself writes its row, so that a look and then an insert is no race.
        if row := self._session.get(WorkerRow, worker.name):
            row.seen_at = moment
        else:
            identity = {"software_version": worker.software_version, "weights_sha256": worker.weights_sha256}
            self._session.add(WorkerRow(name=worker.name, started_at=moment, seen_at=moment, **identity))
        self._session.execute(delete(WorkerRow).where(WorkerRow.seen_at < moment - _KEPT))

    def gone(self, name: str, moment: datetime) -> None:
        """Record that a worker ends, so that nobody waits for it."""
        self._session.execute(update(WorkerRow).where(WorkerRow.name == name).values(seen_at=moment - _KEPT / 2))

    def since(self, moment: datetime) -> list[WorkerIdentity]:
        """List the workers that were seen since a moment."""
        rows = self._session.scalars(select(WorkerRow).where(WorkerRow.seen_at >= moment).order_by(WorkerRow.name))
        return [WorkerIdentity(row.name, row.software_version, row.weights_sha256) for row in rows]

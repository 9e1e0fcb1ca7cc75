"""Whether the service can do its work, with a reason for each part that cannot."""

from dataclasses import dataclass
from datetime import datetime

from fhir_ecg.service.application import Application
from fhir_ecg.store.engine import DatabaseError
from fhir_ecg.store.migrations import pending


@dataclass(frozen=True)
class QueueState:
    """The jobs at one moment."""

    by_state: dict[str, int]
    oldest_unfinished: datetime | None


def readiness(application: Application) -> dict[str, str | None]:
    """Check each dependency; None where it is sound, else what is wrong and what to do."""
    try:
        database = pending(application.store.engine)
    except DatabaseError as error:
        database = f"the database does not answer ({type(error).__name__}); is FHIR_ECG_DATABASE_URL right?"
    return {"database": database, "broker": application.broker_problem()}


def queue_state(application: Application) -> QueueState:
    """Count the jobs."""
    with application.store.transaction(writes=False) as work:
        return QueueState(work.jobs.count_by_state(), work.jobs.oldest_waiting())

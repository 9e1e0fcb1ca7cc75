"""What an operator does with jobs: look at them, and let failed ones be tried again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from fhir_ecg.service.application import Application, now
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.tables import JobRow


class JobError(Exception):
    """A job that is not there, or not in a state for what was asked; its text says what to do."""


@dataclass(frozen=True)
class JobView:
    """A job as an operator sees it; it holds nothing of the patient."""

    id: str
    observation_id: str
    report_id: str
    state: str
    attempts: int
    created_at: datetime
    due_at: datetime
    finished_at: datetime | None
    error: str | None
    request_id: str | None

    @classmethod
    def of(cls, row: JobRow) -> Self:
        """Take it from its row."""
        values: dict[str, Any] = {name: getattr(row, name) for name in cls.__dataclass_fields__}
        return cls(**values)


def list_jobs(application: Application, *, state: str | None, limit: int) -> list[JobView]:
    """List jobs, the newest first."""
    with application.store.transaction(writes=False) as work:
        return [JobView.of(row) for row in work.jobs.recent(state=state, limit=limit)]


def show_job(application: Application, identity: str) -> JobView:
    """Find a job by its own id, its report's or its Observation's.

    Raises:
        JobError: There is none.
    """
    with application.store.transaction(writes=False) as work:
        if row := work.jobs.get(identity):
            return JobView.of(row)
    raise JobError(f"No job, report or Observation has the id {identity}; `fhir-ecg jobs list` shows the newest jobs.")


def retry_job(application: Application, identity: str) -> JobView:
    """Let a failed job be tried again; its cancelled report gets a further version when it is read.

    Raises:
        JobError: There is none, it has not failed, or its ECG has expired.
    """
    found = show_job(application, identity)
    with application.store.transaction() as work:
        if not work.jobs.retry(found.id, now()):
            raise JobError(f"The job {found.id} is {found.state}; only a failed one can be tried again.")
        if work.expiries.has_expired(found.observation_id):
            raise JobError(f"The samples of Observation/{found.observation_id} have expired; nothing is left to read.")
        entry = AuditEntry("retry", entities=(f"DiagnosticReport/{found.report_id}",), detail={"error": found.error})
        work.audit.add(entry, now())
    application.wake(found.id)
    return show_job(application, found.id)

"""Readings that a sender polls, or cancels, instead of waiting."""

from contextlib import suppress
from dataclasses import dataclass

from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.service.change import cancel
from fhir_ecg.service.task import begin_task
from fhir_ecg.store.jobs import RUNNING, WAITING
from fhir_ecg.store.resources import DeletedError, StoredResource
from fhir_ecg.store.unit_of_work import UnitOfWork

_TEXTS = {WAITING: "waiting to be read", RUNNING: "being read"}


@dataclass(frozen=True)
class Progress:
    """How far a reading is."""

    text: str
    observation: StoredResource | None = None
    """The ECG, where the reading has ended and it was not deleted."""
    report: StoredResource | None = None
    """What came of it; None where the reading has not ended."""


def begin(application: Application, report_id: str) -> str:
    """Let the reading of an ECG be polled; the id to poll it by, which is its job's and its Task's, comes back."""
    with application.store.transaction() as work:
        job = work.jobs.lock(report_id)
        report = work.resources.get("DiagnosticReport", report_id)
        if job is None or report is None:
            raise LookupError(f"the report {report_id} has no job")
        begin_task(work, job.id, report, now())
        return job.id


def progress(application: Application, job_id: str, caller: Caller) -> Progress | None:
    """Tell how far a reading is; None where nobody polls it (any more)."""
    with application.store.transaction() as work:
        job = work.jobs.get(job_id)
        if job is None or _task(work, job_id) is None:
            return None
        if job.state in _TEXTS:
            return Progress(_TEXTS[job.state])
        observation = None
        with suppress(DeletedError):
            observation = work.resources.get("Observation", job.observation_id, version=1)
        report = work.resources.get("DiagnosticReport", job.report_id)
        if report is not None:
            work.audit.add(caller.entry("read", [report]), now())
        return Progress("ended", observation, report)


def forget(application: Application, job_id: str, caller: Caller) -> bool:
    """Cancel a reading that has not ended, and let it be polled no more; False where nobody polls it."""
    with application.store.transaction(writes=False) as work:
        if _task(work, job_id) is None:
            return False
    if cancel(application, job_id, caller):
        return True
    moment = now()
    with application.store.transaction() as work:
        if _task(work, job_id) is None:
            return False
        deletion = work.resources.delete("Task", job_id, moment)
        work.audit.add(caller.entry("delete", [deletion]), moment)
    return True


def _task(work: UnitOfWork, job_id: str) -> StoredResource | None:
    """Find the Task of a reading that is polled: one that was cancelled is not."""
    with suppress(DeletedError):
        task = work.resources.get("Task", job_id)
        return task if task and task.content["status"] != "cancelled" else None
    return None

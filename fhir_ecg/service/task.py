"""Keeping the Task of a reading, where a sender asked for one, in step with its job."""

from contextlib import suppress
from datetime import datetime

from fhir_ecg.fhir.task import TaskStatus, requested_task, task_in_status
from fhir_ecg.store.resources import DeletedError, StoredResource
from fhir_ecg.store.unit_of_work import UnitOfWork


def begin_task(work: UnitOfWork, job_id: str, report: StoredResource, moment: datetime) -> StoredResource:
    """Store the Task of a job, unless it is there."""
    with suppress(DeletedError):
        if task := work.resources.get("Task", job_id):
            return task
    return work.resources.put(requested_task(job_id, report.content, moment), moment)


def mirror(work: UnitOfWork, job_id: str, status: TaskStatus, moment: datetime, reason: str | None = None) -> None:
    """Bring the Task of a job, if it has one, to a status."""
    with suppress(DeletedError):
        if (task := work.resources.get("Task", job_id)) and task.content["status"] != status:
            work.resources.put(task_in_status(task.content, status, moment, reason), moment)

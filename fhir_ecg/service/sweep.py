"""What a worker does beside its jobs: waking those whose wake-up was lost, tidying up, and saying that it lives."""

from fhir_ecg.service.application import Application, now
from fhir_ecg.store.workers import WorkerIdentity

BATCH = 200


def report_alive(application: Application, worker: WorkerIdentity) -> None:
    """Tell the web processes that a worker lives."""
    with application.store.transaction() as work:
        work.workers.seen(worker, now())


def report_end(application: Application, worker: WorkerIdentity) -> None:
    """Tell the web processes that a worker ends."""
    with application.store.transaction() as work:
        work.workers.gone(worker.name, now())


def sweep(application: Application) -> int:
    """Wake what is due, and forget exports that have expired; returns how many were woken.

    Safe to run in many processes at once.
    While wake-ups queue up, nothing is sent again: a long queue is a reason to wait, not a sign that some were lost.
    """
    if application.wakes_waiting() >= BATCH:
        return 0
    with application.store.transaction() as work:
        work.exports.delete_expired(now())
        due = work.jobs.take_due(now(), wake_again=application.policy.wake_again, limit=BATCH)
    for job_id in due:
        application.wake(job_id)
    return len(due)

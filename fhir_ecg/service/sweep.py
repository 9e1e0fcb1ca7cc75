"""Waking jobs whose wake-up was lost or whose worker went silent."""

from fhir_ecg.service.application import Application, now

BATCH = 200


def sweep(application: Application) -> int:
    """Wake what is due; safe to run in many processes at once. Returns how many were woken."""
    with application.store.transaction() as work:
        due = work.jobs.take_due(now(), wake_again=application.policy.wake_again, limit=BATCH)
    for job_id in due:
        application.wake(job_id)
    return len(due)

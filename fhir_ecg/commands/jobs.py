"""`jobs`: the queue, for an operator."""

from dataclasses import asdict

import orjson

from fhir_ecg.commands.opened_application import opened_application
from fhir_ecg.service.operate_jobs import JobError, JobView, list_jobs, retry_job, show_job
from fhir_ecg.settings import Settings


def job_lines(settings: Settings, state: str | None, limit: int) -> str:
    """List jobs as JSON, one on a line, the newest first."""
    with opened_application(settings) as application:
        return "\n".join(_line(job) for job in list_jobs(application, state=state, limit=limit))


def job_line(settings: Settings, identity: str) -> str:
    """Show one job as JSON."""
    with opened_application(settings, refusal=JobError) as application:
        return _line(show_job(application, identity))


def retry_line(settings: Settings, identity: str) -> str:
    """Let a failed job be tried again, and show it as JSON."""
    with opened_application(settings, refusal=JobError) as application:
        return _line(retry_job(application, identity))


def _line(job: JobView) -> str:
    return orjson.dumps(asdict(job), option=orjson.OPT_UTC_Z).decode()

"""`jobs`: the queue, for an operator."""

from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

import click
import orjson

from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.service.application import Application
from fhir_ecg.service.operate_jobs import JobError, JobView, list_jobs, retry_job, show_job
from fhir_ecg.settings import Settings
from fhir_ecg.store.engine import DatabaseError

Result = TypeVar("Result")


def job_lines(settings: Settings, state: str | None, limit: int) -> str:
    """List jobs as JSON, one on a line, the newest first."""
    jobs = _do(settings, lambda application: list_jobs(application, state=state, limit=limit))
    return "\n".join(_line(job) for job in jobs)


def job_line(settings: Settings, identity: str) -> str:
    """Show one job as JSON."""
    return _line(_do(settings, lambda application: show_job(application, identity)))


def retry_line(settings: Settings, identity: str) -> str:
    """Let a failed job be tried again, and show it as JSON."""
    return _line(_do(settings, lambda application: retry_job(application, identity)))


def _line(job: JobView) -> str:
    return orjson.dumps(asdict(job), option=orjson.OPT_UTC_Z).decode()


def _do(settings: Settings, action: Callable[[Application], Result]) -> Result:
    application = bootstrap(settings)
    try:
        return action(application)
    except JobError as error:
        raise click.ClickException(str(error)) from error
    except DatabaseError as error:
        text = f"the database does not answer ({type(error).__name__}); is FHIR_ECG_DATABASE_URL right?"
        raise click.ClickException(text) from error
    finally:
        application.store.engine.dispose()

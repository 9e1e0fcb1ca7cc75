"""The tasks: each calls its use case."""

import logging
from dataclasses import replace
from time import perf_counter

from celery import Celery

from fhir_ecg.broker import CLASSIFY_TASK
from fhir_ecg.log_context import log_scope
from fhir_ecg.service.application import Application
from fhir_ecg.service.classify import classify
from worker.metrics import WorkerMetrics

logger = logging.getLogger(__name__)

_application: list[Application] = []
_metrics: list[WorkerMetrics] = []


def use(application: Application, metrics: WorkerMetrics | None = None) -> None:
    """Set what the tasks of this process work with, and where they count, if they do."""
    _application[:] = [replace(application, timed=metrics.timed) if metrics else application]
    _metrics[:] = [metrics] if metrics else []


def register(celery: Celery) -> None:
    """Give Celery the tasks."""
    celery.task(_classify, name=CLASSIFY_TASK)


def _classify(job_id: str) -> None:
    began = perf_counter()
    outcome = "error"
    with log_scope(job=job_id):
        try:
            outcome = classify(_application[0], job_id)
        except Exception:
            # Left to Celery, the error's whole text would be logged. The job is due again when its lease ends.
            logger.exception("the attempt ended in an error")
        for metrics in _metrics:
            metrics.attempted(outcome)
        duration = round((perf_counter() - began) * 1000, 1)
        logger.info("the attempt ended", extra={"outcome": outcome, "duration_ms": duration})

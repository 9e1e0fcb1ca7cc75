"""The tasks: each calls its use case."""

import logging

from celery import Celery

from fhir_ecg.broker import CLASSIFY_TASK
from fhir_ecg.service.application import Application
from fhir_ecg.service.classify import classify

logger = logging.getLogger(__name__)

_application: list[Application] = []


def use(application: Application) -> None:
    """Set what the tasks of this process work with."""
    _application[:] = [application]


def register(celery: Celery) -> None:
    """Give Celery the tasks."""
    celery.task(_classify, name=CLASSIFY_TASK)


def _classify(job_id: str) -> None:
    outcome = classify(_application[0], job_id)
    logger.info("job %s: %s", job_id, outcome)

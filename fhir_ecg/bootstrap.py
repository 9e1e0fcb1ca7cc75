"""The one place that puts the parts together."""

import logging
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from celery import Celery

from fhir_ecg import __version__
from fhir_ecg.broker import CLASSIFY_TASK, QUEUE, make_celery
from fhir_ecg.classifier.weights import read_weights
from fhir_ecg.ecg.prediction import ModelIdentity
from fhir_ecg.service.application import Application, Policy
from fhir_ecg.settings import Settings
from fhir_ecg.store.engine import open_engine
from fhir_ecg.store.unit_of_work import Store

if TYPE_CHECKING:
    from fhir_ecg.classifier.inference import Classifier

logger = logging.getLogger(__name__)


def bootstrap(settings: Settings, celery: Celery | None = None) -> Application:
    """Build the application from its settings; nothing is connected or loaded before it is used."""
    broker = celery or make_celery(settings.broker_url)

    def wake(job_id: str) -> None:
        try:
            broker.send_task(CLASSIFY_TASK, (job_id,), retry=False)
        except Exception:
            # The job's row is stored; a sweeper wakes it when the broker is back.
            logger.warning("the broker took no wake-up", extra={"job": job_id}, exc_info=True)

    def wakes_waiting() -> int:
        try:
            with broker.connection_or_acquire() as connection:
                queue = connection.default_channel.queue_declare(QUEUE, passive=True)
                return int(queue.message_count)
        except Exception:  # no queue yet, or no broker
            return 0

    @cache
    def classifier() -> "Classifier":
        # The web process never needs the model, nor the memory that it and its runtime take.
        from fhir_ecg.classifier.inference import Classifier

        return Classifier.from_file(settings.weights)

    @cache
    def model() -> ModelIdentity:
        return read_weights(settings.weights).identity

    def broker_problem() -> str | None:
        try:
            with broker.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=2)
        except Exception as error:
            return f"the broker does not answer ({type(error).__name__}); is FHIR_ECG_BROKER_URL right?"
        return None

    return Application(
        store=Store(open_engine(settings.database_url)),
        wake=wake,
        wakes_waiting=wakes_waiting,
        broker_problem=broker_problem,
        classifier=classifier,
        weights_sha256=lambda: model().weights_sha256,
        model=model,
        policy=Policy(
            lease=settings.lease,
            wake_again=settings.wake_again,
            maximum_attempts=settings.maximum_attempts,
            report_status=settings.report_status,
            snomed=settings.snomed,
            repairs=frozenset(settings.repairs),
            same_bytes_within=timedelta(seconds=settings.same_bytes_seconds),
            queue_limit=settings.queue_limit,
            worker_silence=settings.worker_silence,
        ),
        software_version=__version__,
    )

"""The Celery application of the worker process."""

import logging
import os
import platform
from threading import Event, Thread
from typing import Any

from celery.signals import worker_process_init, worker_ready, worker_shutting_down

from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.broker import make_celery
from fhir_ecg.settings import Settings
from fhir_ecg.store.workers import WorkerIdentity
from worker import tasks
from worker.sweeper import sweep_until

logger = logging.getLogger(__name__)

settings = Settings()
celery = make_celery(settings.broker_url)
# torch and the weights take longer to load than Celery's four seconds.
celery.conf.worker_proc_alive_timeout = 120
tasks.register(celery)

_stop = Event()


def _load_model(**_: Any) -> None:
    """Load the model in each child: torch must not be forked after it was used."""
    application = bootstrap(settings, celery)
    application.classifier()
    tasks.use(application)


def _start_sweeper(**_: Any) -> None:
    application = bootstrap(settings, celery)
    name = f"{platform.node()}:{os.getpid()}"
    worker = WorkerIdentity(name, application.software_version, application.weights_sha256())
    Thread(target=sweep_until, args=(_stop, application, settings.sweep_seconds, worker), daemon=True).start()


def _stop_sweeper(**_: Any) -> None:
    _stop.set()


# weak=False: Celery would drop handlers that nothing else refers to.
worker_process_init.connect(_load_model, weak=False)
worker_ready.connect(_start_sweeper, weak=False)
worker_shutting_down.connect(_stop_sweeper, weak=False)

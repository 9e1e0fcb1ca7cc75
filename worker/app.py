"""The Celery application of a worker process: one process, one job at a time, no children.

`fhir-ecg worker` runs several of them (`fhir_ecg.supervisor`). docs/decisions/0010 says why not Celery's own pool.
"""

import faulthandler
import logging
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import Any

from celery.signals import task_postrun, task_prerun, worker_ready, worker_shutdown, worker_shutting_down
from celery.worker import state

from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.broker import make_celery
from fhir_ecg.computing_environment import process_name
from fhir_ecg.settings import Settings
from fhir_ecg.store.workers import WorkerIdentity
from fhir_ecg.tracing import trace_process
from worker import tasks
from worker.attention import Attention
from worker.metrics import open_metrics
from worker.sweeper import sweep_until

logger = logging.getLogger(__name__)

settings = Settings()
celery = make_celery(settings.broker_url)
tasks.register(celery)

_stop = Event()
_too_large = Event()
_attention = Attention()
_threads: list[Thread] = []
_end_tracing: list[Callable[[], None]] = []


def start() -> None:
    """Load the model and begin to work; returns after SIGTERM, when the job in hand is done."""
    application = bootstrap(settings, celery)
    application.classifier()
    tasks.use(application, open_metrics())
    _end_tracing.append(trace_process("worker", application.store.engine))
    with suppress(SystemExit):
        celery.worker_main(
            [
                "--quiet",
                "worker",
                "--pool=solo",
                "--concurrency=1",
                f"--loglevel={settings.log_level}",
                "--without-gossip",
                "--without-mingle",
                "--without-heartbeat",
            ]
        )
    if not (_stop.is_set() or _too_large.is_set()):
        # Celery ends with 0 also after an error; 0 is for who meant to end.
        raise SystemExit(1)


def _start_sweeper(**_: Any) -> None:
    application = bootstrap(settings, celery)
    worker = WorkerIdentity(process_name(), application.software_version, application.weights_sha256())
    thread = Thread(
        target=sweep_until, args=(_stop, application, settings.sweep_seconds, worker, _attention), daemon=True
    )
    thread.start()
    _threads.append(thread)


def _stop_sweeper(**_: Any) -> None:
    _stop.set()


def _end(**_: Any) -> None:
    for thread in _threads:
        thread.join(5)
    for end in _end_tracing:
        end()


def _begin_job(**_: Any) -> None:
    """End this process, with its stacks in the log, where a job outlasts its lease: another has taken it over."""
    _attention.begin()
    faulthandler.dump_traceback_later(settings.lease_seconds, exit=True)


def _end_job(**_: Any) -> None:
    """Let a fresh process take over once this one has grown too large; the job in hand is done."""
    faulthandler.cancel_dump_traceback_later()
    _attention.end()
    if memory_mib() > settings.worker_memory_mib:
        logger.info("this process has used %d MiB and makes room for a fresh one", memory_mib())
        _too_large.set()
        state.should_stop = 0


def memory_mib() -> int:
    """Give the most memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024**2 if sys.platform == "darwin" else 1024)


# weak=False: Celery would drop handlers that nothing else refers to.
worker_ready.connect(_start_sweeper, weak=False)
worker_shutting_down.connect(_stop_sweeper, weak=False)
worker_shutdown.connect(_end, weak=False)
task_prerun.connect(_begin_job, weak=False)
task_postrun.connect(_end_job, weak=False)

"""The sweeper: a thread in every worker that wakes what is due and says that the worker lives."""

import logging
import os
from threading import Event

from fhir_ecg.service.application import Application
from fhir_ecg.service.sweep import report_alive, report_end, sweep
from fhir_ecg.store.engine import DatabaseError
from fhir_ecg.store.workers import WorkerIdentity
from worker.attention import Attention

logger = logging.getLogger(__name__)


def sweep_until(
    stop: Event, application: Application, seconds: float, worker: WorkerIdentity, attention: Attention
) -> None:
    """Sweep every so many seconds until told to stop; a database that is away is waited for."""
    while True:
        if attention.is_deaf(application.wakes_waiting()):
            logger.critical("this process takes no wake-ups although some wait; it makes room for a fresh one")
            os._exit(1)
        try:
            report_alive(application, worker)
            if woken := sweep(application):
                logger.info("woke %d jobs", woken)
        except DatabaseError:
            logger.warning("the sweep failed; it is tried again", exc_info=True)
        if stop.wait(seconds):
            break
    try:
        report_end(application, worker)
    except DatabaseError:
        logger.warning("the database was not told that this worker ends", exc_info=True)

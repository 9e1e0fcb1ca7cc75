"""The sweeper: a thread in every worker that wakes what is due."""

import logging
from threading import Event

from fhir_ecg.service.application import Application
from fhir_ecg.service.sweep import sweep
from fhir_ecg.store.engine import DatabaseError

logger = logging.getLogger(__name__)


def sweep_until(stop: Event, application: Application, seconds: float) -> None:
    """Sweep every so many seconds until told to stop; a database that is away is waited for."""
    while not stop.wait(seconds):
        try:
            if woken := sweep(application):
                logger.info("woke %d jobs", woken)
        except DatabaseError:
            logger.warning("the sweep failed; it is tried again", exc_info=True)

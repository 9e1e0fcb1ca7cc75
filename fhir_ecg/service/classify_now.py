"""Waiting for a report, on behalf of a caller who wants it in the same request."""

from threading import BoundedSemaphore
from time import monotonic, sleep

from fhir_ecg.fhir.search import parse_search
from fhir_ecg.service.application import Application

_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.05, 0.25, 1.5


class WaitingRoom:
    """Lets so many wait at once; who comes beyond that is not let in, so that threads are left for others."""

    def __init__(self, places: int, seconds: float) -> None:
        self._places = BoundedSemaphore(places)
        self._seconds = seconds

    def wait(self, application: Application, report_id: str) -> None:
        """Come back when the report is no longer `registered`, when the time is up, or at once where all is full.

        Raises:
            DeletedError: The report was deleted meanwhile.
        """
        if not self._places.acquire(blocking=False):
            return
        try:
            _wait(application, report_id, self._seconds)
        finally:
            self._places.release()


def report_of(application: Application, observation_id: str) -> str | None:
    """Find the id of the report on an Observation; None where there is none."""
    search = parse_search("DiagnosticReport", [("result", f"Observation/{observation_id}")])
    with application.store.transaction(writes=False) as work:
        found = work.find(search).ids
    return found[0] if found else None


def _wait(application: Application, report_id: str, seconds: float) -> None:
    deadline, pause = monotonic() + seconds, _FIRST_PAUSE
    # Any process may read the ECG; all that they share is the database. No transaction is open between two looks.
    while _is_registered(application, report_id) and (left := deadline - monotonic()) > 0:
        sleep(min(pause, left))
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def _is_registered(application: Application, report_id: str) -> bool:
    with application.store.transaction(writes=False) as work:
        report = work.resources.get("DiagnosticReport", report_id)
    return report is not None and report.content["status"] == "registered"

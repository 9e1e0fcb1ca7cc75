"""What a worker counts, over all its processes; its parent serves it to Prometheus.

Each process writes its numbers to files of a private folder, and the parent adds them up at each scrape:
https://prometheus.github.io/client_python/multiprocess/. Only counters and histograms are kept there, which stay
right when a process dies. Nothing here may make a reading fail.
"""

import atexit
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from shutil import rmtree
from time import perf_counter

from fhir_ecg.service.application import Application, Stage

logger = logging.getLogger(__name__)

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
OUTCOMES = ("read", "cancelled", "released", "not_claimed", "error")
"""What comes of an attempt; `error` where not even that could be written, as when the database is away."""


class WorkerMetrics:
    """The counters of one process of a worker."""

    def __init__(self) -> None:
        # Its folder must be named before prometheus_client is imported: only then does it write to files.
        from prometheus_client import CollectorRegistry, Counter, Histogram

        registry = CollectorRegistry()  # not the one that is served: that one reads the files
        self._attempts = Counter(
            "fhir_ecg_job_attempts", "Attempts to read an ECG, by what came of them", ["outcome"], registry=registry
        )
        self._stages = Histogram(
            "fhir_ecg_stage_duration_seconds", "How long the stages of a reading took", ["stage"], registry=registry
        )
        for outcome in OUTCOMES:
            self._attempts.labels(outcome)  # from 0 on, so that the first one is an increase

    def attempted(self, outcome: str) -> None:
        """Count an attempt."""
        _unharmed(lambda: self._attempts.labels(outcome.replace(" ", "_")).inc())

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        """Measure a stage, also one that fails."""
        began = perf_counter()
        try:
            yield
        finally:
            seconds = perf_counter() - began
            _unharmed(lambda: self._stages.labels(stage).observe(seconds))


def _unharmed(count: Callable[[], None]) -> None:
    try:
        count()
    except Exception:  # such as a full disk
        logger.warning("could not count", exc_info=True)


def share_numbers(port: int) -> None:
    """Make the folder that the worker's processes share; to be called first, in the parent, where a port is set."""
    if port == 0:
        os.environ.pop(_FOLDER, None)
        return
    folder = os.environ[_FOLDER] = tempfile.mkdtemp(prefix="fhir-ecg-metrics-")
    atexit.register(_remove, folder, os.getpid())


def open_metrics() -> WorkerMetrics | None:
    """Open the counters of this process; None where nobody asks for them."""
    if _FOLDER not in os.environ:
        return None
    try:
        return WorkerMetrics()
    except OSError:
        logger.warning("this process counts nothing", exc_info=True)
        return None


def serve_metrics(port: int, application: Application) -> None:
    """Serve the sums over all processes on every address, from a thread of the parent."""
    if _FOLDER not in os.environ:
        return
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.multiprocess import MultiProcessCollector

    from fhir_ecg.model_info import ModelInfo

    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=os.environ[_FOLDER])  # type: ignore[no-untyped-call]
    registry.register(ModelInfo(application.model))
    try:
        start_http_server(port, registry=registry)
    except OSError:
        logger.warning("the metrics are not served: port %d cannot be had", port, exc_info=True)


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # and not a process that was forked from it
        rmtree(folder, ignore_errors=True)

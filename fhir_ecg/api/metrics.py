"""What the web process counts, and the state of the queue; served at /metrics."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fhir_ecg.model_info import ModelInfo
from fhir_ecg.service.application import Application, now
from fhir_ecg.service.health import HealthProbe, QueueState
from fhir_ecg.store.jobs import STATES

# They would double the series, for a moment that Prometheus knows.
disable_created_metrics()  # type: ignore[no-untyped-call]


class WebMetrics:
    """The counters of one web process and the registry that tells them."""

    def __init__(self, application: Application, probe: HealthProbe) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "fhir_ecg_http_requests",
            "HTTP requests answered, by the template of their address",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._durations = Histogram(
            "fhir_ecg_http_request_duration_seconds",
            "From a request's head to its answer",
            ["method", "route"],
            registry=self.registry,
        )
        self._accepted = Counter(
            "fhir_ecg_observations_accepted",
            "Observations stored, by the form in which they came: json, xml, bundle",
            ["form"],
            registry=self.registry,
        )
        self._refused = Counter(
            "fhir_ecg_observations_refused",
            "Observations and Bundles refused, by the code of the OperationOutcome's first issue",
            ["reason"],
            registry=self.registry,
        )
        for form in ("json", "xml", "bundle"):
            self._accepted.labels(form)  # from 0 on, so that the first one is an increase
        ProcessCollector(registry=self.registry)
        self.registry.register(ModelInfo(application.model))
        self.registry.register(_QueueCollector(probe))

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method, route, status).inc()
        self._durations.labels(method, route).observe(seconds)

    def accepted(self, form: str, observations: int = 1) -> None:
        """Count Observations that were stored."""
        self._accepted.labels(form).inc(observations)

    def refused(self, reason: str) -> None:
        """Count one refusal."""
        self._refused.labels(reason).inc()


class _QueueCollector(Collector):
    """The jobs and workers as the database knows them, the same from whichever web process is asked."""

    def __init__(self, probe: HealthProbe) -> None:
        self._probe = probe

    def collect(self) -> Iterator[Metric]:
        """List the metrics; without the database there is but the one that says so."""
        state = self._probe.queue_state()
        up = GaugeMetricFamily("fhir_ecg_database_up", "Whether the database answered this scrape")
        up.add_metric([], 0 if state is None else 1)
        yield up
        if state is not None:
            yield from _queue_metrics(state)


def _queue_metrics(state: QueueState) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("fhir_ecg_jobs", "ECGs by the state of their job", labels=["state"])
    for name in STATES:
        jobs.add_metric([name], state.by_state.get(name, 0))
    yield jobs
    oldest = state.oldest_unfinished
    age = 0.0 if oldest is None else (now() - oldest).total_seconds()
    yield GaugeMetricFamily("fhir_ecg_oldest_job_age_seconds", "Age of the oldest unfinished ECG", value=age)
    alive = "Workers that gave a sign of life lately"
    yield GaugeMetricFamily("fhir_ecg_workers_alive", alive, value=state.workers_alive)

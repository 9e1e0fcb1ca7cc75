"""Liveness, readiness and metrics, for those who watch the service."""

from collections.abc import Iterator

from flask import Blueprint, Response, current_app, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fhir_ecg.service.application import Application, now
from fhir_ecg.service.health import QueueState, queue_state, readiness

blueprint = Blueprint("health", __name__)


def _application() -> Application:
    application: Application = current_app.extensions["fhir_ecg"]
    return application


@blueprint.get("/livez")
def livez() -> Response:
    """Say that the process answers."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Say for each dependency whether it is there, and if not, why."""
    found = readiness(_application())
    shown = {name: problem or "ready" for name, problem in found.problems.items()}
    status = "ready" if found.ready else "not ready"
    return jsonify(status=status, checks=shown, notes=found.notes), 200 if found.ready else 503


@blueprint.get("/metrics")
def metrics() -> Response:
    """Give Prometheus the state of the queue, read from the database by whichever process answers."""
    registry = CollectorRegistry()
    registry.register(_QueueCollector(queue_state(_application())))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _QueueCollector(Collector):
    def __init__(self, state: QueueState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """List the metrics."""
        jobs = GaugeMetricFamily("fhir_ecg_jobs", "ECGs by the state of their job", labels=["state"])
        for state in ("waiting", "running", "done", "failed"):
            jobs.add_metric([state], self._state.by_state.get(state, 0))
        yield jobs
        oldest = self._state.oldest_unfinished
        age = 0.0 if oldest is None else (now() - oldest).total_seconds()
        yield GaugeMetricFamily("fhir_ecg_oldest_job_age_seconds", "Age of the oldest unfinished ECG", value=age)

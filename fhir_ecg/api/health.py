"""Liveness, readiness and metrics, for those who watch the service."""

from flask import Blueprint, Response, current_app, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from fhir_ecg.api.accounting import web_metrics
from fhir_ecg.service.health import HealthProbe

blueprint = Blueprint("health", __name__)


@blueprint.get("/livez")
def livez() -> Response:
    """Say that the process answers."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Say for each dependency whether it is there, and if not, why."""
    probe: HealthProbe = current_app.extensions["fhir_ecg_health"]
    found = probe.readiness()
    shown = {name: problem or "ready" for name, problem in found.problems.items()}
    status = "ready" if found.ready else "not ready"
    return jsonify(status=status, checks=shown, notes=found.notes), 200 if found.ready else 503


@blueprint.get("/metrics")
def metrics() -> Response:
    """Give Prometheus what this process counted, and the state of the queue."""
    return Response(generate_latest(web_metrics().registry), content_type=CONTENT_TYPE_LATEST)

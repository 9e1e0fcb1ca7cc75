"""Readiness names each part that is missing, and what to do about it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from fhir_ecg.api.app import create_app
from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.service.application import Application, now
from fhir_ecg.service.sweep import report_alive, report_end
from fhir_ecg.settings import Settings
from fhir_ecg.store.workers import WorkerIdentity


@pytest.fixture
def worker(application: Application) -> WorkerIdentity:
    return WorkerIdentity("host:1", application.software_version, application.weights_sha256())


def test_without_a_worker_it_is_not_ready(
    client: FlaskClient, application: Application, worker: WorkerIdentity
) -> None:
    before = client.get("/readyz")
    report_alive(application, worker)
    during = client.get("/readyz")
    report_end(application, worker)
    after = client.get("/readyz")

    assert [answer.status_code for answer in (before, during, after)] == [503, 200, 503]
    assert "fhir-ecg worker" in before.get_json()["checks"]["workers"]
    assert during.get_json() == {
        "status": "ready",
        "checks": dict.fromkeys(("database", "broker", "workers", "weights"), "ready"),
        "notes": [],
    }


def test_a_worker_that_is_silent_counts_as_gone(
    client: FlaskClient, application: Application, worker: WorkerIdentity
) -> None:
    with application.store.transaction() as work:
        work.workers.seen(worker, now() - application.policy.worker_silence - timedelta(seconds=1))
    assert client.get("/readyz").status_code == 503
    report_alive(application, worker)
    assert client.get("/readyz").status_code == 200


def test_a_worker_with_other_weights_is_named(
    client: FlaskClient, application: Application, worker: WorkerIdentity
) -> None:
    report_alive(application, replace(worker, weights_sha256="0" * 64))
    answer = client.get("/readyz")
    assert answer.status_code == 200
    (note,) = answer.get_json()["notes"]
    assert "host:1 reads with weights 000000000000" in note


def test_weights_that_cannot_be_read_are_named(application: Application, settings: Settings) -> None:
    broken = settings.model_copy(update={"weights": settings.data_dir / "nothing.safetensors"})
    without = replace(application, weights_sha256=bootstrap(broken).weights_sha256)
    answer = create_app(without, broken).test_client().get("/readyz")
    assert answer.status_code == 503
    assert "nothing.safetensors" in answer.get_json()["checks"]["weights"]

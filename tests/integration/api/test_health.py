"""Readiness names each part that is missing, and what to do about it."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from locations import free_port

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


def without_dependencies(settings: Settings, **changes: object) -> tuple[int, dict[str, str]]:
    """Ask a web process with other settings than the rest of the service."""
    application = bootstrap(settings.model_copy(update=changes))
    answer = create_app(application, settings).test_client().get("/readyz")
    application.store.engine.dispose()
    return answer.status_code, answer.get_json()["checks"]


def test_each_part_that_is_missing_has_its_own_reason(
    application: Application, settings: Settings, worker: WorkerIdentity
) -> None:
    report_alive(application, worker)
    nobody = free_port()
    missing = {
        "database": {"database_url": f"postgresql://nobody@127.0.0.1:{nobody}/nothing"},
        "broker": {"broker_url": f"redis://127.0.0.1:{nobody}/0"},
        "weights": {"weights": settings.data_dir / "nothing.safetensors"},
    }
    reasons = {}
    for name, changes in missing.items():
        status, checks = without_dependencies(settings, **changes)
        assert status == 503
        reasons[name] = checks[name]
        soundly = {other for other, said in checks.items() if said == "ready"}
        # Whether a worker lives is known by the database alone.
        assert soundly == {"database", "broker", "workers", "weights"} - {name} - (
            {"workers"} if name == "database" else set()
        )

    assert reasons["database"] == ("the database does not answer (OperationalError); is FHIR_ECG_DATABASE_URL right?")
    assert reasons["broker"].startswith("the broker does not answer (")
    assert reasons["broker"].endswith("); is FHIR_ECG_BROKER_URL right?")
    assert "nothing.safetensors" in reasons["weights"]


def nothing(_url: str) -> None:
    """Leave a database empty."""


@pytest.mark.parametrize("database_content", [nothing])
def test_a_database_without_our_tables_is_told_to_be_upgraded(settings: Settings) -> None:
    status, checks = without_dependencies(settings)

    assert status == 503
    assert "run `fhir-ecg db upgrade`" in checks["database"]
    assert checks["workers"] == "not known: the database would say it"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("name", "variable", "scheme"),
    [("database", "database_url", "postgresql"), ("broker", "broker_url", "redis"), ("broker", "broker_url", "amqp")],
)
def test_what_takes_connections_and_never_answers_is_named(
    settings: Settings, silent_port: int, name: str, variable: str, scheme: str
) -> None:
    status, checks = without_dependencies(settings, **{variable: f"{scheme}://u:p@127.0.0.1:{silent_port}/0"})

    assert status == 503
    assert f"FHIR_ECG_{variable.upper()}" in checks[name]
    assert checks["weights"] == "ready"


def test_liveness_asks_nobody(settings: Settings, silent_port: int) -> None:
    away = {"database_url": f"postgresql://127.0.0.1:{silent_port}/x", "broker_url": f"redis://127.0.0.1:{silent_port}"}
    application = bootstrap(settings.model_copy(update=away))
    client = create_app(application, settings).test_client()

    assert client.get("/livez").get_json() == {"status": "alive"}
    assert application.store.engine.pool.checkedin() == 0  # type: ignore[attr-defined]


def test_metrics_are_served_while_the_database_is_away(settings: Settings) -> None:
    application = bootstrap(settings.model_copy(update={"database_url": f"postgresql://127.0.0.1:{free_port()}/x"}))
    told = create_app(application, settings).test_client().get("/metrics")
    application.store.engine.dispose()

    assert told.status_code == 200
    assert "fhir_ecg_database_up 0.0" in told.text
    assert "fhir_ecg_jobs{" not in told.text
    assert "fhir_ecg_build_info{" in told.text

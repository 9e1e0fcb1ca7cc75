"""What the web process counts, as Prometheus reads it."""

import json
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from fhir_ecg.ecg.prediction import ModelIdentity
from fhir_ecg.fhir.xml_form import serialise_xml
from fhir_ecg.service.application import Application, now
from fhir_ecg.service.sweep import report_alive
from fhir_ecg.store.workers import WorkerIdentity

JSON, XML = "application/fhir+json", "application/fhir+xml"


def scraped(client: FlaskClient) -> dict[tuple[str, ...], float]:
    """Read the metrics: name and the values of the labels to the number."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_accepted_observations_are_counted_by_form(client: FlaskClient, examples: dict[str, bytes]) -> None:
    before = scraped(client)
    ecg = examples["normal-sinus-rhythm"]
    key = {"Idempotency-Key": "once"}
    for _ in range(2):  # the second is the same attempt, and stores nothing
        assert client.post("/fhir/Observation", data=ecg, content_type=JSON, headers=key).status_code == 201
    xml = serialise_xml(json.loads(ecg))
    assert client.post("/fhir/Observation", data=xml, content_type=XML).status_code == 201
    request = {"method": "POST", "url": "Observation"}
    entries = [{"resource": json.loads(body), "request": request} for body in list(examples.values())[:2]]
    flawed = json.loads(ecg) | {"status": "nonsense"}
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [*entries, {"resource": flawed, "request": request}]}
    assert client.post("/fhir", data=json.dumps(bundle), content_type=JSON).status_code == 200

    name = "fhir_ecg_observations_accepted_total"
    after = scraped(client)
    assert [before[name, form] for form in ("json", "xml", "bundle")] == [0, 0, 0]
    assert [after[name, form] for form in ("json", "xml", "bundle")] == [1, 1, 2]
    assert sum(value for key, value in after.items() if key[0] == "fhir_ecg_observations_refused_total") == 1


@pytest.mark.parametrize(
    ("body", "media_type", "reason"),
    [
        ('{"resourceType": "Observation", "status": "final", "code": {"text": "ECG"}}', JSON, "required"),
        ('{"resourceType": "Patient"}', JSON, None),
        ("no JSON", JSON, None),
        ("x", "text/plain", "not-supported"),
        ("1" * 3 * 1024**2, JSON, "too-long"),
    ],
    ids=["no leads", "no Observation", "no JSON", "no FHIR", "too large"],
)
def test_refusals_are_counted_by_the_code_that_the_sender_reads(
    client: FlaskClient, body: str, media_type: str, reason: str | None
) -> None:
    answer = client.post("/fhir/Observation", data=body, content_type=media_type)
    code = answer.get_json()["issue"][0]["code"]

    assert code == (reason or code)
    assert scraped(client)["fhir_ecg_observations_refused_total", code] == 1


def test_what_is_no_ecg_is_not_counted_as_refused(client: FlaskClient) -> None:
    assert client.get("/fhir/Observation?nonsense=1").status_code == 400
    assert client.get("/fhir/nothing").status_code == 404

    assert not [key for key in scraped(client) if key[0] == "fhir_ecg_observations_refused_total"]


def test_requests_are_counted_by_template_and_never_by_address(client: FlaskClient) -> None:
    for identity in ("one", "two"):
        client.get(f"/fhir/Observation/{identity}?subject=Patient/{identity}")
    client.get("/fhir/somewhere/else/entirely")
    client.open("/fhir/metadata", method="BREW")

    metrics = scraped(client)
    name = "fhir_ecg_http_requests_total"
    assert metrics[name, "GET", "/fhir/{kind}/{identity}", "404"] == 2
    assert metrics[name, "GET", "none", "404"] == 1
    assert metrics[name, "other", "none", "405"] == 1
    assert metrics["fhir_ecg_http_request_duration_seconds_count", "GET", "/fhir/{kind}/{identity}"] == 2


def test_the_queue_the_workers_and_the_model_are_told(
    client: FlaskClient, application: Application, examples: dict[str, bytes]
) -> None:
    client.post("/fhir/Observation", data=examples["normal-sinus-rhythm"], content_type=JSON)
    worker = WorkerIdentity("host:1", application.software_version, application.weights_sha256())
    report_alive(application, worker)
    with application.store.transaction() as work:
        silent = WorkerIdentity("host:2", worker.software_version, worker.weights_sha256)
        work.workers.seen(silent, now() - application.policy.worker_silence - timedelta(seconds=1))

    metrics = scraped(client)
    model: ModelIdentity = application.model()
    assert [metrics["fhir_ecg_jobs", state] for state in ("waiting", "running", "done", "failed")] == [1, 0, 0, 0]
    assert metrics["fhir_ecg_oldest_job_age_seconds",] > 0
    assert metrics["fhir_ecg_workers_alive",] == 1
    assert metrics["fhir_ecg_database_up",] == 1
    assert metrics["fhir_ecg_model_info", model.name, model.version, model.weights_sha256] == 1
    assert any(key[0] == "fhir_ecg_build_info" and application.software_version in key for key in metrics)

"""A sender who does not wait: 202, polling, cancelling, and the Task beside it."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from fhir_ecg.ecg.quality import QualityFinding
from fhir_ecg.service.application import Application
from fhir_ecg.service.classify import classify

FHIR = "application/fhir+json"


@pytest.fixture
def accepted(client: FlaskClient, examples: dict[str, bytes]) -> TestResponse:
    return send(client, examples["atrial-fibrillation"])


def send(client: FlaskClient, body: bytes, **headers: str) -> TestResponse:
    named = {"Prefer": "respond-async"} | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = client.post("/fhir/Observation", data=body, content_type=FHIR, headers=named)
    assert answer.status_code == 202
    return answer


def address(accepted: TestResponse) -> str:
    return accepted.headers["Content-Location"].removeprefix("http://localhost")


def task(client: FlaskClient, accepted: TestResponse) -> Any:
    return client.get(f"/fhir/Task/{address(accepted).rsplit('/', 1)[1]}").json


def job(accepted: TestResponse) -> str:
    return address(accepted).rsplit("/", 1)[1]


def test_it_is_polled_until_the_report_is_there(
    client: FlaskClient, application: Application, accepted: TestResponse
) -> None:
    waiting = client.get(address(accepted))
    assert (waiting.status_code, waiting.headers["X-Progress"], waiting.data) == (202, "waiting to be read", b"")
    assert int(waiting.headers["Retry-After"]) > 0
    assert task(client, accepted)["status"] == "requested"

    assert classify(application, job(accepted)) == "read"
    ended = client.get(address(accepted))
    assert (ended.status_code, ended.json["type"]) == (200, "batch-response")
    created, report = ended.json["entry"]
    assert (created["response"]["status"], created["response"]["location"]) == (
        "201 Created",
        accepted.headers["Location"],
    )
    assert (report["response"]["status"], report["resource"]["status"]) == ("200 OK", "partial")
    mirrored = task(client, accepted)
    assert (mirrored["status"], mirrored["meta"]["versionId"]) == ("completed", "3")
    assert mirrored["output"][0]["valueReference"]["reference"] == f"DiagnosticReport/{report['resource']['id']}"
    statuses = client.get(f"/fhir/Task/{job(accepted)}/_history").json["entry"]
    assert [entry["resource"]["status"] for entry in statuses] == ["completed", "in-progress", "requested"]


def test_a_cancelled_reading_is_not_made_and_its_report_says_so(
    client: FlaskClient, application: Application, accepted: TestResponse
) -> None:
    assert client.delete(address(accepted)).status_code == 202
    assert classify(application, job(accepted)) == "not claimed"
    assert client.get(address(accepted)).status_code == 404
    assert client.delete(address(accepted)).status_code == 404
    assert task(client, accepted)["status"] == "cancelled"
    report = client.get("/fhir/DiagnosticReport").json["entry"][0]["resource"]
    assert report["status"] == "cancelled"
    assert "cancelled at the sender's request" in report["conclusion"]
    assert client.get(accepted.headers["Location"]).status_code == 200


def test_the_outcome_can_be_forgotten_and_the_report_stays(
    client: FlaskClient, application: Application, accepted: TestResponse
) -> None:
    classify(application, job(accepted))
    assert client.delete(address(accepted)).status_code == 202
    assert client.get(address(accepted)).status_code == 404
    assert client.get(f"/fhir/Task/{job(accepted)}").status_code == 410
    assert client.get("/fhir/DiagnosticReport").json["entry"][0]["resource"]["status"] == "partial"


def test_an_ecg_that_cannot_be_read_fails_its_task(
    client: FlaskClient, application: Application, accepted: TestResponse, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [QualityFinding("too-short", "The ECG is too short.")]
    monkeypatch.setattr("fhir_ecg.service.classify.quality_findings", lambda _recording: found)
    assert classify(application, job(accepted)) == "cancelled"
    assert (task(client, accepted)["status"], task(client, accepted)["statusReason"]) == (
        "failed",
        {"text": "The ECG is too short."},
    )
    assert client.get(address(accepted)).json["entry"][1]["resource"]["status"] == "cancelled"


def test_what_was_sent_before_is_polled_at_the_same_place(client: FlaskClient, examples: dict[str, bytes]) -> None:
    body = examples["atrial-fibrillation"]
    plain = client.post("/fhir/Observation", data=body, content_type=FHIR, headers={"Idempotency-Key": "k"})
    first = send(client, body, Idempotency_Key="k")
    second = send(client, body, Idempotency_Key="k")
    assert address(first) == address(second)
    assert first.headers["Location"] == plain.headers["Location"]
    assert client.get(address(first)).status_code == 202


@pytest.mark.parametrize("place", ["_async/3f2504e0-4f89-41d3-9a0c-0305e82c3301", "_async/none"])
def test_what_nobody_sent_is_not_polled(client: FlaskClient, place: str) -> None:
    assert client.get(f"/fhir/{place}").status_code == 404
    assert client.delete(f"/fhir/{place}").status_code == 404


def test_a_reading_that_nobody_polls_has_no_task(client: FlaskClient, examples: dict[str, bytes]) -> None:
    client.post("/fhir/Observation", data=examples["atrial-fibrillation"], content_type=FHIR)
    assert client.get("/fhir/Task").json["total"] == 0

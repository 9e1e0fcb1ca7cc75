"""`$classify`: an ECG in, its report out; nothing is lost where the report takes too long."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest
from ecg_steps import read_waiting
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from fhir_ecg.api.app import create_app
from fhir_ecg.fhir.xml_form import serialise_xml
from fhir_ecg.service.application import Application
from fhir_ecg.settings import Settings
from fhir_ecg.store.tables import AuditEventRow, JobRow, ResourceRow, SubmissionRow

JSON, XML = "application/fhir+json", "application/fhir+xml"
CLASSIFY = "/fhir/Observation/$classify"


@pytest.fixture
def ecg(examples: dict[str, bytes]) -> bytes:
    return examples["sinus-tachycardia"]


@contextmanager
def working(application: Application) -> Iterator[None]:
    """Read what waits, as a worker of another process does."""
    application.classifier()
    stop = Event()

    def work() -> None:
        while not stop.wait(0.02):
            read_waiting(application)

    worker = Thread(target=work)
    worker.start()
    yield
    stop.set()
    worker.join()


def impatient(application: Application, settings: Settings, **changes: Any) -> Flask:
    return create_app(application, settings.model_copy(update={"classify_seconds": 0} | changes))


def parameters(ecg: bytes, name: str = "observation") -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": name, "resource": json.loads(ecg)}]}


def stored(application: Application) -> tuple[int, int]:
    """Observations that were sent, and jobs."""
    with Session(application.store.engine) as session:
        submissions = session.scalar(select(func.count()).select_from(SubmissionRow)) or 0
        return submissions, session.scalar(select(func.count()).select_from(JobRow)) or 0


def observation_of(answer: TestResponse) -> str:
    reference: str = answer.get_json()["result"][0]["reference"]
    return reference


def test_the_answer_is_the_report(application: Application, client: FlaskClient, ecg: bytes) -> None:
    with working(application):
        answer = client.post(CLASSIFY, data=ecg, content_type=JSON)

    report = answer.get_json()
    assert (answer.status_code, report["resourceType"], report["status"]) == (200, "DiagnosticReport", "partial")
    assert report["conclusionCode"]
    place = f"http://localhost/fhir/DiagnosticReport/{report['id']}"
    version = report["meta"]["versionId"]
    assert answer.headers["Location"] == place
    assert answer.headers["Content-Location"] == f"{place}/_history/{version}"
    assert answer.headers["ETag"] == f'W/"{version}"'
    assert answer.headers["Link"] == f'<http://localhost/fhir/{observation_of(answer)}>; rel="related"'
    assert "Retry-After" not in answer.headers
    assert client.get(f"/fhir/DiagnosticReport/{report['id']}").get_json() == report


def test_the_ecg_is_stored_as_by_a_create_and_each_step_is_audited_once(
    application: Application, client: FlaskClient, ecg: bytes
) -> None:
    with working(application):
        answer = client.post(CLASSIFY, data=ecg, content_type=JSON)

    with Session(application.store.engine) as session:
        assert session.scalars(select(SubmissionRow.body)).one() == ecg
        entries = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence)).all()
    steps = [entry.action for entry in entries if entry.action in {"create", "classify", "read"}]
    assert steps == ["create", "classify", "read"]
    kept = client.get(f"/fhir/{observation_of(answer)}").get_json()
    sent = json.loads(ecg)
    assert {name: value for name, value in kept.items() if name not in {"id", "meta"}} == {
        name: value for name, value in sent.items() if name not in {"id", "meta"}
    }


@pytest.mark.parametrize("media_type", [JSON, XML])
@pytest.mark.parametrize("wrapped", [False, True])
def test_every_form_is_taken_and_the_bytes_are_kept(
    application: Application, settings: Settings, ecg: bytes, media_type: str, *, wrapped: bool
) -> None:
    client = impatient(application, settings).test_client()
    resource = parameters(ecg) if wrapped else json.loads(ecg)
    body = serialise_xml(resource) if media_type == XML else json.dumps(resource, indent=1).encode()
    answer = client.post(CLASSIFY, data=body, content_type=media_type)

    assert answer.status_code == 200
    with Session(application.store.engine) as session:
        assert session.scalars(select(SubmissionRow.body)).one() == body
    kept = client.get(f"/fhir/{observation_of(answer)}").get_json()
    assert kept["resourceType"] == "Observation"
    assert kept["component"] == json.loads(ecg)["component"]
    assert read_waiting(application) == ["read"]
    read = client.get(f"/fhir/{observation_of(answer)}/$classify")
    assert read.get_json()["status"] == "partial"


def test_a_report_that_takes_too_long_is_answered_as_it_is_and_can_be_asked_for_again(
    application: Application, settings: Settings, client: FlaskClient, ecg: bytes
) -> None:
    hasty = impatient(application, settings).test_client()
    answer = hasty.post(CLASSIFY, data=ecg, content_type=JSON)
    assert (answer.status_code, answer.get_json()["status"]) == (200, "registered")
    assert int(answer.headers["Retry-After"]) > 0
    assert stored(application) == (1, 1)

    again = hasty.get(f"/fhir/{observation_of(answer)}/$classify")
    assert (again.status_code, again.get_json()["status"]) == (200, "registered")
    assert int(again.headers["Retry-After"]) > 0
    with working(application):
        patient = client.post(f"/fhir/{observation_of(answer)}/$classify")
    assert (patient.status_code, patient.get_json()["status"]) == (200, "partial")
    assert patient.get_json()["id"] == answer.get_json()["id"]
    assert "Retry-After" not in patient.headers
    assert stored(application) == (1, 1)


def test_who_finds_no_place_to_wait_is_answered_at_once_and_a_place_is_given_back(
    application: Application, settings: Settings, ecg: bytes
) -> None:
    app = create_app(application, settings.model_copy(update={"classify_seconds": 60, "web_threads": 2}))
    places = app.extensions["fhir_ecg_waiting_room"]._places
    assert places.acquire(blocking=False)  # somebody waits
    assert not places.acquire(blocking=False)  # of two threads one is left for others

    answer = app.test_client().post(CLASSIFY, data=ecg, content_type=JSON)
    assert (answer.status_code, answer.get_json()["status"]) == (200, "registered")
    assert "Retry-After" in answer.headers

    places.release()
    with working(application):
        for _ in range(2):
            waited = app.test_client().get(f"/fhir/{observation_of(answer)}/$classify")
            assert waited.get_json()["status"] == "partial"
    assert places.acquire(blocking=False)


def test_many_at_once_all_get_their_own_report(
    application: Application, settings: Settings, examples: dict[str, bytes]
) -> None:
    app = create_app(application, settings.model_copy(update={"classify_seconds": 60, "web_threads": 32}))
    with working(application), ThreadPoolExecutor(len(examples)) as callers:
        answers = [*callers.map(lambda body: app.test_client().post(CLASSIFY, data=body), examples.values())]
        assert {answer.status_code for answer in answers} == {415}
        answers = [
            *callers.map(lambda body: app.test_client().post(CLASSIFY, data=body, content_type=JSON), examples.values())
        ]
    assert {answer.get_json()["status"] for answer in answers} == {"partial"}
    subjects = [json.loads(body)["subject"] for body in examples.values()]
    assert [answer.get_json()["subject"] for answer in answers] == subjects


def test_a_reading_that_cannot_be_made_is_answered_too(
    application: Application, client: FlaskClient, ecg: bytes
) -> None:
    short = json.loads(ecg)
    for component in short["component"]:
        sampled = component["valueSampledData"]
        sampled["data"] = " ".join(sampled["data"].split()[:500])
    with working(application):
        answer = client.post(CLASSIFY, json=short, content_type=JSON)
    assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelled")
    assert "too-short" in answer.get_json()["conclusion"]
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize(
    "headers", [{"Idempotency-Key": "k-1"}, {"If-None-Exist": "identifier=http://hospital.example/ecg|E-1"}]
)
def test_an_ecg_is_taken_once_under_a_condition(
    application: Application, settings: Settings, ecg: bytes, headers: dict[str, str]
) -> None:
    client = impatient(application, settings).test_client()
    body = json.dumps(
        json.loads(ecg) | {"identifier": [{"system": "http://hospital.example/ecg", "value": "E-1"}]}
    ).encode()
    answers = [client.post(CLASSIFY, data=body, content_type=JSON, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].get_json() == answers[1].get_json()
    assert stored(application) == (1, 1)


def test_what_the_door_refuses_is_refused_alike(client: FlaskClient, application: Application, ecg: bytes) -> None:
    broken = json.loads(ecg)
    del broken["component"][3]["valueSampledData"]["period"]
    created = client.post("/fhir/Observation", json=broken, content_type=JSON)
    classified = client.post(CLASSIFY, json=broken, content_type=JSON)
    held = client.post(CLASSIFY, json=parameters(json.dumps(broken).encode()), content_type=JSON)

    assert created.status_code == classified.status_code == held.status_code == 422
    assert created.get_json() == classified.get_json()
    # The same, but for where the Observation stands.
    assert held.get_data(as_text=True) == created.get_data(as_text=True).replace(
        '"Observation.', '"Parameters.parameter[0].resource.'
    )
    assert stored(application) == (0, 0)
    with Session(application.store.engine) as session:
        assert session.scalars(select(AuditEventRow.action)).all() == ["refuse"] * 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"resourceType": "Parameters"}',
        b'{"resourceType": "Parameters", "parameter": []}',
        b'{"resourceType": "Parameters", "parameter": "observation"}',
        b'{"resourceType": "Parameters", "parameter": [{"name": "observation", "valueString": "x"}]}',
        b'{"resourceType": "Parameters", "parameter": [{"name": "ecg", "resource": {"resourceType": "Observation"}}]}',
        b'{"resourceType": "Parameters", "parameter": [{"name": "observation", "resource": {"id": "1"}}]}',
        b'{"resourceType": "Parameters", "parameter": [{"name": "observation", "resource": {}}]}',
        b'{"resourceType": "Bundle", "type": "collection"}',
    ],
)
def test_what_holds_no_observation_is_refused(client: FlaskClient, application: Application, body: bytes) -> None:
    answer = client.post(CLASSIFY, data=body, content_type=JSON)
    assert answer.status_code == 400
    assert answer.get_json()["issue"][0]["diagnostics"]
    assert stored(application) == (0, 0)


def test_a_create_takes_no_parameters(client: FlaskClient, ecg: bytes) -> None:
    assert client.post("/fhir/Observation", json=parameters(ecg), content_type=JSON).status_code == 400


@pytest.mark.parametrize("identity", ["unknown", "a b", "x" * 100, "%00", "..", "1'--"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_observation_that_is_not_stored_is_404(client: FlaskClient, identity: str, method: str) -> None:
    answer = client.open(f"/fhir/Observation/{identity}/$classify", method=method)
    assert answer.status_code == 404
    assert answer.get_json()["resourceType"] == "OperationOutcome"


def test_the_report_can_be_had_as_xml(application: Application, settings: Settings, ecg: bytes) -> None:
    client = impatient(application, settings).test_client()
    answer = client.post(CLASSIFY, data=ecg, content_type=JSON, headers={"Accept": XML})
    assert answer.content_type.startswith(XML)
    assert b"<DiagnosticReport" in answer.data


def test_a_withdrawn_ecg_is_answered_as_it_is(client: FlaskClient, application: Application, ecg: bytes) -> None:
    identity = client.post("/fhir/Observation", data=ecg, content_type=JSON).get_json()["id"]
    assert client.delete(f"/fhir/Observation/{identity}").status_code == 204
    answer = client.get(f"/fhir/Observation/{identity}/$classify")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelled")
    with Session(application.store.engine) as session:
        assert session.scalar(select(ResourceRow.deleted).where(ResourceRow.id == identity))

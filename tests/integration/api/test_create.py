"""POST /fhir/Observation: what comes back, what is stored, what is refused."""

import json
from typing import Any

import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fhir_ecg.service.application import Application
from fhir_ecg.store.base import Base
from fhir_ecg.store.tables import AuditEventRow

FHIR_JSON = "application/fhir+json"
ACCEPTED_TABLES = {
    "submission",
    "resource",
    "resource_version",
    "search_token",
    "search_date",
    "search_reference",
    "job",
}


def rows(application: Application) -> dict[str, int]:
    with Session(application.store.engine) as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }


def post(client: FlaskClient, body: bytes, **headers: str) -> Any:
    return client.post("/fhir/Observation", data=body, content_type=FHIR_JSON, headers=headers)


def changed(observation: bytes, **elements: Any) -> bytes:
    return json.dumps({**json.loads(observation), **elements}).encode()


def with_sampled_data(observation: bytes, component: int = 0, **elements: Any) -> bytes:
    document = json.loads(observation)
    document["component"][component]["valueSampledData"].update(elements)
    return json.dumps(document).encode()


def test_accepted_observation_is_answered_with_its_place_and_version(
    client: FlaskClient, application: Application, examples: dict[str, bytes]
) -> None:
    answer = post(client, examples["normal-sinus-rhythm"])

    assert answer.status_code == 201
    identity = answer.json["id"]
    assert answer.headers["Location"] == f"http://localhost/fhir/Observation/{identity}/_history/1"
    assert answer.headers["ETag"] == 'W/"1"'
    assert answer.headers["Last-Modified"]
    assert answer.json["meta"]["versionId"] == "1"
    sent = json.loads(examples["normal-sinus-rhythm"])
    assert {name: value for name, value in answer.json.items() if name not in {"id", "meta"}} == sent
    assert all(rows(application)[table] for table in ACCEPTED_TABLES)


def test_bytes_are_kept_as_sent(client: FlaskClient, application: Application, examples: dict[str, bytes]) -> None:
    body = examples["normal-sinus-rhythm"].replace(b'"factor":0.005', b'"factor": 5.000E-3')
    answer = post(client, body)

    with Session(application.store.engine) as session:
        assert session.scalars(select(Base.metadata.tables["submission"].c.body)).one() == body
    assert b'"factor":0.005000' in client.get(answer.headers["Location"]).data


@pytest.mark.parametrize(
    ("preference", "kind"),
    [("minimal", None), ("representation", "Observation"), ("OperationOutcome", "OperationOutcome")],
)
def test_prefer_chooses_the_body(
    client: FlaskClient, examples: dict[str, bytes], preference: str, kind: str | None
) -> None:
    answer = post(client, examples["normal-sinus-rhythm"], Prefer=f"return={preference}")

    assert answer.status_code == 201
    assert answer.headers["Location"]
    assert (answer.json["resourceType"] if answer.data else None) == kind


REFUSED = [
    ("not JSON", lambda _: b"<Observation/>", 400, "structure", "Observation"),
    ("empty", lambda _: b"", 400, "structure", "Observation"),
    ("no object", lambda _: b"[]", 400, "structure", "Observation"),
    (
        "a name twice",
        lambda o: o.replace(b'"status"', b'"status":"final","status"', 1),
        400,
        "structure",
        "Observation",
    ),
    ("another resource", lambda o: changed(o, resourceType="Patient"), 400, "invalid", "Observation.resourceType"),
    ("unknown element", lambda o: changed(o, waveform=1), 422, "structure", "Observation.waveform"),
    ("bogus status", lambda o: changed(o, status="bogus"), 422, "code-invalid", "Observation.status"),
    (
        "3 leads",
        lambda o: changed(o, component=json.loads(o)["component"][:3]),
        422,
        "required",
        "Observation.component",
    ),
    (
        "empty data",
        lambda o: with_sampled_data(o, data=""),
        422,
        "value",
        "Observation.component[0].value.ofType(SampledData).data",
    ),
    (
        "unknown unit",
        lambda o: with_sampled_data(o, origin={"value": 0, "code": "mm[Hg]", "system": "http://unitsofmeasure.org"}),
        422,
        "code-invalid",
        "Observation.component[0].value.ofType(SampledData).origin.code",
    ),
    (
        "period 0",
        lambda o: with_sampled_data(o, component=4, period=0),
        422,
        "value",
        "Observation.component[4].value.ofType(SampledData).period",
    ),
]


@pytest.mark.parametrize(("name", "make", "status", "code", "expression"), REFUSED, ids=[case[0] for case in REFUSED])
def test_refused_with_the_element_and_nothing_stored_but_its_trace(
    client: FlaskClient,
    application: Application,
    examples: dict[str, bytes],
    name: str,
    make: Any,
    status: int,
    code: str,
    expression: str,
) -> None:
    answer = post(client, make(examples["normal-sinus-rhythm"]))

    assert answer.status_code == status
    OperationOutcome.model_validate(answer.json)
    issues = {(issue["code"], *issue.get("expression", [])) for issue in answer.json["issue"]}
    assert (code, expression) in issues
    assert {table for table, count in rows(application).items() if count} == {"audit_event", "audit_lane"}
    with Session(application.store.engine) as session:
        trace = session.scalars(select(AuditEventRow)).one()
    assert (trace.action, trace.outcome) == ("refuse", "failure")


def test_too_large_a_body_is_refused(client: FlaskClient, application: Application) -> None:
    answer = post(client, b"[" + b"1," * 15_000_000 + b"1]")

    assert answer.status_code == 413
    assert answer.json["issue"][0]["code"] == "too-long"
    assert {table for table, count in rows(application).items() if count} == {"audit_event", "audit_lane"}


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/fhir+json", 201),
        ("application/json; charset=utf-8", 201),
        ("application/fhir+json; fhirVersion=4.0", 201),
        ("application/fhir+json; fhirVersion=3.0", 415),
        ("application/fhir+json; fhirVersion=5.0", 422),
        ("application/fhir+xml", 400),
        ("application/fhir+turtle", 415),
        ("text/plain", 415),
        ("", 415),
    ],
)
def test_content_type_decides(client: FlaskClient, examples: dict[str, bytes], content_type: str, status: int) -> None:
    answer = client.post("/fhir/Observation", data=examples["normal-sinus-rhythm"], content_type=content_type)

    assert answer.status_code == status
    if status != 201:
        assert answer.json["resourceType"] == "OperationOutcome"

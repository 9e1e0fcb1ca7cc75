"""An ECG is let in once where its sender asks for that, however many ask at the same moment."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from fhir_ecg.api.app import create_app
from fhir_ecg.fhir.criteria_met import is_met
from fhir_ecg.fhir.search import parse_search
from fhir_ecg.fhir.search_values import PREFIXES
from fhir_ecg.service.application import Application
from fhir_ecg.service.verify import verify
from fhir_ecg.settings import Settings
from fhir_ecg.store.tables import AuditEventRow, JobRow, ResourceRow
from fhir_ecg.store.verification.finding import Finding

IDENTIFIER = {"system": "http://hospital.example/ecg", "value": "E-1"}
CRITERIA = "identifier=http://hospital.example/ecg|E-1"


@pytest.fixture
def ecg(examples: dict[str, bytes]) -> bytes:
    return json.dumps(json.loads(examples["sinus-tachycardia"]) | {"identifier": [IDENTIFIER]}).encode()


def post(client: FlaskClient, body: bytes, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/fhir/Observation", data=body, content_type="application/fhir+json", headers=named)


def stored(application: Application) -> tuple[int, int, int]:
    """Observations, reports and jobs."""
    with Session(application.store.engine) as session:
        counts = dict(session.execute(select(ResourceRow.type, func.count()).group_by(ResourceRow.type)).all())
        jobs = session.scalar(select(func.count()).select_from(JobRow)) or 0
    return counts.get("Observation", 0), counts.get("DiagnosticReport", 0), jobs


def same(answer: TestResponse, other: TestResponse) -> bool:
    names = ("Location", "Link", "ETag")
    return answer.data == other.data and all(answer.headers[name] == other.headers[name] for name in names)


@pytest.mark.parametrize(
    ("headers", "statuses"),
    [
        ({"If_None_Exist": CRITERIA}, {201: 1, 200: 63}),
        ({"Idempotency_Key": "6b1c7f0e-0000-4000-8000-000000000001"}, {201: 64}),
    ],
)
def test_64_at_once_are_one(
    application: Application, settings: Settings, ecg: bytes, headers: dict[str, str], statuses: dict[int, int]
) -> None:
    app = create_app(application, settings)
    with ThreadPoolExecutor(64) as senders:
        answers = list(senders.map(lambda _: post(app.test_client(), ecg, **headers), range(64)))

    codes = [answer.status_code for answer in answers]
    assert {code: codes.count(code) for code in set(codes)} == statuses
    assert all(same(answer, answers[0]) for answer in answers)
    assert stored(application) == (1, 1, 1)


def test_a_condition_that_matches_answers_with_the_ecg_and_its_report(client: FlaskClient, ecg: bytes) -> None:
    first = post(client, ecg)
    changed = json.loads(ecg) | {"note": [{"text": "sent again"}]}
    again = post(client, json.dumps(changed).encode(), If_None_Exist=f"Observation?{CRITERIA}")

    assert (first.status_code, again.status_code) == (201, 200)
    assert same(first, again)
    minimal = post(client, ecg, If_None_Exist=CRITERIA, Prefer="return=minimal")
    assert (minimal.status_code, minimal.data) == (200, b"")


def test_several_matches_are_412(client: FlaskClient, application: Application, ecg: bytes) -> None:
    ids = {post(client, ecg).get_json()["id"] for _ in range(2)}
    answer = post(client, ecg, If_None_Exist=CRITERIA)

    assert answer.status_code == 412
    (issue,) = answer.get_json()["issue"]
    assert all(identity in issue["diagnostics"] for identity in ids)
    assert stored(application) == (2, 2, 2)


def test_a_condition_that_matches_nothing_lets_in(client: FlaskClient, application: Application, ecg: bytes) -> None:
    post(client, ecg)
    other = ecg.replace(b"E-1", b"E-2")
    assert post(client, other, If_None_Exist="identifier=E-2").status_code == 201
    assert stored(application) == (2, 2, 2)


@pytest.mark.parametrize(
    "criteria",
    [
        "identifier=E-2",
        "identifier=http://another.example|E-1",
        f"{CRITERIA}&date=lt2000",
        "patient=Patient/another",
        "_id=E-1",
        "subject:missing=true",
        "identifier:not=E-1",
    ],
)
def test_a_condition_that_would_not_find_what_is_sent_is_refused(
    client: FlaskClient, application: Application, ecg: bytes, criteria: str
) -> None:
    """As HAPI does: sent again, it would be stored again each time."""
    answer = post(client, ecg, If_None_Exist=criteria)
    assert answer.status_code == 400
    assert criteria.rpartition("&")[2] in answer.json["issue"][0]["diagnostics"]
    assert stored(application) == (0, 0, 0)
    with Session(application.store.engine) as session:
        assert session.scalars(select(AuditEventRow.action)).all() == ["refuse"]


@pytest.mark.parametrize(
    "criteria",
    [
        f"{CRITERIA}&date=ge2000&status=final&code:missing=false",
        "subject.identifier=unknown",  # hangs on what is referred to, so that nobody can tell beforehand
        "_lastUpdated=gt2000",
        "identifier=E-0,E-1",
    ],
)
def test_a_condition_that_holds_or_may_hold_lets_in(client: FlaskClient, ecg: bytes, criteria: str) -> None:
    assert post(client, ecg, If_None_Exist=criteria).status_code == 201


def test_what_matches_is_answered_whatever_is_sent(client: FlaskClient, application: Application, ecg: bytes) -> None:
    first = post(client, ecg)
    again = post(client, ecg.replace(b"E-1", b"E-2"), If_None_Exist=CRITERIA)
    assert (again.status_code, again.json["id"]) == (200, first.json["id"])
    assert stored(application) == (1, 1, 1)


def test_what_matches_no_longer_does_not_stand_in_the_way_and_32_at_once_are_one(
    application: Application, settings: Settings, ecg: bytes
) -> None:
    """The first has its condition's key, and then another identifier: the search finds nothing, so one is created."""
    app = create_app(application, settings)
    first = post(app.test_client(), ecg, If_None_Exist=CRITERIA)
    amended = first.json | {"identifier": [IDENTIFIER | {"value": "E-2"}]}
    put = app.test_client().put(
        f"/fhir/Observation/{first.json['id']}", data=json.dumps(amended), content_type="application/fhir+json"
    )
    assert put.status_code == 200
    with ThreadPoolExecutor(32) as senders:
        answers = list(senders.map(lambda _: post(app.test_client(), ecg, If_None_Exist=CRITERIA), range(32)))
    assert sorted(answer.status_code for answer in answers) == [200] * 31 + [201]
    assert {answer.json["id"] for answer in answers} - {first.json["id"]} == {answers[0].json["id"]}
    assert stored(application) == (2, 2, 2)
    findings: list[Finding] = []
    verify(application, {}, findings.append, lambda _rows: lambda _seen: None)
    assert findings == []


def test_a_key_belongs_to_its_bytes(client: FlaskClient, application: Application, ecg: bytes) -> None:
    assert post(client, ecg, Idempotency_Key="k").status_code == 201
    answer = post(client, ecg + b" ", Idempotency_Key="k")
    assert answer.status_code == 422
    assert answer.get_json()["issue"][0]["code"] == "conflict"
    assert post(client, ecg + b" ", Idempotency_Key="l").status_code == 201
    assert stored(application) == (2, 2, 2)


@pytest.mark.parametrize(
    "headers",
    [
        {"Idempotency_Key": ""},
        {"Idempotency_Key": "k" * 256},
        {"Idempotency_Key": "a b"},
        {"If_None_Exist": ""},
        {"If_None_Exist": "colour=red"},
        {"If_None_Exist": "date=yesterday"},
    ],
)
def test_headers_that_say_nothing_are_refused(
    client: FlaskClient, application: Application, ecg: bytes, headers: dict[str, str]
) -> None:
    answer = post(client, ecg, **headers)
    assert answer.status_code == 400
    assert answer.get_json()["issue"][0]["diagnostics"]
    assert stored(application) == (0, 0, 0)
    with Session(application.store.engine) as session:
        assert session.scalars(select(AuditEventRow.action)).all() == ["refuse"]


def test_the_same_bytes_are_one_within_the_operators_window(
    application: Application, settings: Settings, ecg: bytes
) -> None:
    def within(window: timedelta) -> Any:
        policy = replace(application.policy, same_bytes_within=window)
        return create_app(replace(application, policy=policy), settings).test_client()

    hour = within(timedelta(hours=1))
    statuses = [post(hour, body).status_code for body in (ecg, ecg, ecg + b"\n", ecg)]
    assert statuses == [201, 200, 201, 200]
    assert stored(application) == (2, 2, 2)


def test_a_window_that_is_over_lets_in_again(application: Application, settings: Settings, ecg: bytes) -> None:
    policy = replace(application.policy, same_bytes_within=timedelta(microseconds=1))
    client = create_app(replace(application, policy=policy), settings).test_client()
    assert [post(client, ecg).status_code for _ in range(2)] == [201, 201]


def test_what_a_condition_is_said_to_find_is_what_a_search_finds(client: FlaskClient, ecg: bytes) -> None:
    """Of each kind of criterion, some that hold and some that do not."""
    sent = json.loads(ecg) | {
        "subject": {"reference": "Patient/a", "identifier": {"system": "http://a.example", "value": "p"}},
        "effectiveDateTime": "2026-01-04T08:30:00+01:00",
        "encounter": {"display": "ward"},
        "code": {"text": "only words"},
    }
    assert post(client, json.dumps(sent).encode()).status_code == 201
    identifiers = [
        "E-1",
        "e-1",
        "|E-1",
        "http://hospital.example/ecg|",
        "http://hospital.example/ecg|E-2",
        "E-0,E-1",
        "|",
    ]
    dates = ["2026", "2026-01-04", "2026-01-04T07:30:00Z", "2026-01-04T08:30:00Z", "2025", "2027-01-01"]
    queries = [("identifier", value) for value in identifiers]
    queries += [("date", prefix + date) for date in dates for prefix in ("", *PREFIXES)]
    queries += [("date", "2025,2026"), ("identifier:not", "E-1"), ("identifier:not", "E-2")]
    queries += [
        ("patient", "Patient/a"),
        ("patient", "a"),
        ("patient", "b"),
        ("subject", "Patient/a"),
        ("subject", "Group/a"),
    ]
    queries += [("patient:identifier", "http://a.example|p"), ("patient:identifier", "q"), ("subject:Patient", "a")]
    queries += [
        (f"{name}:missing", value) for name in ("encounter", "code", "device", "date") for value in ("true", "false")
    ]
    for name, value in queries:
        [criterion] = parse_search("Observation", [(name, value)]).criteria
        found = client.get("/fhir/Observation", query_string={name: value}).json["total"]
        assert is_met(criterion, sent) is (found == 1), (name, value)

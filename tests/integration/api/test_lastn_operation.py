"""`$lastn`: the newest Observations of each code."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from fhir_ecg.service.application import Application, now
from fhir_ecg.service.last_n import MOST_MATCHES
from fhir_ecg.store.tables import AuditEventRow

LAST_N = "/fhir/Observation/$lastn"
LOINC, MDC = "http://loinc.org", "urn:iso:std:iso:11073:10101"


def observation(identity: str, effective: str | None, *codes: tuple[str, str], text: str = "", of: str = "1") -> Any:
    code: dict[str, Any] = {"coding": [{"system": system, "code": value} for system, value in codes]} if codes else {}
    return {
        "resourceType": "Observation",
        "id": identity,
        "status": "final",
        "code": code | ({"text": text} if text else {}),
        "subject": {"reference": f"Patient/{of}"},
    } | ({"effectiveDateTime": effective} if effective else {})


def put(application: Application, *resources: dict[str, Any]) -> None:
    for resource in resources:
        with application.store.transaction() as work:
            work.resources.put(resource, now())


@pytest.fixture
def ecgs(application: Application) -> None:
    """Stored in another order than they were recorded in."""
    put(
        application,
        observation("e2", "2026-01-02T10:00:00Z", (LOINC, "11524-6")),
        observation("e3", "2026-01-03", (MDC, "131328"), (LOINC, "11524-6")),
        observation("e1", "2026-01-01", (LOINC, "11524-6"), text="12-lead ECG"),
        observation("m1", "2025-12-31", (MDC, "131328")),
        observation("e0", None, (LOINC, "11524-6")),
        observation("h1", "2026-01-01", (LOINC, "8867-4")),
        observation("h2", "2026-01-01T12:00:00Z", (LOINC, "8867-4")),
        observation("o1", "2026-01-01", ("http://hospital.example/codes", "8867-4")),
        observation("t1", "2026-01-01", text="rhythm strip"),
        observation("t2", "2026-01-02", text="rhythm strip"),
        observation("t3", "2026-01-01", text="stress test"),
        observation("x1", "2026-01-09", (LOINC, "11524-6"), of="2"),
    )


def ids(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.data
    bundle = answer.get_json()
    entries = bundle.get("entry", [])
    assert (bundle["type"], bundle["total"]) == ("searchset", len(entries))
    assert all(entry["search"] == {"mode": "match"} for entry in entries)
    return [entry["resource"]["id"] for entry in entries]


@pytest.mark.usefixtures("ecgs")
def test_the_newest_of_each_code_comes(client: FlaskClient) -> None:
    assert sorted(ids(client.get(f"{LAST_N}?patient=1"))) == ["e3", "h2", "o1", "t2", "t3"]


@pytest.mark.usefixtures("ecgs")
def test_what_is_of_one_code_comes_together_the_newest_first(client: FlaskClient) -> None:
    found = ids(client.get(f"{LAST_N}?patient=1&max=3"))
    assert found[:3] == ["e3", "e2", "e1"]
    assert sorted(found[3:]) == ["h1", "h2", "o1", "t1", "t2", "t3"]
    assert found.index("h2") + 1 == found.index("h1")
    assert found.index("t2") + 1 == found.index("t1")
    # m1 shares its code with e3, and through that with the others; without a time, e0 is the oldest.
    assert ids(client.get(f"{LAST_N}?patient=1&max=100"))[:5] == ["e3", "e2", "e1", "m1", "e0"]


@pytest.mark.usefixtures("ecgs")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("patient=2", ["x1"]),
        ("subject=Patient/2", ["x1"]),
        ("subject=http://localhost/fhir/Patient/2", ["x1"]),
        ("patient=1&code=8867-4&max=2", ["h2", "h1", "o1"]),
        (f"patient=1&code={LOINC}|8867-4&max=2", ["h2", "h1"]),
        ("patient=1&code=11524-6&date=lt2026-01-03", ["e2"]),
        ("patient=1&code=11524-6&_id=e1,e2", ["e2"]),
        ("patient=3", []),
        ("patient=1,2&code=11524-6", ["x1"]),
    ],
)
def test_other_parameters_narrow(client: FlaskClient, query: str, expected: list[str]) -> None:
    assert ids(client.get(f"{LAST_N}?{query}")) == expected


@pytest.mark.usefixtures("ecgs")
def test_post_takes_parameters_or_a_form(client: FlaskClient) -> None:
    document = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "patient", "valueReference": {"reference": "Patient/1"}},
            {"name": "code", "valueString": "11524-6"},
            {"name": "max", "valuePositiveInt": 2},
        ],
    }
    asked = client.get(f"{LAST_N}?patient=1&code=11524-6&max=2")
    assert ids(asked) == ["e3", "e2"]
    assert ids(client.post(LAST_N, json=document, content_type="application/fhir+json")) == ids(asked)
    assert ids(client.post(LAST_N, data={"patient": "1", "code": "11524-6", "max": "2"})) == ids(asked)
    assert ids(client.post(f"{LAST_N}?patient=1&code=11524-6&max=2")) == ids(asked)


@pytest.mark.usefixtures("ecgs")
def test_the_self_link_says_what_was_understood(client: FlaskClient) -> None:
    answer = client.get(f"{LAST_N}?patient=1&max=1000000000000&colour=red", headers={"Prefer": "handling=lenient"})
    assert answer.get_json()["link"] == [
        {"relation": "self", "url": "http://localhost/fhir/Observation/$lastn?patient=1&max=100"}
    ]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "code=11524-6",
        "patient=",
        "patient=1&max=0",
        "patient=1&max=-1",
        "patient=1&max=1.5",
        "patient=1&max=",
        "patient=1&max=%D9%A1",
        f"patient=1&max={'9' * 41}",
        "patient=1&date=yesterday",
        "patient=1&colour=red",
        "patient=1&_count=5",
        "patient=1&_sort=date",
        "patient=1&_include=Observation:subject",
        "patient=1%00",
        "patientage=1",
    ],
)
def test_what_cannot_be_answered_is_refused(client: FlaskClient, query: str) -> None:
    answer = client.get(f"{LAST_N}?{query}")
    assert answer.status_code == 400
    assert answer.get_json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"{", "application/fhir+json", 400),
        (b'{"resourceType": "Observation"}', "application/fhir+json", 400),
        (
            b'{"resourceType": "Parameters", "parameter": [{"name": "patient", "resource": {}}]}',
            "application/fhir+json",
            400,
        ),
        (
            b'{"resourceType": "Parameters", "parameter": [{"name": "max", "valueInteger": 1}]}',
            "application/fhir+json",
            400,
        ),
        (b"patient,1", "text/csv", 415),
    ],
)
def test_odd_bodies_are_refused(client: FlaskClient, body: bytes, media_type: str, status: int) -> None:
    assert client.post(LAST_N, data=body, content_type=media_type).status_code == status


def test_too_many_are_refused(client: FlaskClient, application: Application) -> None:
    def some(first: int, last: int, **how: Any) -> None:
        with application.store.transaction() as work:
            for number in range(first, last):
                work.resources.put(observation(f"n{number}", "2026-01-01", (LOINC, f"c{number % 3}"), **how), now())

    some(0, 201)
    assert len(ids(client.get(f"{LAST_N}?patient=1&max=66"))) == 198
    answer = client.get(f"{LAST_N}?patient=1&max=100")
    assert (answer.status_code, answer.get_json()["issue"][0]["code"]) == (422, "too-long")
    some(201, MOST_MATCHES)
    assert len(ids(client.get(f"{LAST_N}?patient=1"))) == 3
    some(MOST_MATCHES, MOST_MATCHES + 1)
    assert client.get(f"{LAST_N}?patient=1").status_code == 422
    assert len(ids(client.get(f"{LAST_N}?patient=1&code=c1"))) == 1


@pytest.mark.usefixtures("ecgs")
def test_what_was_given_out_is_audited(client: FlaskClient, application: Application) -> None:
    ids(client.get(f"{LAST_N}?patient=1&code=11524-6"))
    with Session(application.store.engine) as session:
        entry = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "search")).one()
    assert entry.entities == ["Observation/e3/_history/1"]
    assert entry.detail["operation"] == "lastn"

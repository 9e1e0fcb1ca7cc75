"""Searching over HTTP: results, pages, what stands beside matches, parts of resources, refusals."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from databases import Fill
from ecg_steps import read_waiting
from fhir.resources.R4B.bundle import Bundle
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from fhir_ecg.api.app import create_app
from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.examples import example_observations
from fhir_ecg.service.application import Application
from fhir_ecg.settings import Settings
from fhir_ecg.store.migrations import upgrade
from fhir_ecg.store.tables import AuditEventRow

FHIR = "application/fhir+json"
NAMES = ("normal-sinus-rhythm", "atrial-fibrillation", "sinus-bradycardia")
SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "subsetted",
}


def three_read(url: str) -> None:
    """Fill a database with three examples, sent and read."""
    settings = Settings(database_url=url)
    application = bootstrap(settings)
    upgrade(application.store.engine)
    client, examples = create_app(application, settings).test_client(), example_observations()
    for name in NAMES:
        assert client.post("/fhir/Observation", data=examples[name], content_type=FHIR).status_code == 201
    assert read_waiting(application) == ["read"] * 3
    application.store.engine.dispose()


@pytest.fixture
def database_content(request: pytest.FixtureRequest, database_content: Fill) -> Fill:
    return three_read if "read" in request.fixturenames else database_content


@pytest.fixture
def read(client: FlaskClient) -> dict[str, str]:
    """Three examples, sent and read: ids of the Observations by name."""
    found = {name: client.get(f"/fhir/Observation?identifier={name}&status=final").json["entry"] for name in NAMES}
    return {name: entry["resource"]["id"] for name, [entry] in found.items()}


def search(client: FlaskClient, query: str, **headers: str) -> Any:
    answer = client.get(f"/fhir/{query}", headers=headers)
    assert answer.status_code == 200, answer.data
    Bundle.model_validate(answer.json)
    return answer.json


def resources(bundle: Any, mode: str = "match") -> list[Any]:
    return [entry["resource"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == mode]


def subjects(bundle: Any) -> list[str]:
    return [resource["subject"]["reference"].removeprefix("Patient/example-") for resource in resources(bundle)]


def links(bundle: Any) -> dict[str, str]:
    return {link["relation"]: link["url"] for link in bundle["link"]}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("_sort=date", ["1", "2", "4"]),
        ("_sort=-date", ["4", "2", "1"]),
        ("issued=ge2020&_sort=date,-issued", ["1", "2", "4"]),
        ("status:not=final&_sort=date", ["1", "2", "4"]),
        ("status:not=partial", []),
        ("encounter:missing=true&_sort=date", ["1", "2", "4"]),
        ("encounter:missing=false", []),
        ("subject:missing=false&patient=example-4", ["4"]),
        ("subject=http://localhost/fhir/Patient/example-4", ["4"]),
        ("subject:Patient=example-4", ["4"]),
        ("_security=AIAST&_sort=date", ["1", "2", "4"]),
        ("_tag=nothing", []),
        ("date=ap2026-01-04&_sort=date", ["1", "2", "4"]),
        ("date=sa2026-01-02", ["4"]),
        ("date=ge2026-01-03&date=lt2026-01-05", ["4"]),
        ("date=2026-01-04T08:30:00%2B01:00", ["4"]),
        ("result.status=preliminary&_sort=date", ["1", "2", "4"]),
        ("result.derived-from:missing=false&_sort=date", ["1", "2", "4"]),
        ("_has:Provenance:target:recorded=ge2020&_sort=date", ["1", "2", "4"]),
        ("_has:Provenance:target:recorded=lt2020", []),
    ],
)
def test_reports_are_found(client: FlaskClient, read: dict[str, str], query: str, found: list[str]) -> None:
    assert subjects(search(client, f"DiagnosticReport?{query}")) == found


def test_the_patient_is_known_by_an_identifier_alone(client: FlaskClient, examples: dict[str, bytes]) -> None:
    ecg = json.loads(examples["sinus-tachycardia"])
    ecg["subject"] = {"identifier": {"system": "http://hospital.example/mrn", "value": "7"}}
    client.post("/fhir/Observation", json=ecg, content_type="application/fhir+json")
    ecg["contained"] = [{"resourceType": "Patient", "id": "p", "identifier": [{"value": "8"}]}]
    ecg["subject"] = {"reference": "#p"}
    client.post("/fhir/Observation", json=ecg, content_type="application/fhir+json")

    for query in ("subject.identifier", "patient.identifier", "subject:Patient.identifier", "subject:identifier"):
        for value in ("http://hospital.example/mrn|7", "7", "8"):
            for kind in ("DiagnosticReport", "Observation"):
                assert len(resources(search(client, f"{kind}?{query}={value}"))) == 1, (kind, query, value)
        assert resources(search(client, f"Observation?{query}=http://elsewhere|7")) == []


def test_the_model_is_found_and_leads_to_what_it_read(client: FlaskClient, read: dict[str, str]) -> None:
    (device,) = resources(search(client, "Device?device-name:contains=ECG&manufacturer=FHIR&status=active"))
    assert resources(search(client, "Device?manufacturer:exact=FHIR-ECG")) == []
    assert resources(search(client, "Device?url:missing=false")) == []
    assert len(resources(search(client, f"Observation?device={device['id']}"))) == 3
    identifier = device["identifier"][0]["value"]
    assert search(client, f"Observation?device.identifier={identifier}&_summary=count")["total"] == 3


def test_pages_hold_while_others_are_added(
    client: FlaskClient, read: dict[str, str], examples: dict[str, bytes]
) -> None:
    bundle = search(client, "DiagnosticReport?_sort=-date&_count=2&_pretty=true")
    assert subjects(bundle) == ["4", "2"]
    client.post("/fhir/Observation", data=examples["sinus-tachycardia"], content_type="application/fhir+json")

    address = urlsplit(links(bundle)["next"])
    following = search(client, f"DiagnosticReport?{address.query}")
    assert subjects(following) == ["1"]
    assert "next" not in links(following)
    assert links(following)["self"] == links(bundle)["next"]
    assert links(following)["first"] == links(bundle)["self"]
    assert "_pretty=true" in links(bundle)["next"]


def test_a_page_belongs_to_its_order(client: FlaskClient, read: dict[str, str]) -> None:
    cursor = links(search(client, "DiagnosticReport?_sort=-date&_count=1"))["next"].partition("_cursor=")[2]
    answer = client.get(f"/fhir/DiagnosticReport?_sort=date&_cursor={cursor}")
    assert answer.status_code == 400
    assert "take the address from the Bundle's next link" in answer.json["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    ("query", "total", "entries"),
    [
        ("", 3, 3),
        ("_total=none", None, 3),
        ("_total=accurate&_count=1", 3, 1),
        ("_total=estimate&_count=1", 3, 1),
        ("_summary=count", 3, 0),
        ("_count=0", 3, 0),
        ("_count=0&status=final", 0, 0),
    ],
)
def test_totals(client: FlaskClient, read: dict[str, str], query: str, total: int | None, entries: int) -> None:
    bundle = search(client, f"DiagnosticReport?{query}")
    assert bundle.get("total") == total
    assert len(bundle.get("entry", [])) == entries


def test_parts_of_reports(client: FlaskClient, read: dict[str, str]) -> None:
    def only(query: str) -> Any:
        return resources(search(client, f"DiagnosticReport?patient=example-4&{query}"))[0]

    whole = only("_summary=false")
    assert SUBSETTED not in whole["meta"].get("tag", [])
    for query, elements in {
        "_elements=effective,conclusion": {"status", "code", "effectiveDateTime", "conclusion"},
        "_summary=true": whole.keys()
        - {"text", "result", "conclusion", "conclusionCode", "resourceType", "id", "meta"},
        "_summary=text": {"status", "code", "text"},
        "_summary=data": whole.keys() - {"text", "resourceType", "id", "meta"},
    }.items():
        part = only(query)
        assert part.keys() == {"resourceType", "id", "meta"} | elements, query
        assert part["meta"]["tag"][-1] == SUBSETTED
        assert all(part[name] == whole[name] for name in elements)


def test_what_stands_beside_the_matches(client: FlaskClient, read: dict[str, str]) -> None:
    def beside(query: str) -> list[str]:
        bundle = search(client, f"DiagnosticReport?patient=example-4&{query}")
        assert len(resources(bundle)) == 1
        return sorted(resource["resourceType"] for resource in resources(bundle, "include"))

    assert beside("_include=DiagnosticReport:result") == ["Observation", "Observation"]
    assert (
        beside("_include=DiagnosticReport:result:Observation&_include=DiagnosticReport:subject") == ["Observation"] * 2
    )
    assert beside("_revinclude=Provenance:target") == ["Provenance"]
    assert beside("_revinclude=Provenance:target&_include:iterate=Provenance:agent") == ["Device", "Provenance"]
    assert beside("_include=DiagnosticReport:result&_include=Observation:device") == ["Observation"] * 2
    assert beside("_include=*&_include:iterate=Observation:device") == ["Device", "Observation", "Observation"]
    assert beside("_include=DiagnosticReport:patient") == []


def test_a_search_by_form_is_the_same(client: FlaskClient, read: dict[str, str]) -> None:
    form = {"patient": "example-4,example-2", "_sort": "date", "_format": "json"}
    answer = client.post(
        "/fhir/DiagnosticReport/_search?status=partial", data=form, headers={"Accept": "text/html, */*"}
    )
    assert answer.status_code == 200
    assert subjects(answer.json) == ["2", "4"]
    own = links(answer.json)["self"]
    assert own.startswith("http://localhost/fhir/DiagnosticReport?status=partial&patient=example-4%2Cexample-2")
    again = client.get(own.removeprefix("http://localhost"))
    assert resources(again.json) == resources(answer.json)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/fhir+json", 415),
        (b"identifier=" + b"a" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"colour=red", "application/x-www-form-urlencoded", 400),
        (b"identifier=%ff%00", "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded", 200),
    ],
)
def test_forms_that_are_none(client: FlaskClient, body: bytes, content_type: str, status: int) -> None:
    answer = client.post("/fhir/Device/_search", data=body, content_type=content_type)
    assert answer.status_code == status
    assert answer.json["resourceType"] == ("Bundle" if status == 200 else "OperationOutcome")


def test_lenient_handling_tells_what_it_left_out(client: FlaskClient, read: dict[str, str]) -> None:
    bundle = search(client, "DiagnosticReport?colour=red&_sort=status&patient=example-4", Prefer="handling=lenient")
    assert subjects(bundle) == ["4"]
    (outcome,) = resources(bundle, "outcome")
    assert [issue["severity"] for issue in outcome["issue"]] == ["warning", "warning"]
    assert "colour" in outcome["issue"][0]["diagnostics"]
    assert bundle["total"] == 1


@pytest.mark.parametrize("kind", ["Observation", "DiagnosticReport", "Device", "Provenance", "Task"])
@pytest.mark.parametrize(
    "query",
    ["_contained=true", "_text=a", "_filter=a", "code:above=a", "_sort=colour", "_elements=colour", "_cursor=%00"],
)
def test_what_is_not_supported_is_refused(client: FlaskClient, kind: str, query: str) -> None:
    answer = client.get(f"/fhir/{kind}?{query}")
    assert answer.status_code == 400
    assert answer.json["issue"][0]["code"] in {"not-supported", "invalid"}


def test_head_is_get_without_a_body(client: FlaskClient, read: dict[str, str]) -> None:
    answer = client.head("/fhir/DiagnosticReport?status=partial")
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.content_type.startswith("application/fhir+json")


def test_what_was_included_is_audited_too(client: FlaskClient, application: Application, read: dict[str, str]) -> None:
    bundle = search(client, "DiagnosticReport?patient=example-4&_include=DiagnosticReport:result")
    with Session(application.store.engine) as session:
        newest = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence.desc())).first()
    assert newest is not None
    shown = [f"{r['resourceType']}/{r['id']}/_history/{r['meta']['versionId']}" for r in resources(bundle)]
    shown += [f"{r['resourceType']}/{r['id']}/_history/{r['meta']['versionId']}" for r in resources(bundle, "include")]
    assert sorted(newest.entities) == sorted(shown)


def test_a_condition_that_says_how_to_answer_is_refused(client: FlaskClient, examples: dict[str, bytes]) -> None:
    # With _count=0 it would find nothing, and create for ever.
    answer = client.post(
        "/fhir/Observation",
        data=examples["sinus-tachycardia"],
        content_type="application/fhir+json",
        headers={"If-None-Exist": "identifier=x&_count=0"},
    )
    assert answer.status_code == 400

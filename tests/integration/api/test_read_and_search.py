"""Reads, versions and searches over HTTP."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from ecg_steps import read_waiting
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from fhir_ecg.fhir.parsing import parse_json
from fhir_ecg.fhir.xml_form import parse_xml
from fhir_ecg.service.application import Application
from fhir_ecg.store.tables import AuditEventRow

NAMES = ("normal-sinus-rhythm", "atrial-fibrillation", "sinus-bradycardia")


@pytest.fixture
def sent(client: FlaskClient, examples: dict[str, bytes]) -> dict[str, str]:
    """Three examples, sent and not yet read: ids of the Observations by name."""
    ids = {}
    for name in NAMES:
        answer = client.post("/fhir/Observation", data=examples[name], content_type="application/fhir+json")
        ids[name] = answer.json["id"]
    return ids


def search(client: FlaskClient, kind: str, query: str) -> Any:
    answer = client.get(f"/fhir/{kind}?{query}")
    assert answer.status_code == 200, answer.data
    Bundle.model_validate(answer.json)
    return answer.json


def results(bundle: Any) -> list[str]:
    """The waveform Observations of the found reports."""
    matches = [entry["resource"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == "match"]
    return [report["result"][0]["reference"].removeprefix("Observation/") for report in matches]


def test_report_is_found_at_once(client: FlaskClient, sent: dict[str, str]) -> None:
    bundle = search(client, "DiagnosticReport", f"result=Observation/{sent['atrial-fibrillation']}")

    assert bundle["total"] == 1
    report = bundle["entry"][0]["resource"]
    assert report["status"] == "registered"
    assert bundle["entry"][0]["fullUrl"] == f"http://localhost/fhir/DiagnosticReport/{report['id']}"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("subject=Patient/example-4", ["atrial-fibrillation"]),
        ("patient=example-4", ["atrial-fibrillation"]),
        ("subject=Patient/nobody", []),
        ("identifier=http://fhir-ecg.org/fhir/sid/example-ecg|atrial-fibrillation", ["atrial-fibrillation"]),
        ("identifier=atrial-fibrillation,sinus-bradycardia", ["sinus-bradycardia", "atrial-fibrillation"]),
        ("identifier=urn:other|atrial-fibrillation", []),
        ("result.identifier=http://fhir-ecg.org/fhir/sid/example-ecg|sinus-bradycardia", ["sinus-bradycardia"]),
        ("status=registered", ["sinus-bradycardia", "atrial-fibrillation", "normal-sinus-rhythm"]),
        ("status=final", []),
        ("date=2026-01-04", ["atrial-fibrillation"]),
        ("date=lt2026-01-02", ["normal-sinus-rhythm"]),
        ("date=ge2026-01-02&date=le2026-01-04", ["sinus-bradycardia", "atrial-fibrillation"]),
        ("date=2026-01-04T07:30:00Z", ["atrial-fibrillation"]),
        ("code=http://loinc.org|11524-6&category=EC&patient=example-1", ["normal-sinus-rhythm"]),
        ("_count=1", ["sinus-bradycardia"]),
    ],
)
def test_reports_are_found(client: FlaskClient, sent: dict[str, str], query: str, names: list[str]) -> None:
    assert results(search(client, "DiagnosticReport", query)) == [sent[name] for name in names]


def test_reading_changes_what_is_found_and_keeps_the_first_version(
    client: FlaskClient, application: Application, sent: dict[str, str]
) -> None:
    assert read_waiting(application) == ["read"] * 3

    assert results(search(client, "DiagnosticReport", "status=registered")) == []
    report = search(client, "DiagnosticReport", "status=partial&patient=example-4")["entry"][0]["resource"]
    assert report["meta"]["versionId"] == "2"
    first = client.get(f"/fhir/DiagnosticReport/{report['id']}/_history/1")
    assert (first.json["status"], first.headers["ETag"]) == ("registered", 'W/"1"')
    found = search(client, "DiagnosticReport", "conclusion=http://snomed.info/sct|164889003")
    assert results(found) == [sent["atrial-fibrillation"]]


def test_everything_a_report_refers_to_can_be_read(
    client: FlaskClient, application: Application, sent: dict[str, str]
) -> None:
    assert read_waiting(application) == ["read"] * 3
    report = search(client, "DiagnosticReport", "patient=example-4")["entry"][0]["resource"]
    provenance = search(client, "Provenance", f"target=DiagnosticReport/{report['id']}")["entry"][0]["resource"]
    scores = client.get(f"/fhir/{report['result'][1]['reference']}").json
    references = [
        *(result["reference"] for result in report["result"]),
        scores["device"]["reference"],
        scores["derivedFrom"][0]["reference"],
        *(target["reference"] for target in provenance["target"]),
        provenance["agent"][0]["who"]["reference"],
        provenance["entity"][0]["what"]["reference"],
    ]
    for reference in references:
        assert client.get(f"/fhir/{reference}").status_code == 200, reference
    code_system = report["conclusionCode"][0]["coding"][0]["system"]
    assert client.get(f"/fhir/CodeSystem/{code_system.rsplit('/', 1)[1]}").json["url"] == code_system


def test_pages_follow_each_other_without_gap_or_repetition(client: FlaskClient, sent: dict[str, str]) -> None:
    address: str | None = "/fhir/DiagnosticReport?_count=1"
    found = []
    while address:
        bundle = client.get(address).json
        assert bundle["total"] == 3
        found += results(bundle)
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        parts = urlsplit(links["next"]) if "next" in links else None
        address = f"{parts.path}?{parts.query}" if parts else None
    assert found == [sent[name] for name in reversed(NAMES)]


@pytest.mark.parametrize(
    "query",
    [
        "bogus=1",
        "date=yesterday",
        "date=2026-02-30",
        "_count=-1",
        "_cursor=x",
        "subject:missing=perhaps",
        "_cursor=WyItX2xhc3RVcGRhdGVkLC1faWQiLCAiMjAyNi0wMS0wMVQwMDowMDowMCIsICJhIl0",
        "result.bogus=1",
    ],
)
def test_a_query_that_is_not_understood_is_refused(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/fhir/DiagnosticReport?{query}")

    assert answer.status_code == 400
    assert answer.json["resourceType"] == "OperationOutcome"


def test_lenient_handling_leaves_unknown_parameters_out(client: FlaskClient, sent: dict[str, str]) -> None:
    address = "/fhir/DiagnosticReport?bogus=1&patient=example-4"
    bundle = client.get(address, headers={"Prefer": "handling=lenient"}).json

    assert results(bundle) == [sent["atrial-fibrillation"]]
    assert "bogus" not in bundle["link"][0]["url"]


def test_a_known_version_is_not_sent_again(client: FlaskClient, sent: dict[str, str]) -> None:
    address = f"/fhir/Observation/{sent['normal-sinus-rhythm']}"

    assert client.get(address, headers={"If-None-Match": 'W/"1"'}).status_code == 304
    assert client.get(address, headers={"If-None-Match": 'W/"2"'}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/fhir/Observation/unknown", 404),
        ("GET", "/fhir/Observation/unknown/_history/1", 404),
        ("GET", "/fhir/Observation/unknown/_history/99999999999999999999", 404),
        ("GET", "/fhir/Observation/un%00known", 404),
        ("GET", "/fhir/Observation/" + "a" * 5000, 404),
        ("GET", "/fhir/DiagnosticReport?_id=a%00", 400),
        ("GET", "/fhir/DiagnosticReport?subject=" + "a" * 5000, 200),
        ("GET", "/fhir/Patient/1", 404),
        ("GET", "/nowhere", 404),
        ("DELETE", "/fhir/Device/unknown", 405),
        ("POST", "/fhir/DiagnosticReport", 405),
    ],
)
def test_what_is_not_there_is_an_operation_outcome(client: FlaskClient, method: str, path: str, status: int) -> None:
    answer = client.open(path, method=method)

    assert answer.status_code == status
    assert answer.json["resourceType"] == ("Bundle" if status == 200 else "OperationOutcome")


@pytest.mark.parametrize(
    ("address", "accept", "status"),
    [
        ("/fhir/metadata", "*/*", 200),
        ("/fhir/metadata", "application/fhir+json", 200),
        ("/fhir/metadata", "application/json;q=0.9, text/html", 200),
        ("/fhir/metadata", "application/fhir+turtle", 406),
        ("/fhir/metadata?_format=json", "text/html", 200),
        ("/fhir/metadata?_format=application/fhir%2Bjson", "text/html", 200),
        ("/fhir/metadata?_format=ttl", "*/*", 406),
    ],
)
def test_accept_and_format_decide(client: FlaskClient, address: str, accept: str, status: int) -> None:
    assert client.get(address, headers={"Accept": accept}).status_code == status


@pytest.mark.parametrize(
    ("query", "accept", "xml"),
    [
        ("", "application/fhir+xml", True),
        ("", "application/xml", True),
        ("?_format=xml", "application/fhir+json", True),
        ("?_format=application/fhir%2Bxml&_pretty=true", "*/*", True),
        ("?_format=json", "application/fhir+xml", False),
        ("", "application/fhir+xml;q=0.5, application/fhir+json", False),
        ("", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
    ],
)
def test_xml_is_what_json_is(client: FlaskClient, sent: dict[str, str], query: str, accept: str, xml: bool) -> None:
    for path in (f"Observation/{sent['sinus-bradycardia']}", "metadata", "DiagnosticReport", "Observation/unknown"):
        plain = client.get(f"/fhir/{path}")
        answer = client.get(f"/fhir/{path}{query}", headers={"Accept": accept})
        assert answer.status_code == plain.status_code
        assert answer.content_type.startswith("application/fhir+xml" if xml else "application/fhir+json")
        if xml:
            links = {"link"}  # of a search, they repeat the query
            written = {k: v for k, v in parse_xml(answer.data).items() if k not in links}
            assert written == {k: v for k, v in parse_json(plain.data).items() if k not in links}


def test_metadata_declares_what_works(client: FlaskClient) -> None:
    statement = client.get("/fhir/metadata").json

    CapabilityStatement.model_validate(statement)
    for resource in statement["rest"][0]["resource"]:
        codes = {interaction["code"] for interaction in resource["interaction"]}
        if "search-type" in codes:
            for parameter in resource["searchParam"]:
                value = "2026" if parameter["type"] == "date" else "x"
                address = f"/fhir/{resource['type']}?{parameter['name']}={value}"
                assert client.get(address).status_code == 200, address
        created = client.post(f"/fhir/{resource['type']}", data=b"{}", content_type="application/fhir+json")
        assert created.status_code == 400 if "create" in codes else created.status_code in {404, 405}


def test_every_access_leaves_its_audit_entry(
    client: FlaskClient, application: Application, sent: dict[str, str]
) -> None:
    identity = sent["normal-sinus-rhythm"]
    client.get(f"/fhir/Observation/{identity}", headers={"X-Request-Id": "from-the-ehr-1"})
    client.get(f"/fhir/Observation/{identity}/_history/1")
    search(client, "DiagnosticReport", "patient=example-1")

    with Session(application.store.engine) as session:
        entries = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence)).all()
    assert [entry.action for entry in entries] == ["create"] * 3 + ["read", "vread", "search"]
    assert entries[3].request_id == "from-the-ehr-1"
    assert entries[3].entities == [f"Observation/{identity}/_history/1"]
    assert entries[5].detail == {
        "type": "DiagnosticReport",
        "query": [["patient", "example-1"]],
        "patients": [{"reference": "Patient/example-1"}],
        "agent": {"address": "127.0.0.1"},
    }

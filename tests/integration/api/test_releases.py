"""R4 or R5, as Accept or _format asks."""

import json
from typing import Any

import pytest
from fhir.resources import get_fhir_model_class
from flask.testing import FlaskClient

from fhir_ecg.fhir.parsing import parse_json
from fhir_ecg.fhir.release import Release
from fhir_ecg.fhir.xml_form import parse_xml
from fhir_ecg.service.application import Application
from fhir_ecg.service.classify import classify

R5 = "application/fhir+json; fhirVersion=5.0"
R5_XML = "application/fhir+xml; fhirVersion=5.0"


@pytest.fixture
def ecg(client: FlaskClient, application: Application, examples: dict[str, bytes]) -> str:
    """An ECG that was sent and read."""
    answer = client.post(
        "/fhir/Observation", data=examples["atrial-fibrillation"], content_type="application/fhir+json"
    )
    with application.store.transaction() as work:
        [job] = work.jobs.recent(limit=2)
    assert classify(application, job.id) == "read"
    identity: str = answer.json["id"]
    return identity


def every_answer(client: FlaskClient, ecg: str) -> list[str]:
    report = client.get(f"/fhir/DiagnosticReport?result=Observation/{ecg}").json["entry"][0]["resource"]
    return [
        f"Observation/{ecg}",
        f"Observation/{ecg}/_history",
        f"DiagnosticReport/{report['id']}",
        f"DiagnosticReport/{report['id']}/_history",
        report["result"][1]["reference"],
        "DiagnosticReport?_include=DiagnosticReport:result&_revinclude=Provenance:target",
        "Device",
        "Provenance",
        "Task",
        "metadata",
        "metadata?mode=terminology",
        "CodeSystem",
        "ConceptMap",
        "ImplementationGuide",
        "OperationDefinition",
        "StructureDefinition",
        "ValueSet",
        "Observation/none",
        "DiagnosticReport?bogus=1",
    ]


def test_every_answer_has_an_r5_form(client: FlaskClient, ecg: str) -> None:
    for path in every_answer(client, ecg):
        plain = client.get(f"/fhir/{path}")
        assert plain.content_type == "application/fhir+json; fhirVersion=4.0"
        answer = client.get(f"/fhir/{path}", headers={"Accept": R5})
        assert (answer.status_code, answer.content_type) == (plain.status_code, R5), (path, answer.data)
        assert answer.headers.get("ETag") == plain.headers.get("ETag")
        assert "Accept" in answer.vary
        get_fhir_model_class(answer.json["resourceType"]).model_validate(json.loads(answer.data))
        xml = client.get(f"/fhir/{path}", headers={"Accept": R5_XML})
        assert xml.content_type == R5_XML, path
        assert parse_xml(xml.data, Release.R5) == parse_json(answer.data), path


def test_an_r5_ecg_is_answered_as_accept_asks(client: FlaskClient, examples: dict[str, bytes]) -> None:
    sent = client.post("/fhir/Observation", data=examples["sinus-bradycardia"], content_type="application/fhir+json")
    r5 = client.get(f"/fhir/Observation/{sent.json['id']}", headers={"Accept": R5})
    body: dict[str, Any] = json.loads(r5.data)
    assert body["component"][0]["valueSampledData"]["intervalUnit"] == "ms"

    for accept, elements in (("*/*", "period"), (R5, "interval")):
        answer = client.post("/fhir/Observation", data=r5.data, content_type=R5, headers={"Accept": accept})
        assert answer.status_code == 201, answer.data
        assert elements in answer.json["component"][0]["valueSampledData"]
        assert answer.content_type.endswith("5.0" if accept == R5 else "4.0")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/fhir+json; fhirVersion=4.0", "json; fhirVersion=4.0"),
        ("application/fhir+json; fhirVersion=4.3", "json; fhirVersion=4.0"),
        ('application/fhir+json; fhirVersion="5.0"', "json; fhirVersion=5.0"),
        ("application/json; fhirVersion=5.0.0", "json; fhirVersion=5.0"),
        ("application/fhir+json; charset=utf-8", "json; fhirVersion=4.0"),
        ("application/fhir+json; fhirVersion=5.0, application/fhir+json;q=0.5", "json; fhirVersion=5.0"),
        ("application/fhir+json; fhirVersion=5.0;q=0.4, application/fhir+json;q=0.5", "json; fhirVersion=4.0"),
        ("application/fhir+json; fhirVersion=3.0, */*;q=0.1", "json; fhirVersion=4.0"),
        ("application/fhir+xml; fhirVersion=5.0, application/fhir+json;q=0.9", "xml; fhirVersion=5.0"),
        ("application/xml; fhirVersion=5.0", "xml; fhirVersion=5.0"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "json; fhirVersion=4.0"),
        ("application/*", "json; fhirVersion=4.0"),
    ],
)
def test_accept_chooses_the_release(client: FlaskClient, accept: str, expected: str) -> None:
    answer = client.get("/fhir/metadata", headers={"Accept": accept})
    assert (answer.status_code, answer.content_type) == (200, f"application/fhir+{expected}")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("json", "json; fhirVersion=4.0"),
        ("xml", "xml; fhirVersion=4.0"),
        ("application/fhir+json; fhirVersion=5.0", "json; fhirVersion=5.0"),
        ("application/fhir+xml;fhirVersion=5.0", "xml; fhirVersion=5.0"),
        ("text/xml; fhirVersion=4.0", "xml; fhirVersion=4.0"),
    ],
)
def test_format_chooses_before_accept(client: FlaskClient, wanted: str, expected: str) -> None:
    answer = client.get("/fhir/metadata", query_string={"_format": wanted}, headers={"Accept": R5})
    assert (answer.status_code, answer.content_type) == (200, f"application/fhir+{expected}")


def test_a_plus_in_the_address_may_stand_for_itself(client: FlaskClient) -> None:
    answer = client.get("/fhir/metadata?_format=application/fhir+xml;fhirVersion=5.0")
    assert answer.content_type == "application/fhir+xml; fhirVersion=5.0"


@pytest.mark.parametrize(
    ("query", "accept"),
    [
        ("", "application/fhir+json; fhirVersion=3.0"),
        ("", "application/fhir+json; fhirVersion=6.0, application/fhir+xml; fhirVersion=1.0"),
        ("", "application/fhir+json;q=0"),
        ("_format=application/fhir%2Bjson;fhirVersion=3.0", "*/*"),
        ("_format=ttl", "*/*"),
    ],
)
def test_another_release_is_refused(client: FlaskClient, query: str, accept: str) -> None:
    answer = client.get(f"/fhir/metadata?{query}", headers={"Accept": accept})
    assert answer.status_code == 406
    assert answer.json["resourceType"] == "OperationOutcome"


def test_what_a_sender_put_inside_and_r5_has_no_place_for_is_told(
    client: FlaskClient, examples: dict[str, bytes]
) -> None:
    device = {"resourceType": "Device", "id": "cart", "patient": {"reference": "Patient/1"}}
    ecg = json.loads(examples["sinus-bradycardia"]) | {"contained": [device], "device": {"reference": "#cart"}}
    created = client.post("/fhir/Observation", json=ecg, headers={"Accept": R5})
    assert (created.status_code, created.content_type) == (201, "application/fhir+json; fhirVersion=4.0")

    answer = client.get(f"/fhir/Observation/{created.json['id']}", headers={"Accept": R5})
    assert (answer.status_code, answer.json["resourceType"]) == (406, "OperationOutcome")
    assert "fhirVersion=4.0" in answer.json["issue"][0]["diagnostics"]

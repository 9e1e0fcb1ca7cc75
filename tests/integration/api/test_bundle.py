"""POST of Bundles: one Observation a lead, whole ECGs, all or nothing, each by itself."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from ecg_steps import read_waiting
from fhir.resources.R4B.bundle import Bundle
from flask.testing import FlaskClient
from sent_forms import leads_of
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fhir_ecg.service.application import Application
from fhir_ecg.store.tables import ResourceRow

Entries = list[dict[str, Any]]


@pytest.fixture
def leads(examples: dict[str, bytes]) -> Callable[[str], Entries]:
    """An example as one Observation for each lead, each an entry of a Bundle."""

    def split(name: str) -> Entries:
        return [entry(lead) for lead in leads_of(examples[name])]

    return split


def entry(resource: dict[str, Any], full_url: str | None = None) -> dict[str, Any]:
    request = {"method": "POST", "url": "Observation"}
    return {"resource": resource, "request": request} | ({"fullUrl": full_url} if full_url else {})


def post(client: FlaskClient, kind: str, entries: Entries) -> Any:
    body = json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries})
    return client.post("/fhir", data=body, content_type="application/fhir+json")


def stored(application: Application, kind: str) -> int:
    with Session(application.store.engine) as session:
        count = select(func.count()).select_from(ResourceRow).where(ResourceRow.type == kind)
        return session.scalar(count) or 0


def test_one_observation_a_lead_is_one_ecg(
    client: FlaskClient, application: Application, leads: Callable[[str], Entries], examples: dict[str, bytes]
) -> None:
    answer = post(client, "transaction", leads("atrial-fibrillation"))

    assert answer.status_code == 200, answer.json
    Bundle.model_validate(answer.json)
    assert answer.json["type"] == "transaction-response"
    assert [e["response"]["status"] for e in answer.json["entry"]] == ["201 Created"] * 12
    assert (stored(application, "Observation"), stored(application, "DiagnosticReport")) == (12, 1)
    assert read_waiting(application) == ["read"]
    last = answer.json["entry"][-1]["response"]["location"].split("/fhir/")[1].split("/_history")[0]
    [found] = client.get(f"/fhir/DiagnosticReport?result={last}").json["entry"]
    report = found["resource"]
    assert len(report["result"]) == 13
    assert "AFIB" in json.dumps(report["conclusionCode"])
    scores = client.get(f"/fhir/{report['result'][-1]['reference']}").json
    assert len(scores["derivedFrom"]) == 12


def test_leads_of_two_patients_are_two_ecgs(
    client: FlaskClient, application: Application, leads: Callable[[str], Entries]
) -> None:
    one, other = leads("atrial-fibrillation"), leads("sinus-bradycardia")
    mixed = [e for pair in zip(one, other, strict=False) for e in pair] + one[len(other) :]

    assert post(client, "transaction", mixed).status_code == 200
    assert stored(application, "DiagnosticReport") == 2
    assert read_waiting(application) == ["read", "read"]


def test_members_named_by_a_panel_are_joined_whatever_their_time(
    client: FlaskClient, application: Application, leads: Callable[[str], Entries]
) -> None:
    members = [
        entry(each["resource"] | {"effectiveDateTime": f"2026-01-04T08:30:{second:02d}+01:00"}, f"urn:uuid:{second}")
        for second, each in enumerate(leads("atrial-fibrillation"))
    ]
    panel = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "34534-8"}]},
        "subject": {"reference": "Patient/example-4"},
        "hasMember": [{"reference": member["fullUrl"]} for member in members],
    }

    answer = post(client, "transaction", [*members, entry(panel, "urn:uuid:panel")])

    assert answer.status_code == 200, answer.json
    assert read_waiting(application) == ["read"]
    location = answer.json["entry"][-1]["response"]["location"].split("/fhir/")[1]
    references = [member["reference"] for member in client.get(f"/fhir/{location}").json["hasMember"]]
    assert all(client.get(f"/fhir/{reference}").status_code == 200 for reference in references)
    assert len(set(references)) == 12


def test_a_transaction_is_all_or_nothing(
    client: FlaskClient, application: Application, examples: dict[str, bytes], leads: Callable[[str], Entries]
) -> None:
    whole = entry(json.loads(examples["sinus-tachycardia"]))

    answer = post(client, "transaction", [whole, *leads("atrial-fibrillation")[:5]])

    assert answer.status_code == 422
    [issue] = answer.json["issue"]
    assert issue["expression"] == ["Bundle.entry[1].resource.component"]
    assert "V1, V2, V3, V4, V5, V6 are missing" in issue["diagnostics"] or "V6" in issue["diagnostics"]
    assert stored(application, "Observation") == 0


def test_a_batch_takes_what_is_sound(client: FlaskClient, application: Application, examples: dict[str, bytes]) -> None:
    whole = json.loads(examples["sinus-tachycardia"])
    bad = json.loads(examples["sinus-tachycardia"])
    bad["component"][2]["valueSampledData"]["period"] = 0

    answer = post(client, "batch", [entry(bad), entry(whole), entry({"resourceType": "Patient"})])

    assert answer.status_code == 200
    Bundle.model_validate(answer.json)
    refused, taken, stranger = (e["response"] for e in answer.json["entry"])
    assert taken["status"] == "201 Created"
    assert refused["status"].startswith("422")
    where = "Bundle.entry[0].resource.component[2].value.ofType(SampledData).period"
    assert refused["outcome"]["issue"][0]["expression"] == [where]
    assert stranger["outcome"]["issue"][0]["expression"] == ["Bundle.entry[2].resource.resourceType"]
    assert stored(application, "Observation") == 1


@pytest.mark.parametrize(
    ("bundle", "expression"),
    [
        ({"resourceType": "Observation"}, "Bundle.resourceType"),
        ({"resourceType": "Bundle", "type": "searchset"}, "Bundle.type"),
        ({"resourceType": "Bundle", "type": "batch"}, "Bundle.entry"),
        ({"resourceType": "Bundle", "type": "batch", "entry": []}, "Bundle.entry"),
        ({"resourceType": "Bundle", "type": "batch", "entry": [{"fullUrl": "urn:x"}] * 501}, "Bundle.entry"),
        ({"resourceType": "Bundle", "type": "transaction", "entry": ["x"]}, "Bundle.entry[0].resource"),
        (
            {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": {"resourceType": "Observation"}}]},
            "Bundle.entry[0].request",
        ),
    ],
)
def test_what_is_no_bundle_of_ecgs_is_refused(client: FlaskClient, bundle: dict[str, Any], expression: str) -> None:
    answer = client.post("/fhir", data=json.dumps(bundle), content_type="application/fhir+json")

    assert answer.status_code in {400, 422}
    assert answer.json["issue"][0]["expression"] == [expression]


def test_observations_of_one_ecg_with_two_subjects_are_refused(
    client: FlaskClient, application: Application, leads: Callable[[str], Entries]
) -> None:
    members = [entry(e["resource"], f"urn:uuid:{n}") for n, e in enumerate(leads("atrial-fibrillation"))]
    members[0]["resource"] |= {
        "hasMember": [{"reference": f"urn:uuid:{n}"} for n in range(1, 12)],
        "subject": {"reference": "Patient/another"},
    }

    answer = post(client, "transaction", members)

    assert answer.status_code == 422
    assert "two subjects" in answer.json["issue"][0]["diagnostics"]
    assert stored(application, "Observation") == 0

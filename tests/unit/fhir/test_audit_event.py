"""AuditEvents held against the required elements of IHE's profiles, one by one; each rule cites its definition.

The profiles are https://profiles.ihe.net/ITI/BALP/1.1.3/ (IHE.BasicAudit.Create and so on, with those of a Patient).
"""

import json
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from fhir_ecg.fhir.audit_event import AuditRecord, audit_event, index_values, patient_reference
from fhir_ecg.fhir.audit_kinds import KINDS

BASE = "https://ecg.example/fhir"
BALP = "https://profiles.ihe.net/ITI/BALP"
REST = "http://terminology.hl7.org/CodeSystem/audit-event-type"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
PATIENT = {"reference": "Patient/7"}
AGENT = {"address": "192.0.2.7", "user": "Practitioner/12"}
QUERY = {"type": "DiagnosticReport", "query": [["patient", "7"], ["date", "ge2026"]]}
# Each profile's fixed subtype, action and the types of its agents, as its page has them.
PROFILES = {
    "create": ("Create", "create", "C", f"{DCM}|110153", f"{DCM}|110152"),
    "read": ("Read", "read", "R", f"{DCM}|110152", f"{DCM}|110153"),
    "vread": ("Read", "vread", "R", f"{DCM}|110152", f"{DCM}|110153"),
    "update": ("Update", "update", "U", f"{DCM}|110153", f"{DCM}|110152"),
    "confirm": ("Update", "update", "U", f"{DCM}|110153", f"{DCM}|110152"),
    "delete": (
        "Delete", "delete", "D", f"{DCM}|110150",
        "http://terminology.hl7.org/CodeSystem/provenance-participant-type|custodian",
    ),
    "search": ("Query", "search-type", "E", f"{DCM}|110153", f"{DCM}|110152"),
}  # fmt: skip


def record(action: str, **changed: Any) -> AuditRecord:
    detail = {"agent": AGENT, "patients": [PATIENT]} | (QUERY if action == "search" else {})
    return AuditRecord(
        **{
            "id": "5f0c9f1e-0000-4000-8000-000000000001",
            "recorded": datetime(2026, 11, 22, 8, 31, 0, 123456, tzinfo=UTC),
            "action": action,
            "outcome": "success",
            "client": "ehr",
            "request_id": "r-1",
            "entities": ["Observation/O/_history/1", "DiagnosticReport/R/_history/1"],
            "detail": detail,
            **changed,
        }
    )


def event(action: str, **changed: Any) -> dict[str, Any]:
    built: dict[str, Any] = json.loads(json.dumps(audit_event(record(action, **changed), BASE)))
    AuditEvent.model_validate(built)
    return built


def code(coding: dict[str, Any]) -> str:
    return f"{coding['system']}|{coding['code']}"


def agent(built: dict[str, Any], of_type: str) -> dict[str, Any]:
    [found] = [each for each in built["agent"] if code(each["type"]["coding"][0]) == of_type]
    return found  # type: ignore[no-any-return]


def entities(built: dict[str, Any], of_type: str) -> list[dict[str, Any]]:
    return [entity for entity in built["entity"] if entity["type"]["code"] == of_type]


@pytest.mark.parametrize("action", PROFILES)
def test_what_each_profile_of_balp_requires(action: str) -> None:
    name, subtype, of_action, client, server = PROFILES[action]
    built = event(action)
    assert built["meta"]["profile"] == [f"{BALP}/StructureDefinition/IHE.BasicAudit.Patient{name}"]
    # AuditEvent.type = rest; subtype 1.. with the interaction; action fixed; recorded 1..1; outcome = 0 Success
    assert (code(built["type"]), built["action"], built["outcome"]) == (f"{REST}|rest", of_action, "0")
    assert [code(each) for each in built["subtype"]] == [f"http://hl7.org/fhir/restful-interaction|{subtype}"]
    assert built["recorded"] == built["meta"]["lastUpdated"] == "2026-11-22T08:31:00.123Z"
    # AuditEvent.agent 2..: client 1..1 and server 1..1, each with who 1..1, network 1..1 and no media
    for each, who, network in (
        (agent(built, client), "ehr", {"address": "192.0.2.7", "type": "2"}),
        (agent(built, server), "fhir-ecg", {"address": BASE, "type": "5"}),
    ):
        assert (each["who"]["identifier"]["value"], each["network"]) == (who, network)
        assert each["requestor"] is False
    # AuditEvent.agent:user: who 1..1, requestor = true, no network; IRCP of what is given out, else a data source
    participation = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
    user = agent(built, f"{participation}|{'IRCP' if name in {'Read', 'Query'} else 'AUT'}")
    assert (user["who"], user["requestor"]) == ({"reference": "Practitioner/12"}, True)
    assert "network" not in user
    # AuditEvent.source: type 4 Application Server
    assert built["source"]["type"][0]["code"] == "4"
    # AuditEvent.entity:transaction: type XrequestId, what.identifier.value 1..1
    [transaction] = entities(built, "XrequestId")
    assert transaction["type"]["system"] == f"{BALP}/CodeSystem/BasicAuditEntityType"
    assert transaction["what"]["identifier"]["value"] == "r-1"
    # AuditEvent.entity:patient of the Patient profiles 1..1: type 1 Person, role 1 Patient, what Reference(Patient)
    [patient] = entities(built, "1")
    assert (patient["role"]["code"], patient["what"]) == ("1", PATIENT)


@pytest.mark.parametrize("action", [action for action in PROFILES if action != "search"])
def test_the_data_of_an_event(action: str) -> None:
    """AuditEvent.entity:data 1..1: type 2 System Object, role 4 Domain Resource, what 1..1."""
    built = event(action)
    [data] = entities(built, "2")
    assert data["type"]["system"] == "http://terminology.hl7.org/CodeSystem/audit-entity-type"
    assert (data["role"]["code"], data["what"]) == ("4", {"reference": "Observation/O/_history/1"})
    [beside] = entities(built, "DiagnosticReport")
    assert beside["what"] == {"reference": "DiagnosticReport/R/_history/1"}


def test_the_query_of_a_search() -> None:
    """AuditEvent.entity:query 1..1: type 2, role 24, query 1..1 in base64; no what, lifecycle or detail."""
    [query] = entities(event("search"), "2")
    assert query["role"]["code"] == "24"
    assert b64decode(query["query"]) == b"DiagnosticReport?patient=7&date=ge2026"
    assert not {"what", "lifecycle", "detail", "name"} & query.keys()


@pytest.mark.parametrize(
    ("changed", "profile"),
    [
        ({"detail": {"agent": AGENT}}, "Read"),
        ({"detail": {"agent": AGENT, "patients": [PATIENT, {"reference": "Patient/8"}]}}, "Read"),
        ({"detail": {"patients": [PATIENT]}}, None),
        ({"outcome": "failure"}, None),
        ({"entities": []}, None),
    ],
    ids=["no patient", "two patients", "no address", "a failure", "nothing"],
)
def test_a_profile_is_claimed_only_where_it_is_fulfilled(changed: dict[str, Any], profile: str | None) -> None:
    claimed = event("read", **changed)["meta"].get("profile")
    assert claimed == (profile and [f"{BALP}/StructureDefinition/IHE.BasicAudit.{profile}"])


def test_without_a_person_the_client_is_the_requestor() -> None:
    built = event("read", client=None, detail={"agent": {"address": "2001:db8::1"}})
    assert [each["requestor"] for each in built["agent"]] == [True, False]
    assert built["agent"][0]["who"] == {"display": "A client that is not authenticated"}


def test_a_person_who_is_no_reference() -> None:
    user = event("read", detail={"agent": {"user": "Dr. Who"}})["agent"][2]
    assert user["who"] == {"identifier": {"system": "http://fhir-ecg.org/fhir/sid/user", "value": "Dr. Who"}}
    assert user["name"] == "Dr. Who"


def test_a_refusal_is_a_create_that_failed() -> None:
    problems = [{"code": "required", "expression": "Observation.status"}, {"code": "value", "expression": None}]
    built = event("refuse", outcome="failure", entities=[], detail={"agent": AGENT, "problems": problems})
    assert (built["subtype"][0]["code"], built["action"], built["outcome"]) == ("create", "C", "4")
    assert built["outcomeDesc"] == "Refused: required at Observation.status; value"


def test_a_failed_login() -> None:
    built = event("login", outcome="failure", client=None, entities=[], detail={"count": 3, "seconds": 60})
    assert (code(built["type"]), code(built["subtype"][0])) == (f"{DCM}|110114", f"{DCM}|110122")
    assert (built["outcome"], built["outcomeDesc"]) == ("4", "3 requests without a known bearer token")


@pytest.mark.parametrize(
    ("action", "of_type", "subtype"),
    [("classify", "110100", "read-ecg"), ("verify", "110101", "verify"), ("of-tomorrow", "110100", "of-tomorrow")],
)
def test_what_the_service_itself_and_its_operator_did(action: str, of_type: str, subtype: str) -> None:
    built = event(action, client=None, request_id=None, detail={"lanes": [1], "none": None})
    assert (code(built["type"]), built["subtype"][0]["code"]) == (f"{DCM}|{of_type}", subtype)
    [application] = built["agent"]
    assert (code(application["type"]["coding"][0]), application["requestor"]) == (f"{DCM}|110150", True)
    [other] = entities(built, "4")
    assert other["detail"] == [{"type": "lanes", "valueString": "[1]"}]


def test_an_export_tells_what_was_given_out() -> None:
    built = event("export", entities=[], detail={"agent": AGENT, "type": "Device", "count": 3, "since": None})
    assert (built["subtype"][0]["code"], built["action"]) == ("operation", "E")
    [view] = entities(built, "4")
    assert view["detail"] == [{"type": "type", "valueString": "Device"}, {"type": "count", "valueString": "3"}]


def test_a_page_of_200_is_shown_whole() -> None:
    found = [f"Observation/{number}/_history/1" for number in range(200)]
    assert [each["what"]["reference"] for each in entities(event("search", entities=found), "Observation")] == found


@pytest.mark.parametrize("action", KINDS)
def test_every_kind_is_a_valid_audit_event(action: str) -> None:
    for changed in ({}, {"detail": {}, "client": None, "request_id": None, "entities": []}, {"outcome": "failure"}):
        event(action, **changed)


@pytest.mark.parametrize(
    ("reference", "kept"),
    [
        ({"reference": "Patient/7/_history/2", "display": "Jane"}, {"reference": "Patient/7"}),
        ({"reference": "https://x.example/fhir/Patient/7"}, {"reference": "https://x.example/fhir/Patient/7"}),
        (
            {"identifier": {"system": "mrn", "value": "7", "use": "usual"}},
            {"type": "Patient", "identifier": {"system": "mrn", "value": "7"}},
        ),
        ({"reference": "Group/7"}, None),
        ({"type": "Group", "identifier": {"value": "7"}}, None),
        ({"reference": "#p"}, None),
        ({"display": "Jane"}, None),
        ({}, None),
    ],
)
def test_what_names_a_patient(reference: dict[str, Any], kept: dict[str, Any] | None) -> None:
    assert patient_reference(reference) == kept


def test_what_an_entry_is_found_by() -> None:
    patients = [PATIENT, {"type": "Patient", "identifier": {"system": "mrn", "value": "7"}}]
    detail = {"agent": {"user": "Ärztin A"}, "patients": patients}
    assert index_values(["Observation/O/_history/1", "Observation/O/_history/2"], detail) == [
        ("entity", "Observation/O"),
        ("entity", "Patient/7"),
        ("patient-system", "mrn|7"),
        ("patient-value", "7"),
        ("user", "Ärztin A"),
        ("user-name", "arztin a"),
    ]

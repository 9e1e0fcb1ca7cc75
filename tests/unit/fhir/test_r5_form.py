"""Our answers in R5's form: every one valid by R5's models, and nothing lost that R5 has a place for."""

import json
from typing import Any

import pytest
from fhir.resources import get_fhir_model_class
from readings import AI_ASSERTED, ISSUED, MODEL, PREDICTION, RECORDING
from sent_ecg import observation

from fhir_ecg.examples import example_observations
from fhir_ecg.fhir.bundle import searchset
from fhir_ecg.fhir.capability import Server, capability_statement, terminology_capabilities
from fhir_ecg.fhir.definitions import definitions
from fhir_ecg.fhir.outcome import Problem, operation_outcome
from fhir_ecg.fhir.parsing import parse_json, serialise
from fhir_ecg.fhir.r5_form import NoR5FormError, r5_form
from fhir_ecg.fhir.reading_resources import model_device, reading_provenance, scores_observation
from fhir_ecg.fhir.release import Release, r4_form
from fhir_ecg.fhir.report import read_report, registered_report
from fhir_ecg.fhir.task import requested_task, task_in_status
from fhir_ecg.fhir.xml_form import parse_xml, serialise_xml

REGISTERED = registered_report(observation(), "O", "R")
SERVER = Server("https://ecg.example/fhir", "0.1.0", "2026-11-22")
TASK = task_in_status(requested_task("T", REGISTERED, ISSUED), "cancelled", ISSUED, "withdrawn")
REPORT = read_report(REGISTERED, PREDICTION, RECORDING, "S", status="partial", issued=ISSUED, snomed=True)
OURS: dict[str, dict[str, Any]] = {
    "registered": REGISTERED,
    "report": REPORT,
    "scores": scores_observation(observation(), "O", "S", PREDICTION, issued=ISSUED, snomed=True),
    "device": model_device(MODEL),
    "provenance": reading_provenance("P", ["DiagnosticReport/R"], ["Observation/O"], MODEL, ISSUED),
    "task": TASK,
    "outcome": operation_outcome([Problem("value", "wrong", "Observation.status")]),
    "capability": capability_statement(SERVER),
    "terminology": terminology_capabilities(SERVER),
    "sent": observation(),
    **{name: parse_json(body) for name, body in example_observations().items()},
    **{f"{kind}-{identity}": found for kind, by_id in definitions().items() for identity, found in by_id.items()},
}
OURS["page"] = searchset(SERVER.base, [REPORT, OURS["device"] | {"id": "D"}], 2, f"{SERVER.base}/Device", None)


def as_sent(resource: dict[str, Any]) -> dict[str, Any]:
    wire: dict[str, Any] = json.loads(serialise(resource))
    get_fhir_model_class(wire["resourceType"]).model_validate(wire)
    return wire


@pytest.mark.parametrize("name", OURS)
def test_an_answer_is_valid_r5_in_json_and_xml(name: str) -> None:
    before = serialise(OURS[name])
    converted = r5_form(OURS[name])
    as_sent(converted)
    document = parse_json(serialise(converted))
    assert parse_xml(serialise_xml(document, Release.R5), Release.R5) == document
    assert serialise(OURS[name]) == before


@pytest.mark.parametrize("name", example_observations())
def test_an_ecg_comes_back_from_r5_as_it_was(name: str) -> None:
    ecg = parse_json(example_observations()[name])
    converted = r5_form(ecg)
    for sent, given in zip(ecg["component"], converted["component"], strict=True):
        sampled = given["valueSampledData"]
        assert (sampled["interval"], sampled["intervalUnit"]) == (sent["valueSampledData"]["period"], "ms")
        assert "period" not in sampled
    assert r4_form(converted) == ecg


def test_our_profiles_are_not_claimed_and_others_are() -> None:
    ecg = {"resourceType": "Observation", "status": "final", "code": {"text": "ECG"}}
    other = "http://other.example/StructureDefinition/x"
    assert r5_form(ecg | {"meta": {"profile": [REPORT["meta"]["profile"][0], other]}})["meta"] == {"profile": [other]}
    assert "meta" not in r5_form(REGISTERED)
    assert r5_form(REPORT)["meta"] == {"security": [AI_ASSERTED]}


def test_a_device() -> None:
    device = r5_form({
        "resourceType": "Device",
        "definition": {"reference": "DeviceDefinition/1"},
        "deviceName": [{"name": "a", "type": "model-name"}, {"name": "b", "type": "udi-label-name"}],
        "type": {"text": "cart"},
    })  # fmt: skip
    assert as_sent(device) == {
        "resourceType": "Device",
        "definition": {"reference": {"reference": "DeviceDefinition/1"}},
        "name": [{"value": "a", "type": "user-friendly-name"}, {"value": "b", "type": "registered-name"}],
        "type": [{"text": "cart"}],
    }


def test_a_provenance() -> None:
    provenance = as_sent(r5_form(OURS["provenance"]))
    assert provenance["authorization"] == [{"concept": {"coding": [AI_ASSERTED]}}]
    assert provenance["entity"] == OURS["provenance"]["entity"]
    assert "reason" not in provenance


def test_codes_that_r5_does_not_have() -> None:
    card = {"role": "derivation", "what": {"reference": "DocumentReference/card"}}
    provenance = OURS["provenance"] | {"entity": [*OURS["provenance"]["entity"], card]}
    assert [each["role"] for each in as_sent(r5_form(provenance))["entity"]] == ["source", "source"]
    assert as_sent(r5_form(OURS["terminology"]))["codeSearch"] == "in-compose-or-expansion"


def test_a_task() -> None:
    task = TASK | {
        "reasonCode": {"text": "palpitations"},
        "reasonReference": {"reference": "Condition/1"},
        "performerType": [{"text": "physician"}],
    }
    converted = as_sent(r5_form(task))
    assert converted["reason"] == [{"concept": {"text": "palpitations"}}, {"reference": {"reference": "Condition/1"}}]
    assert converted["requestedPerformer"] == [{"concept": {"text": "physician"}}]
    assert converted["statusReason"] == {"concept": {"text": "withdrawn"}}


def test_the_map_to_snomed() -> None:
    converted = as_sent(r5_form(definitions()["ConceptMap"]["scp-ecg-statements-to-snomed-ct"]))
    [group] = converted["group"]
    assert group["source"] == "http://fhir-ecg.org/fhir/CodeSystem/scp-ecg-statements|1.0.0"
    found = {element["code"]: element["target"][0]["relationship"] for element in group["element"]}
    assert {code: found[code] for code in ("AFIB", "ALMI", "TRIGU", "INJAL")} == {
        "AFIB": "equivalent",
        "ALMI": "source-is-narrower-than-target",
        "TRIGU": "source-is-broader-than-target",
        "INJAL": "related-to",
    }
    assert converted["sourceScopeCanonical"] == "http://fhir-ecg.org/fhir/ValueSet/scp-ecg-statements"


def test_the_answer_to_a_bundle_has_its_outcomes_converted() -> None:
    outcome = operation_outcome([Problem("value", "wrong")])
    bundle = {
        "resourceType": "Bundle",
        "type": "batch-response",
        "entry": [{"response": {"status": "422", "outcome": outcome}}, {"response": {"status": "201 Created"}}],
    }
    assert as_sent(r5_form(bundle)) == bundle


@pytest.mark.parametrize(
    "contained",
    [
        {"resourceType": "Patient", "id": "p", "identifier": [{"value": "7"}]},
        {"resourceType": "Device", "id": "d", "deviceName": [{"name": "cart", "type": "other"}]},
        {
            "resourceType": "ServiceRequest",
            "id": "s",
            "status": "active",
            "intent": "order",
            "subject": {"display": "x"},
        },
    ],
)
def test_what_is_contained_is_converted(contained: dict[str, Any]) -> None:
    converted = as_sent(r5_form(observation(contained=[contained])))
    assert converted["contained"][0]["resourceType"] == contained["resourceType"]


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "AuditEvent"},
        {"resourceType": "Media"},
        {},
        {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": {"resourceType": "AuditEvent"}}]},
        observation(contained=[{"resourceType": "Device", "id": "d", "patient": {"reference": "Patient/1"}}]),
        observation(contained=[{"resourceType": "DeviceUseStatement", "id": "d"}]),
    ],
)
def test_what_has_no_form_in_r5_is_told(resource: dict[str, Any]) -> None:
    with pytest.raises(NoR5FormError, match=r"fhirVersion=4\.0"):
        r5_form(resource)


def test_an_attachment_has_its_size_as_text() -> None:
    report = REPORT | {"presentedForm": [{"contentType": "application/pdf", "size": 12, "title": "ECG"}]}
    assert as_sent(r5_form(report))["presentedForm"][0]["size"] == "12"

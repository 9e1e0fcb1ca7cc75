"""The report in every state of its life: expected resources out, all valid R4."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from readings import AI_ASSERTED, ISSUED, NOTHING_FOUND, PREDICTION, RECORDING, REPAIRED, SHA, confidence, statement
from sent_ecg import observation

from fhir_ecg.ecg.quality import QualityFinding
from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.fhir.report import cancelled_report, instant, read_report, registered_report
from fhir_ecg.fhir.search_index import TokenEntry, index_entries

PROFILE = "http://fhir-ecg.org/fhir/StructureDefinition/ecg-report"
REGISTERED = {
    "resourceType": "DiagnosticReport",
    "id": "R",
    "meta": {"profile": [PROFILE]},
    "identifier": [
        {"use": "official", "system": "urn:ietf:rfc:3986", "value": "urn:uuid:R"},
        {"use": "secondary", "system": "http://hospital.example/ecg", "value": "E-1"},
    ],
    "status": "registered",
    "category": [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/v2-0074",
                    "code": "EC",
                    "display": "Electrocardiac (e.g., EKG,  EEC, Holter)",
                }
            ]
        }
    ],
    "code": {
        "coding": [{"system": "http://loinc.org", "code": "11524-6", "display": "EKG study"}],
        "text": "ECG report",
    },
    "basedOn": [{"reference": "ServiceRequest/order-1"}],
    "subject": {"reference": "Patient/7"},
    "encounter": {"reference": "Encounter/8"},
    "effectiveDateTime": "2026-11-22T09:30:00+01:00",
    "result": [{"reference": "Observation/O", "display": "12-lead ECG as sent"}],
}
WARNING = (
    "UNCONFIRMED MACHINE READING of a 12-lead ECG. It supports a clinician and replaces none: "
    "a physician must confirm it before it is acted on."
)
CONCLUSION = [
    WARNING,
    "Findings:",
    "- subendocardial injury in anterolateral leads (INJAL): probability 0.90",
    "- atrial fibrillation (AFIB): probability 0.81",
    "- trigeminal pattern (unknown origin, SV or Ventricular) (TRIGU): probability 0.50",
    f"Model: three-branch 1.2.0, weights SHA-256 {SHA}.",
]
READ = REGISTERED | {
    "meta": {"profile": [PROFILE], "security": [AI_ASSERTED]},
    "text": {
        "status": "generated",
        "div": '<div xmlns="http://www.w3.org/1999/xhtml">'
        f"<p><b>{WARNING}</b></p><p>Findings:</p><ul>"
        "<li>subendocardial injury in anterolateral leads (INJAL): probability 0.90</li>"
        "<li>atrial fibrillation (AFIB): probability 0.81</li>"
        "<li>trigeminal pattern (unknown origin, SV or Ventricular) (TRIGU): probability 0.50</li>"
        f"</ul><p>{CONCLUSION[-1]}</p></div>",
    },
    "status": "partial",
    "issued": "2026-11-22T08:31:00.123Z",
    "result": [
        {"reference": "Observation/O", "display": "12-lead ECG as sent"},
        {"reference": "Observation/S", "display": "Probability of each statement"},
    ],
    "conclusion": "\n".join(CONCLUSION),
    # INJAL's and TRIGU's SNOMED codes say more, or something else, than the statement: they are not sent.
    "conclusionCode": [
        confidence(0.9) | statement("INJAL", "subendocardial injury in anterolateral leads"),
        confidence(0.812346) | statement("AFIB", "atrial fibrillation", "164889003"),
        confidence(0.5) | statement("TRIGU", "trigeminal pattern (unknown origin, SV or Ventricular)"),
    ],
}


def valid(report: dict[str, Any]) -> dict[str, Any]:
    """Give a report back after the R4 model has accepted it, as it goes over the wire."""
    wire: dict[str, Any] = json.loads(serialise(report))
    DiagnosticReport.model_validate(wire)
    return wire


def registered(**elements: Any) -> dict[str, Any]:
    return valid(registered_report(observation(**elements), "O", "R"))


def read(**options: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {"status": "partial", "issued": ISSUED, "snomed": True}
    chosen = {"prediction": PREDICTION, "recording": RECORDING} | options
    prediction, recording = chosen.pop("prediction"), chosen.pop("recording")
    return valid(read_report(registered(), prediction, recording, "S", **(defaults | chosen)))


def test_a_registered_report() -> None:
    assert registered() == REGISTERED


def test_a_report_of_an_ecg_that_says_nothing_else() -> None:
    bare = {"resourceType": "Observation", "status": "final", "component": []}
    report = valid(registered_report(bare, "O", "R"))
    assert set(REGISTERED) - set(report) == {"basedOn", "subject", "encounter", "effectiveDateTime"}
    assert report["identifier"] == REGISTERED["identifier"][:1]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"effectiveDateTime": "2026-11"}, {"effectiveDateTime": "2026-11"}),
        ({"effectivePeriod": {"start": "2026"}}, {"effectivePeriod": {"start": "2026"}}),
        ({"effectiveInstant": "2026-11-22T09:30:00Z"}, {"effectiveDateTime": "2026-11-22T09:30:00Z"}),
        ({"effectiveTiming": {"event": ["2026-11-22"]}}, {}),
    ],
)
def test_the_time_of_the_ecg_is_that_of_the_report(sent: dict[str, Any], expected: dict[str, Any]) -> None:
    ecg = {name: value for name, value in observation().items() if name != "effectiveDateTime"} | sent
    report = valid(registered_report(ecg, "O", "R"))
    assert {name: value for name, value in report.items() if name.startswith("effective")} == expected


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ([{"reference": "ServiceRequest/1"}, {"reference": "CarePlan/2"}], [0, 1]),
        ([{"reference": "https://ehr.example/fhir/ServiceRequest/1"}], [0]),
        ([{"identifier": {"system": "s", "value": "accession-1"}}], [0]),
        ([{"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}], [0]),
        ([{"reference": "DeviceRequest/1"}], []),
        ([{"reference": "https://ehr.example/fhir/DeviceRequest/1"}, {"display": "by phone"}], [1]),
        ([{"type": "DeviceRequest", "identifier": {"value": "1"}}], []),
    ],
)
def test_orders_that_a_report_may_name_are_taken_over(orders: list[dict[str, Any]], expected: list[int]) -> None:
    assert registered(basedOn=orders).get("basedOn", []) == [orders[k] for k in expected]


CONTAINED = [
    {"resourceType": "Patient", "id": "p", "identifier": [{"system": "mrn", "value": "7"}, {"value": "other"}]},
    {"resourceType": "ServiceRequest", "id": "s", "status": "active", "intent": "order"},
]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (
            {"subject": {"reference": "#p", "display": "A. Person"}},
            {"type": "Patient", "identifier": {"system": "mrn", "value": "7"}, "display": "A. Person"},
        ),
        ({"subject": {"reference": "#nobody", "display": "A. Person"}}, {"display": "A. Person"}),
        ({"subject": {"reference": "#nobody"}}, None),
        ({"subject": {"reference": "Patient/p"}}, {"reference": "Patient/p"}),
        ({"subject": {"identifier": {"value": "7"}}}, {"identifier": {"value": "7"}}),
    ],
)
def test_a_contained_patient_is_named_by_identifier(sent: dict[str, Any], expected: dict[str, Any] | None) -> None:
    assert registered(contained=CONTAINED, **sent).get("subject") == expected


def test_a_contained_patient_is_found_by_identifier_in_the_report() -> None:
    entries = index_entries(registered(contained=CONTAINED, subject={"reference": "#p"}))
    assert TokenEntry("patient:identifier", "mrn", "7") in entries


def test_a_contained_order_is_named_by_its_type() -> None:
    orders = [{"reference": "#s"}, {"reference": "#nothing"}]
    assert registered(contained=CONTAINED, basedOn=orders)["basedOn"] == [{"type": "ServiceRequest"}]


def test_a_read_report() -> None:
    assert read() == READ


def test_an_operator_may_choose_preliminary_and_no_snomed() -> None:
    report = read(status="preliminary", snomed=False)
    assert report["status"] == "preliminary"
    assert [len(concept["coding"]) for concept in report["conclusionCode"]] == [1, 1, 1]
    assert "snomed" not in json.dumps(report)


def test_a_report_without_a_finding_says_so() -> None:
    report = read(prediction=NOTHING_FOUND)
    assert "conclusionCode" not in report
    assert report["conclusion"].splitlines()[:2] == [WARNING, "Findings: no statement reached its threshold."]


def test_what_was_derived_and_repaired_stands_in_the_conclusion() -> None:
    assert read(recording=REPAIRED)["conclusion"].splitlines()[-2:] == [
        "Leads computed from the other limb leads: III, aVR.",
        "Repairs applied to what was sent: period-in-seconds.",
    ]


def test_a_cancelled_report_has_every_reason() -> None:
    reasons = [QualityFinding("gap", "Lead V6 has a gap."), QualityFinding("flat-lead", "Lead I <is> flat & dead.")]
    lines = ["No reading was made of this ECG.", "Lead V6 has a gap. [gap]", "Lead I <is> flat & dead. [flat-lead]"]
    report = valid(cancelled_report(registered(), reasons, issued=ISSUED))
    assert report == REGISTERED | {
        "text": report["text"],
        "status": "cancelled",
        "issued": "2026-11-22T08:31:00.123Z",
        "conclusion": "\n".join(lines),
    }
    paragraphs = ET.fromstring(report["text"]["div"])  # noqa: S314 - our own text
    assert ["".join(paragraph.itertext()) for paragraph in paragraphs] == lines


def test_what_a_report_is_built_from_stays_as_it_was() -> None:
    sent, before = observation(), registered()
    registered_report(sent, "O", "R")
    read_report(before, PREDICTION, RECORDING, "S", status="partial", issued=ISSUED, snomed=True)
    cancelled_report(before, [], issued=ISSUED)
    assert sent == observation()
    assert before == REGISTERED


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 22, 8, 31, tzinfo=UTC), "2026-11-22T08:31:00.000Z"),
        (ISSUED, "2026-11-22T08:31:00.123Z"),
        (datetime(2026, 11, 22, 9, 31, tzinfo=timezone(timedelta(hours=1))), "2026-11-22T09:31:00.000+01:00"),
    ],
)
def test_instants(moment: datetime, text: str) -> None:
    assert instant(moment) == text

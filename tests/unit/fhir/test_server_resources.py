"""What the server says of itself and its answers: CapabilityStatement, searchset Bundle, OperationOutcome."""

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome

from fhir_ecg.fhir.bundle import searchset
from fhir_ecg.fhir.capability import capability_statement
from fhir_ecg.fhir.outcome import MalformedError, Problem, RefusedError, UnprocessableError, operation_outcome
from fhir_ecg.fhir.search import parse_search
from fhir_ecg.fhir.search_parameters import SEARCHABLE_TYPES

BASE = "https://ecg.example/fhir"
EXAMPLE_OF_KIND = {"token": "a", "reference": "Patient/1", "date": "2026"}


@pytest.mark.parametrize("secured", [True, False])
def test_the_capability_statement(secured: bool) -> None:
    statement = capability_statement(BASE, "0.1.0", "2026-11-22T08:31:00.000Z", secured=secured)
    CapabilityStatement.model_validate(statement)
    assert {name: statement[name] for name in ("kind", "status", "fhirVersion", "format", "date")} == {
        "kind": "instance",
        "status": "active",
        "fhirVersion": "4.0.1",
        "format": ["json", "xml"],
        "date": "2026-11-22T08:31:00.000Z",
    }
    assert statement["software"] == {"name": "fhir-ecg", "version": "0.1.0"}
    assert statement["implementation"]["url"] == BASE
    (rest,) = statement["rest"]
    assert rest["mode"] == "server"
    assert ("security" in rest) is secured


def test_interactions_are_declared() -> None:
    (rest,) = capability_statement(BASE, "0.1.0", "2026-11-22", secured=False)["rest"]
    declared = {r["type"]: [interaction["code"] for interaction in r["interaction"]] for r in rest["resource"]}
    stored = ["read", "vread", "search-type"]
    assert declared == {
        "CodeSystem": ["read"],
        "Device": stored,
        "DiagnosticReport": stored,
        "Observation": ["create", *stored],
        "Provenance": stored,
    }


def test_every_declared_search_parameter_is_understood_and_every_type_is_declared() -> None:
    (rest,) = capability_statement(BASE, "0.1.0", "2026-11-22", secured=False)["rest"]
    declared = {r["type"]: r["searchParam"] for r in rest["resource"] if "searchParam" in r}
    assert set(declared) == set(SEARCHABLE_TYPES)
    for resource_type, parameters in declared.items():
        names = [parameter["name"] for parameter in parameters]
        assert {"_id", "_lastUpdated"} <= set(names)
        assert len(names) == len(set(names))
        for parameter in parameters:
            value = EXAMPLE_OF_KIND[parameter["type"]]
            assert len(parse_search(resource_type, [(parameter["name"], value)]).criteria) == 1


def test_a_page_of_matches() -> None:
    report = {"resourceType": "DiagnosticReport", "id": "R", "status": "partial", "code": {"text": "ECG"}}
    bundle = searchset(BASE, [report], 7, f"{BASE}/DiagnosticReport?_count=1", f"{BASE}/DiagnosticReport?_cursor=x")
    Bundle.model_validate(bundle)
    assert bundle == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 7,
        "link": [
            {"relation": "self", "url": f"{BASE}/DiagnosticReport?_count=1"},
            {"relation": "next", "url": f"{BASE}/DiagnosticReport?_cursor=x"},
        ],
        "entry": [{"fullUrl": f"{BASE}/DiagnosticReport/R", "resource": report, "search": {"mode": "match"}}],
    }


def test_no_match_has_no_entry_and_no_next_link() -> None:
    bundle = searchset(BASE, [], 0, f"{BASE}/Device", None)
    Bundle.model_validate(bundle)
    assert bundle == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
        "link": [{"relation": "self", "url": f"{BASE}/Device"}],
    }


def test_an_operation_outcome() -> None:
    problems = [
        Problem("required", "code is missing.", "Observation.code"),
        Problem("informational", "All is well.", severity="information"),
    ]
    outcome = operation_outcome(problems)
    OperationOutcome.model_validate(outcome)
    assert outcome == {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": "required",
                "diagnostics": "code is missing.",
                "expression": ["Observation.code"],
            },
            {"severity": "information", "code": "informational", "diagnostics": "All is well."},
        ],
    }


@pytest.mark.parametrize("kind", [MalformedError, UnprocessableError])
def test_a_refusal_carries_its_problems_and_says_them(kind: type[RefusedError]) -> None:
    error = kind(Problem("required", "One."), Problem("value", "Two.", "Observation.x"))
    assert str(error) == "One.; Two."
    assert [problem.expression for problem in error.problems] == [None, "Observation.x"]

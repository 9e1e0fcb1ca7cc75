"""What the server says of itself and its answers: CapabilityStatement, searchset Bundle, OperationOutcome."""

from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.terminologycapabilities import TerminologyCapabilities

from fhir_ecg.fhir.bundle import searchset
from fhir_ecg.fhir.capability import Server, capability_statement, terminology_capabilities
from fhir_ecg.fhir.definitions import DEFINITION_TYPES
from fhir_ecg.fhir.outcome import MalformedError, Problem, RefusedError, UnprocessableError, operation_outcome
from fhir_ecg.fhir.search import parse_search
from fhir_ecg.fhir.search_parameters import SEARCHABLE_TYPES

BASE = "https://ecg.example/fhir"
PROFILES = "http://fhir-ecg.org/fhir/StructureDefinition"
EXAMPLE_OF_KIND = {"token": "a", "reference": "Patient/1", "date": "2026", "string": "a", "uri": "http://a.example"}


@pytest.mark.parametrize("secured", [True, False])
def test_the_capability_statement(secured: bool) -> None:
    statement = capability_statement(Server(BASE, "0.1.0", "2026-11-22T08:31:00.000Z", secured=secured, cors=True))
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
    assert ("bearer token" in rest["security"]["description"]) is secured
    assert rest["security"]["cors"] is True


KEPT = ["read", "vread", "history-instance", "history-type", "search-type"]
DECLARED = {
    "Observation": ["create", "update", "delete", *KEPT],
    "DiagnosticReport": ["update", *KEPT],
    "Task": KEPT,
    "Device": KEPT,
    "Provenance": KEPT,
    "DocumentReference": KEPT,
    "AuditEvent": ["read", "vread", "search-type"],
    "CodeSystem": ["read", "search-type"],
    "ConceptMap": ["read", "search-type"],
    "ImplementationGuide": ["read", "search-type"],
    "OperationDefinition": ["read", "search-type"],
    "StructureDefinition": ["read", "search-type"],
    "ValueSet": ["read", "search-type"],
}


def rest(**options: Any) -> dict[str, Any]:
    statement = capability_statement(Server(BASE, "0.1.0", "2026-11-22"), **options)
    found: dict[str, Any] = statement["rest"][0]
    return found


def test_interactions_are_declared() -> None:
    declared = {r["type"]: [interaction["code"] for interaction in r["interaction"]] for r in rest()["resource"]}
    assert declared == DECLARED
    assert [interaction["code"] for interaction in rest()["interaction"]] == ["transaction", "batch", "history-system"]
    assert [operation["name"] for operation in rest()["operation"]] == ["export"]


def test_what_can_be_done_to_an_ecg_is_declared() -> None:
    [ecg] = [r for r in rest()["resource"] if r["type"] == "Observation"]
    kept = {"versioning", "readHistory", "updateCreate", "conditionalCreate", "conditionalRead"}
    kept |= {"conditionalUpdate", "conditionalDelete", "supportedProfile"}
    assert {name: ecg[name] for name in kept} == {
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": False,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "supportedProfile": [f"{PROFILES}/ecg-in", f"{PROFILES}/ecg-statement-probabilities"],
    }
    operations = {operation["name"]: operation["definition"] for operation in ecg["operation"]}
    assert operations == {
        name: f"http://fhir-ecg.org/fhir/OperationDefinition/Observation-{name}"
        for name in ("classify", "validate", "lastn")
    }
    assert "Observation:derived-from" in ecg["searchInclude"]
    assert {"DiagnosticReport:result", "Provenance:target"} <= set(ecg["searchRevInclude"])


def test_the_normative_part() -> None:
    kinds = [r["type"] for r in rest(normative=True)["resource"]]
    assert kinds == ["Observation", "CodeSystem", "OperationDefinition", "StructureDefinition", "ValueSet"]


def test_the_terminology_is_declared() -> None:
    capabilities = terminology_capabilities(Server(BASE, "0.1.0", "2026-11-22"))
    TerminologyCapabilities.model_validate(capabilities)
    assert [system["uri"].rpartition("/")[2] for system in capabilities["codeSystem"]] == [
        "scp-ecg-statements",
        "ecg-reading",
    ]


def test_every_declared_search_parameter_is_understood_and_every_type_is_declared() -> None:
    declared = {r["type"]: r["searchParam"] for r in rest()["resource"]}
    assert set(declared) == {*SEARCHABLE_TYPES, "AuditEvent", *DEFINITION_TYPES}
    for resource_type, parameters in declared.items():
        names = [parameter["name"] for parameter in parameters]
        assert len(names) == len(set(names))
        assert all(p["definition"].startswith("http://hl7.org/fhir/SearchParameter/") for p in parameters)
        if resource_type in DEFINITION_TYPES:
            assert names == ["_id", "name", "status", "url", "version"]
            continue
        assert {"_id", "_lastUpdated"} <= set(names)
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

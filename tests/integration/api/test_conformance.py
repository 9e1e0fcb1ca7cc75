"""The CapabilityStatement held against what the server answers, and the definitions over HTTP."""

from typing import Any

import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from fhir_ecg.api.app import create_app
from fhir_ecg.fhir.definitions import definitions
from fhir_ecg.service.application import Application
from fhir_ecg.settings import Settings

# Each interaction as a request, of a resource that is not there.
PROBES = {
    "create": ("POST", "{type}"),
    "read": ("GET", "{type}/none"),
    "vread": ("GET", "{type}/none/_history/1"),
    "update": ("PUT", "{type}/none"),
    "patch": ("PATCH", "{type}/none"),
    "delete": ("DELETE", "{type}/none"),
    "history-instance": ("GET", "{type}/none/_history"),
    "history-type": ("GET", "{type}/_history"),
    "search-type": ("GET", "{type}"),
}
SYSTEM_PROBES = {
    "transaction": ("POST", ""),
    "batch": ("POST", ""),
    "search-system": ("GET", "?_id=none"),
    "history-system": ("GET", "_history"),
}
NOT_DECLARED = ("Patient", "Media", "Parameters")


@pytest.fixture
def rest(client: FlaskClient) -> dict[str, Any]:
    statement: dict[str, Any] = client.get("/fhir/metadata").json
    found: dict[str, Any] = statement["rest"][0]
    return found


def ask(client: FlaskClient, method: str, path: str) -> TestResponse:
    body = {"data": b"{}", "content_type": "application/fhir+json"} if method in {"POST", "PUT", "PATCH"} else {}
    return client.open(f"/fhir/{path}", method=method, **body)


def is_there(answer: TestResponse) -> bool:
    """Whether a path and method are served; what is not there is told otherwise than what cannot be done."""
    if answer.status_code == 404:
        return "none" in answer.json["issue"][0]["diagnostics"]
    return answer.status_code != 405


def test_each_declared_interaction_is_served_and_no_other(client: FlaskClient, rest: dict[str, Any]) -> None:
    declared = {r["type"]: {i["code"] for i in r["interaction"]} for r in rest["resource"]}
    for kind in (*declared, *NOT_DECLARED):
        for code, (method, path) in PROBES.items():
            answer = ask(client, method, path.format(type=kind))
            assert is_there(answer) == (code in declared.get(kind, ())), (kind, code, answer.status, answer.data)
    system = {interaction["code"] for interaction in rest["interaction"]}
    for code, (method, path) in SYSTEM_PROBES.items():
        assert is_there(ask(client, method, path)) == (code in system), code


def test_each_declared_operation_is_served_and_defined(client: FlaskClient, rest: dict[str, Any]) -> None:
    for owner, operations in [(r["type"] + "/", r.get("operation", [])) for r in rest["resource"]] + [
        ("", rest["operation"])
    ]:
        for operation in operations:
            identity = operation["definition"].rpartition("/")[2]
            definition = client.get(f"/fhir/OperationDefinition/{identity}").json
            assert (definition["url"], definition["code"]) == (operation["definition"], operation["name"])
            for level, place in (("system", ""), ("type", owner), ("instance", f"{owner}none/")):
                if definition[level]:
                    assert is_there(ask(client, "POST", f"{place}${operation['name']}")), (level, operation)


def test_each_declared_parameter_and_inclusion_is_understood(client: FlaskClient, rest: dict[str, Any]) -> None:
    examples = {"date": "2026", "reference": "Patient/1"}
    for resource in rest["resource"]:
        for parameter in resource["searchParam"]:
            value = examples.get(parameter["type"], "http://x.example")
            answer = client.get(f"/fhir/{resource['type']}", query_string={parameter["name"]: value})
            assert answer.status_code == 200, (resource["type"], parameter, answer.data)
        for name in ("Include", "RevInclude"):
            for value in resource.get(f"search{name}", []):
                answer = client.get(f"/fhir/{resource['type']}", query_string={f"_{name.lower()}": value})
                assert answer.status_code == 200, (resource["type"], value, answer.data)


def test_each_declared_profile_is_served(client: FlaskClient, rest: dict[str, Any]) -> None:
    for resource in rest["resource"]:
        for canonical in resource.get("supportedProfile", []):
            identity = canonical.rpartition("/")[2]
            assert client.get(f"/fhir/StructureDefinition/{identity}").json["url"] == canonical


def test_the_modes_of_the_statement(client: FlaskClient) -> None:
    assert client.get("/fhir/metadata?mode=full").json["kind"] == "instance"
    normative = client.get("/fhir/metadata?mode=normative").json
    assert normative["rest"][0]["resource"][0]["type"] == "Observation"
    assert client.get("/fhir/metadata?mode=terminology").json["resourceType"] == "TerminologyCapabilities"
    refused = client.get("/fhir/metadata?mode=all")
    assert (refused.status_code, refused.json["resourceType"]) == (400, "OperationOutcome")


def test_a_part_of_the_statement(client: FlaskClient) -> None:
    part = client.get("/fhir/metadata?_summary=true").json
    CapabilityStatement.model_validate(part)
    assert part["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert "documentation" not in part["rest"][0]
    assert client.get("/fhir/metadata?_summary=some").status_code == 400
    statements = client.get("/fhir/ValueSet/scp-ecg-statements?_elements=url").json
    assert statements["url"].endswith("/scp-ecg-statements")
    assert "compose" not in statements


@pytest.mark.parametrize("kind", definitions())
def test_definitions_are_read_and_found(client: FlaskClient, kind: str) -> None:
    for identity, definition in definitions()[kind].items():
        assert client.get(f"/fhir/{kind}/{identity}").json == definition
        for answer in (
            client.get(f"/fhir/{kind}", query_string={"url": definition["url"]}),
            client.post(f"/fhir/{kind}/_search", data={"url": definition["url"]}),
        ):
            assert answer.status_code == 200
            assert [entry["resource"] for entry in answer.json["entry"]] == [definition]
            assert answer.json["entry"][0]["fullUrl"] == f"http://localhost/fhir/{kind}/{identity}"
    assert client.get(f"/fhir/{kind}").json["total"] == len(definitions()[kind])
    missing = client.get(f"/fhir/{kind}/none")
    assert (missing.status_code, missing.json["resourceType"]) == (404, "OperationOutcome")


@pytest.mark.parametrize(
    ("query", "prefer", "status"),
    [("bogus=1", "", 400), ("bogus=1", "handling=lenient", 200), ("name:exact=x", "", 400), ("_pretty=true", "", 200)],
)
def test_an_unknown_parameter_of_definitions(client: FlaskClient, query: str, prefer: str, status: int) -> None:
    assert client.get(f"/fhir/ValueSet?{query}", headers={"Prefer": prefer}).status_code == status


def test_a_search_for_definitions_is_posted_as_a_form(client: FlaskClient) -> None:
    answer = client.post("/fhir/ValueSet/_search", data=b"{}", content_type="application/fhir+json")
    assert answer.status_code == 415


def test_without_snomed_no_map_is_served(application: Application, settings: Settings) -> None:
    client = create_app(application, settings.model_copy(update={"snomed": False})).test_client()
    assert client.get("/fhir/ConceptMap").json["total"] == 0
    assert client.get("/fhir/ConceptMap/scp-ecg-statements-to-snomed-ct").status_code == 404
    assert "snomed.info" not in client.get("/fhir/metadata").text

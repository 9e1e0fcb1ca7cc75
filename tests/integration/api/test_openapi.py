"""The OpenAPI description: of every route, open to all, and a page that shows it."""

import re
from hashlib import sha256
from typing import Any

import pytest
from flask.testing import FlaskClient

from fhir_ecg.api.app import create_app
from fhir_ecg.api.description.routes import ROUTES
from fhir_ecg.fhir.search_parameters import SEARCH_PARAMETERS
from fhir_ecg.service.application import Application
from fhir_ecg.settings import Settings

ERRORS = {"400", "401", "404", "405", "406", "409", "410", "412", "413", "415", "422", "429", "503"}


@pytest.fixture
def described(client: FlaskClient) -> dict[str, Any]:
    answer = client.get("/openapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    document: dict[str, Any] = answer.json
    return document


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(m.upper(), path): found for path, each in document["paths"].items() for m, found in each.items()}


def test_every_route_is_described_and_every_description_is_of_a_route(
    application: Application, settings: Settings, described: dict[str, Any]
) -> None:
    """A new route without an entry in api/description/routes.py fails here."""
    app = create_app(application, settings)
    assert {rule.endpoint for rule in app.url_map.iter_rules()} == set(ROUTES)
    router = app.url_map.bind("localhost")
    for method, path in operations(described):
        address = re.sub(r"\{(version|number)\}", "1", path)
        address = re.sub(r"/_(async|export)/\{\w+\}", r"/_\1/00000000-0000-4000-8000-000000000000", address)
        endpoint, _ = router.match(re.sub(r"\{\w+\}", "x", address), method)
        assert endpoint in ROUTES


def test_routes_are_grouped_and_what_is_sent_comes_first(described: dict[str, Any]) -> None:
    groups = [group["name"] for group in described["tags"]]
    assert {tag for operation in operations(described).values() for tag in operation["tags"]} == set(groups)
    assert (groups[:2], groups[-1]) == (["Observation", "DiagnosticReport"], "server")


def test_references_lead_somewhere_and_names_are_unique(described: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    for reference in set(references(described)):
        place: Any = described
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    identities = [operation["operationId"] for operation in operations(described).values()]
    assert len(identities) == len(set(identities))


def test_what_an_operation_answers_is_told(described: dict[str, Any]) -> None:
    found = operations(described)
    assert set(found["POST", "/fhir/Observation"]["responses"]) == {
        "200", "201", "202", "400", "405", "406", "409", "412", "413", "415", "422", "503",
    }  # fmt: skip
    assert set(found["GET", "/fhir/Device/{identity}"]["responses"]) == {
        "200", "304", "404", "405", "406", "410", "503",
    }  # fmt: skip
    for (method, path), operation in found.items():
        for status, response in operation["responses"].items():
            if status in ERRORS and path.startswith("/fhir"):
                schema = response["content"]["application/fhir+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/OperationOutcome"}, (method, path, status)


def test_every_search_parameter_is_described(described: dict[str, Any]) -> None:
    for kind, parameters in SEARCH_PARAMETERS.items():
        operation = operations(described)["GET", f"/fhir/{kind}"]
        names = {parameter.get("name") for parameter in operation["parameters"]}
        assert {*parameters, "_id", "_lastUpdated", "_include", "_sort"} <= names
        form = operations(described)["POST", f"/fhir/{kind}/_search"]["requestBody"]["content"]
        assert set(parameters) <= set(form["application/x-www-form-urlencoded"]["schema"]["properties"])


def test_the_example_is_taken(client: FlaskClient, described: dict[str, Any]) -> None:
    body = operations(described)["POST", "/fhir/Observation"]["requestBody"]["content"]["application/fhir+json"]
    assert body["schema"] == {"$ref": "#/components/schemas/ECG"}
    example = described["components"]["examples"][body["examples"]["ecg"]["$ref"].rpartition("/")[2]]["value"]
    assert client.post("/fhir/Observation", json=example).status_code == 201


def test_with_clients_everything_but_the_open_routes_wants_a_token(
    application: Application, settings: Settings
) -> None:
    secured = settings.model_copy(update={"clients": {"ehr": sha256(b"token").hexdigest()}})
    client = create_app(application, secured).test_client()
    document = client.get("/openapi.json").json
    assert document["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
    for (method, path), operation in operations(document).items():
        address = re.sub(r"\{\w+\}", "swagger-ui.css", path)
        if "security" in operation:
            assert client.open(address, method=method).status_code in {401, 404}
            assert "401" in operation["responses"]
        else:
            assert client.open(address, method=method).status_code not in {401, 404}, path


def test_the_address_is_that_of_the_setting(application: Application, settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"base_url": "https://hospital.example/ecg/fhir"})
    client = create_app(application, elsewhere).test_client()
    assert client.get("/openapi.json").json["servers"] == [{"url": "https://hospital.example/ecg"}]
    assert '<base href="https://hospital.example/ecg/">' in client.get("/docs").text


def test_the_page_has_all_its_parts_and_takes_none_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/docs")
    assert page.content_type == "text/html; charset=utf-8"
    parts = re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text)
    assert len(parts) == 4
    for part in parts:
        answer = client.get(f"/{part}")
        assert answer.status_code == 200
        assert len(answer.data) > 100
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert re.findall(r"https?://(?!localhost)", page.text) == []
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert client.get("/docs/oauth2-redirect.html").status_code == 404
    assert client.get("/docs/..%2Fcore.py").status_code == 404

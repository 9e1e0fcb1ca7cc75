"""What holds of every operation: which methods it has, and where in Parameters a problem is."""

import json
from collections.abc import Iterator

import pytest
from databases import Fill, FilledSqlite
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fhir_ecg.service.application import Application
from fhir_ecg.store.tables import ResourceRow

FHIR = "application/fhir+json"
ALLOWED = {
    "Observation/$classify": {"POST"},
    "Observation/x/$classify": {"GET", "POST"},
    "Observation/$validate": {"POST"},
    "Observation/x/$validate": {"POST"},
    "Observation/$lastn": {"GET", "POST"},
    "DiagnosticReport/x/$confirm": {"POST"},
    "DiagnosticReport/$export": {"GET", "POST"},
    "$export": {"GET", "POST"},
}


@pytest.fixture
def database_url(filled_sqlite: FilledSqlite, database_content: Fill) -> Iterator[str]:
    with filled_sqlite.copy(database_content) as url:
        yield url


@pytest.mark.parametrize("address", ALLOWED)
def test_an_operation_has_its_methods_and_no_other(client: FlaskClient, address: str) -> None:
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - ALLOWED[address]:
        answer = client.open(f"/fhir/{address}", method=method)
        assert answer.status_code == 405, (method, answer.data)
        assert set(answer.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"} == ALLOWED[address]
        [issue] = answer.json["issue"]
        assert (issue["code"], issue["diagnostics"].partition(" ")[0]) == ("not-supported", method)


@pytest.mark.parametrize("address", ["Observation/$reindex", "Observation/x/$reindex", "$reindex", "Device/$confirm"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_an_unknown_operation_is_404(client: FlaskClient, address: str, method: str) -> None:
    answer = client.open(f"/fhir/{address}", method=method)
    assert (answer.status_code, answer.json["issue"][0]["code"]) == (404, "not-found")


@pytest.mark.parametrize(("operation", "name"), [("classify", "observation"), ("validate", "resource")])
@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('"status": "final"', '"status": "final", "status": "final"', ""),
        ('"status": "final"', '"status": "final", "colour": "red"', ".colour"),
        ('"status": "final"', '"status": "\\u0001"', ".status"),
        ('"status": "final"', '"status": "cancelled"', ".status"),
        ('"period": 2', '"period": NaN', ".component[0].value.ofType(SampledData).period"),
        ('"period": 2', '"period": -2', ".component[0].value.ofType(SampledData).period"),
    ],
)
def test_a_problem_inside_parameters_says_where_it_is(
    client: FlaskClient, application: Application, examples: dict[str, bytes], operation: str, name: str, old: str,
    new: str, where: str,
) -> None:  # fmt: skip
    ecg = json.loads(examples["normal-sinus-rhythm"])
    for component in ecg["component"]:
        component["valueSampledData"]["period"] = 2
    document = json.dumps({"resourceType": "Parameters", "parameter": [{"name": name, "resource": ecg}]})
    assert old in document
    answer = client.post(f"/fhir/Observation/${operation}", data=document.replace(old, new, 1), content_type=FHIR)
    assert answer.json["issue"][0]["expression"] == [f"Parameters.parameter[0].resource{where}"]
    with Session(application.store.engine) as session:
        assert session.scalar(select(func.count()).select_from(ResourceRow)) == 0


@pytest.mark.parametrize("address", ["DiagnosticReport/x/$confirm", "Observation/$lastn"])
def test_parameters_that_are_no_json_are_no_observation(client: FlaskClient, address: str) -> None:
    for body, where in (
        (b'{"resourceType": "Parameters"', "Parameters"),
        (b'{"resourceType": "Parameters", "parameter": [{"name": "a", "name": "b"}]}', "Parameters.parameter[0]"),
        (b'{"resourceType": "Parameters", "parameter": [{"valueDecimal": 1e1000}]}',
         "Parameters.parameter[0].value.ofType(decimal)"),
    ):  # fmt: skip
        answer = client.post(f"/fhir/{address}", data=body, content_type=FHIR)
        assert (answer.status_code, answer.json["issue"][0].get("expression")) == (400, [where])

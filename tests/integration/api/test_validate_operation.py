"""`$validate` says what the door would say, and stores nothing."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from fhir_ecg.api.app import create_app
from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.fhir.repairs import Repair
from fhir_ecg.fhir.xml_form import serialise_xml
from fhir_ecg.service.application import Application
from fhir_ecg.settings import Settings
from fhir_ecg.store.tables import AuditEventRow, JobRow, ResourceVersionRow, SubmissionRow

JSON, XML = "application/fhir+json", "application/fhir+xml"
VALIDATE = "/fhir/Observation/$validate"


@pytest.fixture
def ecg(examples: dict[str, bytes]) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(examples["sinus-tachycardia"])
    return parsed


def validate(client: FlaskClient, resource: object, path: str = VALIDATE) -> TestResponse:
    return client.post(path, json=resource, content_type=JSON)


def issues(answer: TestResponse) -> list[tuple[str, str]]:
    """Severity and code of each issue."""
    assert answer.status_code == 200, answer.data
    outcome = answer.get_json()
    assert outcome["resourceType"] == "OperationOutcome"
    return [(issue["severity"], issue["code"]) for issue in outcome["issue"]]


def texts(answer: TestResponse) -> str:
    return " ".join(issue["diagnostics"] for issue in answer.get_json()["issue"])


def rows(application: Application) -> list[int]:
    tables = (SubmissionRow, ResourceVersionRow, JobRow, AuditEventRow)
    with Session(application.store.engine) as session:
        return [session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


def shortened(ecg: dict[str, Any], samples: int) -> dict[str, Any]:
    for component in ecg["component"]:
        sampled = component["valueSampledData"]
        sampled["data"] = " ".join(sampled["data"].split()[:samples])
    return ecg


def test_what_would_be_taken_is_told_and_not_stored(
    client: FlaskClient, application: Application, ecg: dict[str, Any]
) -> None:
    answer = validate(client, ecg)
    assert issues(answer)[0] == ("information", "informational")
    assert "12 leads, " in texts(answer)
    assert " Hz, 10.00 s" in texts(answer)
    assert "No lead would be derived" in texts(answer)
    assert rows(application) == [0, 0, 0, 0]


def test_leads_that_would_be_derived_are_named(client: FlaskClient, ecg: dict[str, Any]) -> None:
    kept = [c for c in ecg["component"] if "aV" not in json.dumps(c["code"])]
    assert len(kept) == 9
    answer = validate(client, ecg | {"component": kept})
    assert "aVR, aVL, aVF" in texts(answer)


def test_a_signal_that_cannot_be_read_is_a_warning(client: FlaskClient, ecg: dict[str, Any]) -> None:
    answer = validate(client, shortened(ecg, 500))
    assert issues(answer)[1:] == [("warning", "business-rule")]
    assert "[too-short]" in texts(answer)
    assert "would be cancelled" in texts(answer)


@pytest.mark.parametrize("media_type", [JSON, XML])
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_problems_are_those_of_the_door(
    client: FlaskClient, ecg: dict[str, Any], media_type: str, *, wrapped: bool
) -> None:
    del ecg["component"][2]["valueSampledData"]["origin"]["value"]
    ecg["component"][5]["valueSampledData"]["period"] = -2
    door = client.post("/fhir/Observation", json=ecg, content_type=JSON)
    resource = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": ecg}]} if wrapped else ecg
    body = serialise_xml(resource) if media_type == XML else json.dumps(resource).encode()
    answer = client.post(VALIDATE, data=body, content_type=media_type)

    assert door.status_code == 422
    assert {severity for severity, _ in issues(answer)} == {"error"}
    said = door.get_data(as_text=True)
    if wrapped:  # the same, but for where the Observation stands
        said = said.replace('"Observation.', '"Parameters.parameter[0].resource.')
    assert answer.get_data(as_text=True) == said


def test_repairs_that_would_be_applied_are_named(
    settings: Settings, application: Application, ecg: dict[str, Any]
) -> None:
    for component in ecg["component"]:
        component["valueSampledData"]["data"] = component["valueSampledData"]["data"].replace(" ", "  ", 1)
    client = create_app(application, settings).test_client()
    assert {severity for severity, _ in issues(validate(client, ecg))} == {"error"}
    repairing = bootstrap(settings.model_copy(update={"repairs": (Repair.SPACES_COLLAPSED,)}))
    answer = validate(create_app(repairing, settings).test_client(), ecg)
    repairing.store.engine.dispose()
    assert issues(answer)[0] == ("information", "informational")
    assert "spaces-collapsed" in texts(answer)


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"", JSON),
        (b"{", JSON),
        (b"[]", JSON),
        (b"\xff", JSON),
        (b'{"resourceType": "Observation", "status": "final", "status": "final"}', JSON),
        (b"<Observation", XML),
        (b'<!DOCTYPE a><Observation xmlns="http://hl7.org/fhir"/>', XML),
    ],
)
def test_what_is_no_json_or_xml_is_400(client: FlaskClient, body: bytes, media_type: str) -> None:
    answer = client.post(VALIDATE, data=body, content_type=media_type)
    assert answer.status_code == 400
    assert answer.get_json()["issue"][0]["severity"] == "error"


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b'{"resourceType": "Patient"}', JSON),
        (b'{"resourceType": ["Observation"]}', JSON),
        (b"{}", JSON),
        (b'{"resourceType": "Observation", "status": null}', JSON),
        (b'<Observation xmlns="http://hl7.org/fhir"><colour value="red"/></Observation>', XML),
        (b'<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>', XML),
    ],
)
def test_a_resource_that_is_no_ecg_is_told_why(client: FlaskClient, body: bytes, media_type: str) -> None:
    answer = client.post(VALIDATE, data=body, content_type=media_type)
    assert {severity for severity, _ in issues(answer)} == {"error"}
    assert answer.get_json()["issue"][0]["expression"]


def test_another_media_type_is_415(client: FlaskClient) -> None:
    assert client.post(VALIDATE, data=b"a,b", content_type="text/csv").status_code == 415


@pytest.mark.parametrize(
    "parameter",
    [
        {"name": "mode", "valueCode": "destroy"},
        {"name": "mode", "valueCode": 1},
        {"name": "mode"},
        {"name": "colour", "valueCode": "red"},
        {"name": "resource", "valueString": "x"},
        {"name": "profile", "valueUri": ["a"]},
    ],
)
def test_odd_parameters_are_refused(client: FlaskClient, ecg: dict[str, Any], parameter: dict[str, Any]) -> None:
    document = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": ecg}, parameter]}
    assert validate(client, document).status_code == 400


@pytest.mark.parametrize("query", ["mode=destroy", "colour=red", "mode="])
def test_odd_queries_are_refused(client: FlaskClient, ecg: dict[str, Any], query: str) -> None:
    assert validate(client, ecg, f"{VALIDATE}?{query}").status_code == 400


def test_a_profile_that_is_not_here_was_not_checked(client: FlaskClient, ecg: dict[str, Any]) -> None:
    base = "http://hl7.org/fhir/StructureDefinition/Observation"
    assert issues(validate(client, ecg, f"{VALIDATE}?profile={base}"))[0][0] == "information"
    answer = validate(client, ecg, f"{VALIDATE}?profile=http://hl7.org/fhir/StructureDefinition/vitalsigns")
    assert issues(answer) == [("error", "not-supported")]


class TestStored:
    """What would become of a change to an ECG that is stored."""

    @pytest.fixture
    def kept(self, client: FlaskClient, ecg: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = client.post("/fhir/Observation", json=ecg, content_type=JSON).get_json()
        return answer

    def test_an_update_that_would_be_taken(
        self, client: FlaskClient, application: Application, kept: dict[str, Any]
    ) -> None:
        before = rows(application)
        changed = kept | {"note": [{"text": "checked"}]}
        for path in (f"/fhir/Observation/{kept['id']}/$validate?mode=update", f"{VALIDATE}?mode=update"):
            assert issues(validate(client, changed, path)) == [("information", "informational")]
        assert rows(application) == before
        assert client.get(f"/fhir/Observation/{kept['id']}").get_json() == kept

    def test_an_update_that_would_not(
        self, client: FlaskClient, application: Application, kept: dict[str, Any]
    ) -> None:
        before = rows(application)
        path = f"/fhir/Observation/{kept['id']}/$validate?mode=update"
        assert ("error", "business-rule") in issues(validate(client, shortened(kept, 700), path))
        assert issues(validate(client, kept | {"id": "other"}, path))[0][0] == "error"
        assert rows(application) == before

    def test_a_deletion_needs_no_resource_and_deletes_nothing(
        self, client: FlaskClient, application: Application, kept: dict[str, Any]
    ) -> None:
        before = rows(application)
        answer = client.post(f"/fhir/Observation/{kept['id']}/$validate?mode=delete")
        assert issues(answer) == [("information", "informational")]
        assert rows(application) == before
        mode = {"resourceType": "Parameters", "parameter": [{"name": "mode", "valueCode": "delete"}]}
        assert issues(validate(client, mode, f"/fhir/Observation/{kept['id']}/$validate"))
        assert client.get(f"/fhir/Observation/{kept['id']}").status_code == 200

    def test_what_is_not_stored_or_not_named(self, client: FlaskClient, ecg: dict[str, Any]) -> None:
        assert client.post("/fhir/Observation/unknown/$validate?mode=delete").status_code == 404
        assert client.post("/fhir/Observation/a%00b/$validate?mode=delete").status_code == 404
        assert client.post(f"{VALIDATE}?mode=delete").status_code == 400
        assert client.post("/fhir/Observation/unknown/$validate").status_code == 400
        unknown = validate(client, ecg | {"id": "unknown"}, "/fhir/Observation/unknown/$validate?mode=update")
        assert unknown.status_code == 404

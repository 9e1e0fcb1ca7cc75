"""An ECG's sender amends what it is about, withdraws it, and looks at what it was."""

import json
from typing import Any

import pytest
from ecg_steps import report_of
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from fhir_ecg.service.application import Application
from fhir_ecg.service.classify import classify
from fhir_ecg.service.sweep import sweep
from fhir_ecg.store.tables import AuditEventRow, JobRow

FHIR = "application/fhir+json"


@pytest.fixture
def sent(client: FlaskClient, examples: dict[str, bytes]) -> dict[str, Any]:
    answer = client.post("/fhir/Observation", data=examples["atrial-fibrillation"], content_type=FHIR)
    assert answer.status_code == 201
    observation: dict[str, Any] = answer.json
    return observation


def read_it(application: Application) -> str:
    with Session(application.store.engine) as session:
        job = session.scalars(select(JobRow.id)).one()
    return classify(application, job)


def put(client: FlaskClient, observation: dict[str, Any], **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps(observation)
    return client.put(f"/fhir/Observation/{observation['id']}", data=body, content_type=FHIR, headers=named)


def problem(answer: TestResponse) -> tuple[int, str, str]:
    issue = answer.json["issue"][0]
    return answer.status_code, issue["code"], issue.get("expression", [""])[0]


@pytest.mark.parametrize("before_the_reading", [True, False])
def test_the_report_follows_an_amended_subject(
    client: FlaskClient, application: Application, sent: dict[str, Any], before_the_reading: bool
) -> None:
    if not before_the_reading:
        assert read_it(application) == "read"
    amended = sent | {"status": "corrected", "subject": {"reference": "Patient/other"}, "meta": {"versionId": "77"}}
    answer = put(client, amended, If_Match='W/"1"')

    assert (answer.status_code, answer.headers["ETag"], answer.json["meta"]["versionId"]) == (200, 'W/"2"', "2")
    if before_the_reading:
        assert read_it(application) == "read"
    report = report_of(client, sent)
    assert (report["status"], report["subject"]) == ("partial", {"reference": "Patient/other"})
    scores = client.get(f"/fhir/{report['result'][1]['reference']}").json
    assert scores["subject"] == {"reference": "Patient/other"}
    assert client.get("/fhir/DiagnosticReport?patient=example-4").json["total"] == 0
    assert client.get("/fhir/Observation?patient=other").json["total"] == 2
    assert client.get(f"/fhir/Observation/{sent['id']}/_history/1").json["subject"] == sent["subject"]


def test_an_amendment_between_claim_and_result_is_in_the_result(
    client: FlaskClient, application: Application, sent: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = application.classifier()
    predict = type(classifier).predict

    def amend_then_predict(*args: Any) -> Any:
        assert put(client, sent | {"subject": {"reference": "Patient/other"}}).status_code == 200
        return predict(*args)

    monkeypatch.setattr(type(classifier), "predict", amend_then_predict)
    assert read_it(application) == "read"
    assert report_of(client, sent)["subject"] == {"reference": "Patient/other"}


def test_what_is_put_again_unchanged_makes_no_version(client: FlaskClient, sent: dict[str, Any]) -> None:
    assert put(client, sent).headers["ETag"] == 'W/"1"'


def test_another_waveform_is_refused(client: FlaskClient, sent: dict[str, Any]) -> None:
    sampled = sent["component"][8]["valueSampledData"]
    first, _, rest = sampled["data"].partition(" ")
    sampled["data"] = f"{int(first) + 1} {rest}"
    assert problem(put(client, sent)) == (422, "business-rule", "Observation.component")


def test_a_version_that_is_not_the_present_one_is_refused(client: FlaskClient, sent: dict[str, Any]) -> None:
    other = sent | {"subject": {"reference": "Patient/other"}}
    assert problem(put(client, other, If_Match='W/"2"')) == (412, "conflict", "Observation.meta.versionId")
    assert put(client, other, If_Match="one").status_code == 400
    assert put(client, other, If_Match="*").status_code == 200
    address = f"/fhir/Observation/{sent['id']}"
    assert client.delete(address, headers={"If-Match": 'W/"1"'}).status_code == 412
    assert client.delete(address, headers={"If-Match": 'W/"2"'}).status_code == 204


def test_ids_are_the_servers(client: FlaskClient, sent: dict[str, Any]) -> None:
    answer = put(client, sent | {"id": "mine"})
    assert problem(answer) == (405, "not-supported", "")
    assert "GET" in answer.headers["Allow"]
    answer = client.put("/fhir/Observation/other", data=json.dumps(sent), content_type=FHIR)
    assert answer.status_code == 405
    body = json.dumps(sent | {"id": "other"})
    answer = client.put(f"/fhir/Observation/{sent['id']}", data=body, content_type=FHIR)
    assert problem(answer) == (400, "value", "Observation.id")


def test_what_the_model_wrote_is_not_the_senders_to_change(
    client: FlaskClient, application: Application, sent: dict[str, Any]
) -> None:
    read_it(application)
    scores = client.get(f"/fhir/{report_of(client, sent)['result'][1]['reference']}").json
    assert problem(put(client, scores))[:2] in {(409, "business-rule"), (422, "business-rule")}
    assert problem(client.delete(f"/fhir/Observation/{scores['id']}"))[:2] == (409, "business-rule")
    for kind in ("DiagnosticReport", "Device", "Provenance"):
        assert client.delete(f"/fhir/{kind}/x").status_code == 405


@pytest.mark.parametrize("how", ["DELETE", "entered-in-error"])
def test_a_withdrawn_ecg_is_not_read_and_its_report_says_so(
    client: FlaskClient, application: Application, sent: dict[str, Any], how: str
) -> None:
    if how == "DELETE":
        assert client.delete(f"/fhir/Observation/{sent['id']}").status_code == 204
    else:
        assert put(client, sent | {"status": "entered-in-error"}).status_code == 200
    assert read_it(application) == "not claimed"
    assert sweep(application) == 0

    report = report_of(client, sent)
    assert report["status"] == "cancelled"
    assert ("withdrawn" if how == "DELETE" else "entered in error") in report["conclusion"]


def test_the_report_of_a_deleted_ecg_that_was_read_is_void(
    client: FlaskClient, application: Application, sent: dict[str, Any]
) -> None:
    read_it(application)
    assert "conclusionCode" in report_of(client, sent)
    answer = client.delete(f"/fhir/Observation/{sent['id']}", headers={"Prefer": "return=OperationOutcome"})
    assert (answer.status_code, answer.json["issue"][0]["severity"]) == (200, "information")

    report = report_of(client, sent)
    assert report["status"] == "entered-in-error"
    assert "conclusionCode" not in report
    assert report["conclusion"].startswith("THIS REPORT IS VOID.")
    assert client.get(f"/fhir/DiagnosticReport/{report['id']}/_history/2").json["status"] == "partial"
    scores = client.get(f"/fhir/{report['result'][1]['reference']}").json
    assert scores["status"] == "entered-in-error"
    assert problem(put(client, sent)) == (410, "deleted", "")


def test_what_is_deleted_is_gone_but_its_versions_stay(client: FlaskClient, sent: dict[str, Any]) -> None:
    address = f"/fhir/Observation/{sent['id']}"
    assert client.delete(address).headers["ETag"] == 'W/"2"'

    gone = client.get(address)
    assert (problem(gone), gone.headers["ETag"]) == ((410, "deleted", ""), 'W/"2"')
    assert client.get(f"{address}/_history/2").status_code == 410
    assert client.get(f"{address}/_history/1").json == sent
    assert client.get("/fhir/Observation").json["total"] == 0
    assert client.delete(address).status_code == 204
    assert client.delete("/fhir/Observation/never-was").status_code == 204
    history = client.get(f"{address}/_history").json
    assert [entry["request"]["method"] for entry in history["entry"]] == ["DELETE", "POST"]


def test_a_deleted_ecg_can_be_sent_again(client: FlaskClient, examples: dict[str, bytes]) -> None:
    headers = {"If-None-Exist": "identifier=atrial-fibrillation"}
    answers = []
    for _ in range(2):
        answer = client.post(
            "/fhir/Observation", data=examples["atrial-fibrillation"], content_type=FHIR, headers=headers
        )
        answers.append((answer.status_code, answer.json["id"]))
        client.delete(f"/fhir/Observation/{answer.json['id']}")
    assert [status for status, _ in answers] == [201, 201]
    assert answers[0][1] != answers[1][1]


def test_histories_tell_every_version_once_and_page(
    client: FlaskClient, application: Application, sent: dict[str, Any]
) -> None:
    read_it(application)
    put(client, sent | {"subject": {"reference": "Patient/other"}})
    report = report_of(client, sent)
    instance = client.get(f"/fhir/DiagnosticReport/{report['id']}/_history").json
    assert instance["type"] == "history"
    assert [entry["resource"]["meta"]["versionId"] for entry in instance["entry"]] == ["3", "2", "1"]
    assert [entry["response"]["status"] for entry in instance["entry"]] == ["200 OK", "200 OK", "201 Created"]
    assert {entry["fullUrl"] for entry in instance["entry"]} == {
        f"http://localhost/fhir/{'DiagnosticReport'}/{report['id']}"
    }
    assert client.get("/fhir/Observation/_history").json["total"] == 4

    seen, address = [], "/fhir/_history?_count=2"
    while address:
        page = client.get(address).json
        seen += [(e["fullUrl"], e["response"]["etag"]) for e in page["entry"]]
        address = {link["relation"]: link["url"] for link in page["link"]}.get("next", "").removeprefix(
            "http://localhost"
        )
    assert len(seen) == len(set(seen)) == page["total"] == 10
    since = instance["entry"][0]["resource"]["meta"]["lastUpdated"]
    assert client.get(f"/fhir/DiagnosticReport/_history?_since={since}").json["total"] == 1
    earlier = instance["entry"][2]["resource"]["meta"]["lastUpdated"]
    assert client.get(f"/fhir/DiagnosticReport/_history?_at={earlier}").json["total"] == 1


@pytest.mark.parametrize(
    "query", ["_count=x", "_since=yesterday", "_cursor=bm9uZQ==", "_cursor=%00", "_sort=date", "_count=1&_count=2"]
)
def test_a_history_refuses_what_it_cannot_read(client: FlaskClient, query: str) -> None:
    assert problem(client.get(f"/fhir/Observation/_history?{query}"))[:2] == (400, "invalid")


def test_the_history_of_what_never_was_is_not_found(client: FlaskClient) -> None:
    assert client.get("/fhir/Observation/never-was/_history").status_code == 404


def test_changes_leave_their_audit_entries(client: FlaskClient, application: Application, sent: dict[str, Any]) -> None:
    put(client, sent | {"subject": {"reference": "Patient/other"}})
    client.delete(f"/fhir/Observation/{sent['id']}")
    with Session(application.store.engine) as session:
        events = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence)).all()
    assert [event.action for event in events] == ["create", "update", "delete"]
    assert events[1].entities[0] == f"Observation/{sent['id']}/_history/2"
    assert events[2].entities[0] == f"Observation/{sent['id']}/_history/3"

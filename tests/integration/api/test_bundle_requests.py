"""Bundles that read, change and delete, on conditions; all or nothing where it says so."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from fhir_ecg.service.application import Application
from fhir_ecg.service.classify import classify
from fhir_ecg.store.tables import AuditEventRow, ConfirmationRow, JobRow

FHIR = "application/fhir+json"
Entry = dict[str, Any]
CRITERIA = "identifier=http://fhir-ecg.org/fhir/sid/example-ecg|atrial-fibrillation"


@pytest.fixture
def ecg(examples: dict[str, bytes]) -> Entry:
    found: Entry = json.loads(examples["atrial-fibrillation"])
    return found


@pytest.fixture
def other(examples: dict[str, bytes]) -> Entry:
    found: Entry = json.loads(examples["sinus-bradycardia"])
    return found


def post(client: FlaskClient, kind: str, *entries: Entry, **headers: str) -> TestResponse:
    body = json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/fhir", data=body, content_type=FHIR, headers=named)


def ask(method: str, url: str, resource: Entry | None = None, **request: str) -> Entry:
    entry: Entry = {"request": {"method": method, "url": url} | request}
    return entry | ({"resource": resource} if resource else {})


def statuses(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.json
    return [entry["response"]["status"][:3] for entry in answer.json["entry"]]


def stored_id(answer: TestResponse, place: int = 0) -> str:
    location: str = answer.json["entry"][place]["response"]["location"]
    return location.split("/Observation/")[1].partition("/")[0]


def count(client: FlaskClient, kind: str) -> int:
    total: int = client.get(f"/fhir/{kind}").json["total"]
    return total


@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_a_condition_lets_an_ecg_in_once(client: FlaskClient, ecg: Entry, kind: str) -> None:
    entry = ask("POST", "Observation", ecg, ifNoneExist=CRITERIA)
    first, second = post(client, kind, entry), post(client, kind, entry)
    assert (statuses(first), statuses(second)) == (["201"], ["200"])
    assert stored_id(first) == stored_id(second)
    assert count(client, "DiagnosticReport") == 1
    single = client.post(
        "/fhir/Observation", data=json.dumps(ecg), content_type=FHIR, headers={"If-None-Exist": CRITERIA}
    )
    assert (single.status_code, single.json["id"]) == (200, stored_id(first))


def test_leads_sent_again_on_conditions_are_the_same_ecg(client: FlaskClient, ecg: Entry) -> None:
    shared = {k: v for k, v in ecg.items() if k not in {"component", "identifier", "code"}}
    leads = [
        ask(
            "POST",
            "Observation",
            shared | part | {"identifier": [{"value": f"lead-{n}"}]},
            ifNoneExist=f"identifier=lead-{n}",
        )
        for n, part in enumerate(ecg["component"])
    ]
    first, second = post(client, "transaction", *leads), post(client, "transaction", *leads)
    assert (statuses(first), statuses(second)) == (["201"] * 12, ["200"] * 12)
    assert count(client, "DiagnosticReport") == 1
    leads[3]["request"]["ifNoneExist"] = "identifier=another"
    leads[3]["resource"]["identifier"] = [{"value": "another"}]
    assert post(client, "transaction", *leads).status_code == 412


def test_a_bundle_sent_again_under_its_key_is_answered_as_the_first_time(
    client: FlaskClient, ecg: Entry, other: Entry
) -> None:
    entries = [ask("POST", "Observation", each) for each in (ecg, other)]
    answers = [post(client, "transaction", *entries, Idempotency_Key="k") for _ in range(2)]
    assert [statuses(answer) for answer in answers] == [["201", "201"]] * 2
    assert answers[0].json == answers[1].json
    assert count(client, "Observation") == 2
    assert post(client, "transaction", *entries[:1], Idempotency_Key="k").status_code == 422


def test_entries_are_carried_out_in_the_standards_order(client: FlaskClient, ecg: Entry, other: Entry) -> None:
    old = stored_id(post(client, "transaction", ask("POST", "Observation", ecg)))
    kept = stored_id(post(client, "transaction", ask("POST", "Observation", other)))
    amended = other | {"id": kept, "subject": {"reference": "Patient/amended"}}
    answer = post(
        client,
        "transaction",
        ask("GET", f"Observation/{kept}"),
        ask("PUT", f"Observation/{kept}", amended, ifMatch='W/"1"'),
        ask("POST", "Observation", ecg, ifNoneExist=CRITERIA),
        ask("DELETE", f"Observation/{old}"),
        ask("GET", "DiagnosticReport?patient=amended"),
    )
    # The deletion comes first, so that the condition finds nothing; reads see what was changed.
    assert statuses(answer) == ["200", "200", "201", "204", "200"]
    read, _, _, _, found = answer.json["entry"]
    assert (read["resource"]["subject"], read["response"]["etag"]) == ({"reference": "Patient/amended"}, 'W/"2"')
    assert found["resource"]["total"] == 1
    assert client.get(f"/fhir/Observation/{old}").status_code == 410


@pytest.mark.parametrize("bad", ["version", "waveform", "unknown", "read", "method", "condition"])
def test_of_a_transaction_that_fails_nothing_is_left(client: FlaskClient, ecg: Entry, other: Entry, bad: str) -> None:
    kept = stored_id(post(client, "transaction", ask("POST", "Observation", other)))
    sampled = ecg | {"id": kept}
    failing = {
        "version": (
            412,
            "resource.meta.versionId",
            ask("PUT", f"Observation/{kept}", other | {"id": kept}, ifMatch='W/"7"'),
        ),
        "waveform": (422, "resource.component", ask("PUT", f"Observation/{kept}", sampled)),
        "unknown": (422, "request.url", ask("DELETE", "Observation/never-was")),
        "read": (422, "request.url", ask("GET", "Observation/never-was")),
        "method": (422, "request", ask("PATCH", f"Observation/{kept}")),
        "condition": (422, "request.ifNoneExist", ask("POST", "Observation", ecg, ifNoneExist="colour=red")),
    }
    status, where, entry = failing[bad]
    amend = ask("PUT", f"Observation/{kept}", other | {"id": kept, "subject": {"reference": "Patient/amended"}})
    entries = [ask("POST", "Observation", ecg), entry] + ([amend] if bad in {"unknown", "read"} else [])
    answer = post(client, "transaction", *entries)
    assert (answer.status_code, answer.json["issue"][0]["expression"]) == (status, [f"Bundle.entry[1].{where}"])
    assert count(client, "Observation") == 1
    assert client.get(f"/fhir/Observation/{kept}").headers["ETag"] == 'W/"1"'


def test_each_entry_of_a_batch_has_its_own_answer(client: FlaskClient, application: Application, ecg: Entry) -> None:
    identity = stored_id(post(client, "batch", ask("POST", "Observation", ecg)))
    amended = ecg | {"id": identity, "subject": {"reference": "Patient/amended"}}
    answer = post(
        client,
        "batch",
        ask("PUT", f"Observation/{identity}", amended, ifMatch='W/"9"'),
        ask("PUT", f"Observation/{identity}", amended),
        ask("GET", f"Observation/{identity}/_history/1"),
        ask("GET", f"Observation/{identity}", ifNoneMatch='W/"2"'),
        ask("GET", "Observation?colour=red"),
        ask("DELETE", "DiagnosticReport/x"),
        ask("GET", "../metrics"),
        ask("DELETE", "Observation/never-was"),
    )
    assert statuses(answer) == ["412", "200", "200", "304", "400", "422", "422", "204"]
    refused = [e["response"]["outcome"]["issue"][0]["code"] for e in answer.json["entry"] if "outcome" in e["response"]]
    assert refused[0] == "conflict"
    assert client.get(f"/fhir/Observation/{identity}").json["subject"] == {"reference": "Patient/amended"}


def test_references_between_ecgs_of_a_bundle_lead_to_where_they_are_stored(
    client: FlaskClient, ecg: Entry, other: Entry
) -> None:
    first = ask("POST", "Observation", ecg) | {"fullUrl": "urn:uuid:3f2504e0-4f89-41d3-9a0c-0305e82c3301"}
    second = ask("POST", "Observation", other | {"focus": [{"reference": first["fullUrl"]}]})
    answer = post(client, "batch", first, second)
    stored = client.get(f"/fhir/Observation/{stored_id(answer, 1)}").json
    assert stored["focus"] == [{"reference": f"Observation/{stored_id(answer)}"}]


def test_reads_of_a_transaction_see_what_it_does_and_what_it_deletes(
    client: FlaskClient, application: Application, ecg: Entry, other: Entry
) -> None:
    kept = stored_id(post(client, "transaction", ask("POST", "Observation", other)))
    old = stored_id(post(client, "transaction", ask("POST", "Observation", ecg)))
    answer = post(
        client,
        "transaction",
        ask("GET", f"Observation?{CRITERIA}&_format=xml"),
        ask("GET", "DiagnosticReport?result.identifier=atrial-fibrillation"),
        ask("GET", f"Observation/{kept}/_history"),
        ask("PUT", f"Observation/{kept}", other | {"id": kept, "subject": {"reference": "Patient/amended"}}),
        ask("DELETE", f"Observation/{old}"),
        ask("POST", "Observation", ecg, ifNoneExist=CRITERIA),
    )
    assert statuses(answer) == ["200", "200", "200", "200", "204", "201"]
    found, reports, history = (entry["resource"] for entry in answer.json["entry"][:3])
    assert [entry["resource"]["id"] for entry in found["entry"]] == [stored_id(answer, 5)]
    [report] = [entry["resource"] for entry in reports["entry"]]
    assert report["status"] == "registered"
    assert report["result"][0]["reference"] == f"Observation/{stored_id(answer, 5)}"
    assert [entry["resource"]["meta"]["versionId"] for entry in history["entry"]] == ["2", "1"]
    # What is read was not yet there for anybody else, and each read is an event of its own.
    with Session(application.store.engine) as session:
        rows = session.scalars(select(AuditEventRow).order_by(AuditEventRow.recorded, AuditEventRow.position)).all()
    actions = [row.action for row in rows if row.request_id == answer.headers["X-Request-Id"]]
    assert sorted(actions) == ["create", "delete", "history-instance", "search", "search", "update"]


def test_a_read_that_fails_takes_everything_back_and_leaves_one_refusal(
    client: FlaskClient, application: Application, ecg: Entry, other: Entry
) -> None:
    kept = stored_id(post(client, "transaction", ask("POST", "Observation", other)))
    answer = post(
        client,
        "transaction",
        ask("POST", "Observation", ecg),
        ask("DELETE", f"Observation/{kept}"),
        ask("GET", "DiagnosticReport"),
        ask("GET", f"Observation/{kept}"),
    )
    [issue] = answer.json["issue"]
    assert (answer.status_code, issue["expression"]) == (422, ["Bundle.entry[3].request.url"])
    assert issue["diagnostics"].startswith("410: ")
    assert client.get(f"/fhir/Observation/{kept}").status_code == 200
    assert count(client, "Observation") == 1
    with Session(application.store.engine) as session:
        rows = session.scalars(select(AuditEventRow)).all()
        assert [row.action for row in rows if row.request_id == answer.headers["X-Request-Id"]] == ["refuse"]
        assert session.scalar(select(func.count()).select_from(JobRow)) == 1


@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_a_report_is_confirmed_in_a_bundle_as_by_itself(
    client: FlaskClient, application: Application, ecg: Entry, kind: str
) -> None:
    post(client, "transaction", ask("POST", "Observation", ecg))
    with Session(application.store.engine) as session:
        classify(application, session.scalars(select(JobRow.id)).one())
    [report] = [entry["resource"] for entry in client.get("/fhir/DiagnosticReport").json["entry"]]
    address = f"DiagnosticReport/{report['id']}"
    final = report | {"status": "final", "resultsInterpreter": [{"reference": "Practitioner/7"}]}

    def put(content: Entry, **request: str) -> TestResponse:
        return post(client, kind, ask("PUT", address, content, **request), ask("GET", address))

    for content, request, status, where in (
        (final, {}, "428", "resource.meta.versionId"),
        (final, {"ifMatch": 'W/"1"'}, "412", "resource.meta.versionId"),
        (final | {"subject": {"reference": "Patient/x"}}, {"ifMatch": 'W/"2"'}, "422", "resource.subject"),
    ):
        refused = put(content, **request)
        if kind == "batch":
            assert statuses(refused) == [status, "200"]
        else:
            expression = [f"Bundle.entry[0].{where}"]
            assert (str(refused.status_code), refused.json["issue"][0]["expression"]) == (status, expression)
    answer = put(final, ifMatch='W/"2"')
    assert statuses(answer) == ["200", "200"]
    read = answer.json["entry"][1]
    assert (read["resource"]["status"], read["response"]["etag"]) == ("final", 'W/"3"')
    with Session(application.store.engine) as session:
        assert session.scalars(select(ConfirmationRow.decision)).all() == ["confirm"]
        assert "confirm" in session.scalars(select(AuditEventRow.action)).all()


@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_an_entry_says_when_to_the_millisecond(client: FlaskClient, ecg: Entry, kind: str) -> None:
    created = post(client, kind, ask("POST", "Observation", ecg))
    identity = stored_id(created)
    amended = ecg | {"id": identity, "subject": {"reference": "Patient/amended"}}
    changed = post(
        client,
        kind,
        ask("PUT", f"Observation/{identity}", amended),
        ask("GET", f"Observation/{identity}", ifNoneMatch='W/"2"'),
        ask("GET", f"Observation/{identity}"),
    )
    first, second = (client.get(f"/fhir/Observation/{identity}/_history/{n}").json["meta"]["lastUpdated"] for n in "12")
    assert created.json["entry"][0]["response"]["lastModified"] == first
    assert [entry["response"]["lastModified"] for entry in changed.json["entry"]] == [second] * 3
    assert statuses(changed) == ["200", "304", "200"]


def test_what_only_the_order_of_entries_would_decide_is_refused(client: FlaskClient, ecg: Entry, other: Entry) -> None:
    kept = stored_id(post(client, "transaction", ask("POST", "Observation", other)))
    twice = [ask("DELETE", f"Observation/{kept}"), ask("PUT", f"Observation/{kept}", other | {"id": kept})]
    answer = post(client, "transaction", *twice)
    assert (answer.status_code, answer.json["issue"][0]["expression"]) == (422, ["Bundle.entry[1].request.url"])
    assert statuses(post(client, "batch", *reversed(twice))) == ["410", "204"]

    alike = [ask("POST", "Observation", ecg, ifNoneExist=CRITERIA)] * 2
    answer = post(client, "transaction", *alike)
    assert (answer.status_code, answer.json["issue"][0]["expression"]) == (422, ["Bundle.entry[1].request.ifNoneExist"])
    assert statuses(post(client, "batch", *alike)) == ["201", "422"]


def test_an_entry_of_a_batch_that_fails_its_condition_fails_alone(
    client: FlaskClient, application: Application, ecg: Entry, other: Entry
) -> None:
    post(client, "batch", *[ask("POST", "Observation", ecg)] * 2)
    answer = post(
        client,
        "batch",
        ask("POST", "Observation", ecg, ifNoneExist=CRITERIA),
        ask("POST", "Observation", other, ifNoneExist="identifier=of-another"),
        ask("POST", "Observation", other),
    )
    assert statuses(answer) == ["412", "400", "201"]
    assert count(client, "Observation") == 3
    with Session(application.store.engine) as session:
        assert session.scalars(select(AuditEventRow.action)).all().count("refuse") == 2

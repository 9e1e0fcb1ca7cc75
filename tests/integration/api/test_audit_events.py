"""The audit trail over HTTP: every access is found as an AuditEvent, along indexes, and nobody writes one."""

import json
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, func, select, text
from sqlalchemy.orm import Session

from fhir_ecg.api.app import create_app
from fhir_ecg.api.authorisation import new_token
from fhir_ecg.fhir.document import Form
from fhir_ecg.service import login
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.service.classify import classify
from fhir_ecg.service.submit import submit
from fhir_ecg.settings import Settings
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.audit_index import index_rows
from fhir_ecg.store.tables import AuditEventRow, AuditReferenceRow, JobRow

Found = list[dict[str, Any]]


def search(client: FlaskClient, query: str) -> Found:
    answer = client.get(f"/fhir/AuditEvent?{query}")
    assert answer.status_code == 200, answer.data
    return [entry["resource"] for entry in answer.json.get("entry", [])]


def subtypes(client: FlaskClient, query: str) -> list[str]:
    return [found["subtype"][0]["code"] for found in search(client, query)]


@pytest.fixture
def read_ecg(application: Application, examples: dict[str, bytes]) -> dict[str, str]:
    """The ids of an ECG that was sent and read."""
    accepted = submit(application, examples["atrial-fibrillation"], Form(), Caller("ehr", "r-1", "192.0.2.7"))
    with Session(application.store.engine) as session:
        job = session.scalars(select(JobRow)).one()
    assert classify(application, job.id) == "read"
    return {"Observation": accepted.observation.content["id"], "DiagnosticReport": job.report_id}


def test_every_access_is_an_event(client: FlaskClient, read_ecg: dict[str, str]) -> None:
    ecg, report = (f"{kind}/{identity}" for kind, identity in read_ecg.items())
    client.get(f"/fhir/{report}")
    client.get(f"/fhir/{report}/_history/1")
    client.get(f"/fhir/{report}/_history")
    client.get(f"/fhir/DiagnosticReport?result={ecg}")
    client.get("/fhir/DiagnosticReport?patient=nobody")
    client.post("/fhir/Observation", data=b"{}", content_type="application/fhir+json")
    client.delete(f"/fhir/{ecg}")

    of_report = ["delete", "search-type", "history-instance", "vread", "read", "read-ecg", "create"]
    assert subtypes(client, f"entity={report}") == of_report
    assert subtypes(client, f"entity=http://localhost/fhir/{ecg}") == ["delete", "create"]
    assert subtypes(client, "patient=example-4&action=R,C") == ["vread", "read", "create"]
    assert subtypes(client, "patient=nobody") == ["search-type"]
    assert subtypes(client, "outcome=4") == ["create"]
    assert subtypes(client, "outcome=0&action=D") == ["delete"]
    assert subtypes(client, "agent:identifier=http://fhir-ecg.org/fhir/sid/client|ehr") == ["create"]
    assert subtypes(client, "agent-name=EH") == ["create"]
    assert subtypes(client, "type=http://dicom.nema.org/resources/ontology/DCM|110100&subtype=read-ecg") == ["read-ecg"]
    assert subtypes(client, "subtype=history-instance&date=ge2026-01-01") == ["history-instance"]
    assert search(client, "date=lt2026-01-01") == []
    assert search(client, "outcome=8") == []
    [created] = search(client, "agent-name=ehr")
    assert created["agent"][0]["network"]["address"] == "192.0.2.7"
    assert client.get(f"/fhir/AuditEvent/{created['id']}").json == created
    assert [found["id"] for found in search(client, f"_id={created['id']}")] == [created["id"]]


def test_reading_the_trail_leaves_its_own_trail(client: FlaskClient, read_ecg: dict[str, str]) -> None:
    [created] = search(client, "subtype=create")
    answer = client.get(f"/fhir/AuditEvent/{created['id']}/_history/1")
    assert (answer.headers["ETag"], answer.json) == ('W/"1"', created)
    same = client.get(f"/fhir/AuditEvent/{created['id']}", headers={"If-None-Match": 'W/"1"'})
    assert same.status_code == 304
    assert subtypes(client, f"entity=AuditEvent/{created['id']}") == ["read", "vread", "search-type"]
    assert "search-type" in subtypes(client, "patient=example-4")
    for path in (f"{created['id']}/_history/2", "none", "x" * 100):
        assert client.get(f"/fhir/AuditEvent/{path}").status_code == 404


def test_pages_follow_each_other_without_gap_or_repetition(client: FlaskClient, application: Application) -> None:
    moment = now()
    with application.store.transaction() as work:
        for number in range(23):  # several of one moment
            work.audit.add(AuditEntry("read", entities=(f"Observation/{number}",)), moment + timedelta(0, number // 5))
    seen: list[str] = []
    address = "/fhir/AuditEvent?action=R&_count=4"
    while address:
        bundle = client.get(address).json
        seen += [entry["resource"]["entity"][0]["what"]["reference"] for entry in bundle["entry"]]
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        address = links.get("next", "").removeprefix("http://localhost")
        if len(seen) > 4:
            assert "_cursor" in links["self"]
    assert len(seen) == 23
    assert {int(reference.partition("/")[2]) for reference in seen} == set(range(23))
    assert [int(r.partition("/")[2]) // 5 for r in seen] == sorted((n // 5 for n in range(23)), reverse=True)


@pytest.mark.parametrize(
    "query",
    [
        "bogus=1", "date=yesterday", "_sort=_lastUpdated", "_include=AuditEvent:entity", "_summary=count",
        "outcome:not=0", "entity:missing=true", "_cursor=x", "entity:identifier=x", "patient:identifier=x|",
        "_total=accurate", "_has:AuditEvent:entity:action=R",
        "entity=" + ",".join(f"Observation/{number}" for number in range(51)),
    ],
)  # fmt: skip
def test_what_is_not_done_is_refused(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/fhir/AuditEvent?{query}")
    assert (answer.status_code, answer.json["resourceType"]) == (400, "OperationOutcome")


def test_a_lenient_search_and_a_posted_one(client: FlaskClient, read_ecg: dict[str, str]) -> None:
    lenient = client.get("/fhir/AuditEvent?bogus=1", headers={"Prefer": "handling=lenient"})
    assert lenient.json["entry"][-1]["search"]["mode"] == "outcome"
    posted = client.post("/fhir/AuditEvent/_search", data={"subtype": "create"})
    assert len(posted.json["entry"]) == 1
    summary = client.get("/fhir/AuditEvent?subtype=create&_elements=recorded").json["entry"][0]["resource"]
    assert "entity" not in summary


def test_nobody_writes_an_event(client: FlaskClient, read_ecg: dict[str, str]) -> None:
    [created] = search(client, "subtype=create")
    body = {"data": json.dumps(created).encode(), "content_type": "application/fhir+json"}
    for method, path in (("POST", ""), ("PUT", f"/{created['id']}"), ("DELETE", f"/{created['id']}")):
        answer = client.open(f"/fhir/AuditEvent{path}", method=method, **body)
        assert (answer.status_code, answer.json["resourceType"]) == (405, "OperationOutcome")
    assert client.get(f"/fhir/AuditEvent/{created['id']}").json == created


def test_in_the_form_of_r5_there_is_none(client: FlaskClient, read_ecg: dict[str, str]) -> None:
    answer = client.get("/fhir/AuditEvent", headers={"Accept": "application/fhir+json; fhirVersion=5.0"})
    assert answer.status_code == 406
    assert client.get("/fhir/AuditEvent", headers={"Accept": "application/fhir+xml"}).status_code == 200


def test_what_entries_are_found_by_can_be_computed_anew(
    client: FlaskClient, application: Application, read_ecg: dict[str, str]
) -> None:
    client.get(f"/fhir/DiagnosticReport/{read_ecg['DiagnosticReport']}/_history")
    columns = (AuditEventRow.id, AuditEventRow.recorded, AuditEventRow.entities, AuditEventRow.detail)
    with Session(application.store.engine) as session:
        computed = index_rows(session.execute(select(*columns)).mappings())
        kept = session.scalars(select(AuditReferenceRow)).all()
    assert {(row.role, row.value, row.recorded, row.event_id) for row in kept} == {
        (row["role"], row["value"], row["recorded"], row["event_id"]) for row in computed
    }


@pytest.fixture
def secured(application: Application, settings: Settings) -> tuple[FlaskClient, dict[str, str]]:
    """A client of a server with one authorised client, and the header of that one."""
    token, digest = new_token()
    app = create_app(application, settings.model_copy(update={"clients": {"ehr": digest}}))
    return app.test_client(), {"Authorization": f"Bearer {token}"}


def test_failed_logins_are_told_in_a_bounded_number_of_events(
    secured: tuple[FlaskClient, dict[str, str]], application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, known = secured
    for number in range(300):  # of two networks; what they try is a secret, perhaps of another system
        from_where = {"REMOTE_ADDR": f"192.0.{number % 2}.{number % 256}"}
        headers = {"Authorization": f"Bearer secret-{number}", "X-Remote-User": "Practitioner/1"}
        assert client.get("/fhir/Observation", headers=headers, environ_base=from_where).status_code == 401
    with Session(application.store.engine) as session:
        rows = session.scalars(select(AuditEventRow)).all()
        assert [(row.action, row.detail["count"]) for row in rows] == [("login", 1)] * 2
        assert "secret" not in str([vars(row) for row in rows])

    monkeypatch.setattr(login, "WINDOW", timedelta(0))
    found = client.get("/fhir/AuditEvent?outcome=4", headers=known).json["entry"]
    told = [entry["resource"]["outcomeDesc"] for entry in found]
    assert (
        sorted(told)
        == ["1 requests without a known bearer token"] * 2 + ["149 requests without a known bearer token"] * 2
    )
    assert all("user" not in json.dumps(entry["resource"]["agent"]) for entry in found)


def test_the_person_behind_a_client(
    secured: tuple[FlaskClient, dict[str, str]], client: FlaskClient, examples: dict[str, bytes]
) -> None:
    asking, known = secured
    sent = {"data": examples["normal-sinus-rhythm"], "content_type": "application/fhir+json"}
    assert (
        asking.post("/fhir/Observation", headers=known | {"X-Remote-User": "Practitioner/12"}, **sent).status_code
        == 201
    )
    assert asking.get("/fhir/DiagnosticReport", headers=known | {"X-Remote-User": "Dr. A. Smith"}).status_code == 200
    client.get("/fhir/DiagnosticReport", headers={"X-Remote-User": "Dr. Nobody"})  # nobody vouches for it

    for query, subtype in (
        ("agent=Practitioner/12", "create"),
        ("agent-name=dr. a", "search-type"),
        ("agent:identifier=http://fhir-ecg.org/fhir/sid/user|Dr. A. Smith", "search-type"),
    ):
        assert subtypes(client, query) == [subtype]
    assert search(client, "agent-name=dr. n") == []
    for user in ("", " ", "x" * 129, "Ärztin"):
        answer = asking.get("/fhir/metadata/x", headers=known | {"X-Remote-User": user})
        assert answer.status_code == 400, user


def test_a_search_costs_as_much_however_many_there_are(client: FlaskClient, application: Application) -> None:
    """Each query walks along an index: none sorts, or reads the table from one end to the other."""
    moment = now()
    with application.store.transaction() as work:
        for number in range(2000):
            entry = AuditEntry(
                "read", client=f"client-{number % 3}", entities=(f"Observation/{number}",), detail={"agent": {}}
            )
            work.audit.add(entry, moment - timedelta(0, number))
    engine = application.store.engine
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT audit_event", "SELECT audit_reference")):
            statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    for query in ("_count=5", "action=R", "agent-name=client-1", "entity=Observation/5", "outcome=4", "date=ge2026"):
        search(client, query)
    event.remove(engine, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
    with engine.connect() as connection:
        for statement, parameters in statements:
            plan = " ".join(map(str, connection.exec_driver_sql(explain + statement, parameters)))
            assert "Seq Scan" not in plan, (statement, plan)
            assert "Sort" not in plan, (statement, plan)
            assert "TEMP B-TREE" not in plan, (statement, plan)
        assert connection.scalar(select(func.count()).select_from(AuditEventRow)) > 2000


def test_two_conditions_must_both_hold(client: FlaskClient, read_ecg: dict[str, str]) -> None:
    def found(query: str) -> set[str]:
        answer = client.get(f"/fhir/AuditEvent?_count=200&{query}")
        assert answer.status_code == 200
        return {entry["resource"]["id"] for entry in answer.json.get("entry", [])}

    observation = client.get("/fhir/Observation?_count=1").json["entry"][0]["resource"]
    entity, patient = f"entity=Observation/{observation['id']}", f"patient={observation['subject']['reference']}"
    about_both = found(entity) & found(patient)
    assert about_both
    assert about_both <= found(f"{entity}&{patient}")
    assert found(f"{entity}&patient=Patient/nobody") == set()


@pytest.fixture
def named_auditor(application: Application, settings: Settings) -> FlaskClient:
    """A service that two clients may call, of whom one may read AuditEvents; a token is its client's name."""
    clients = {name: sha256(name.encode()).hexdigest() for name in ("ehr", "auditor")}
    guarded = settings.model_copy(update={"clients": clients, "auditors": ("auditor",)})
    policy = replace(application.policy, auditors=frozenset(guarded.auditors))
    return create_app(replace(application, policy=policy), guarded).test_client()


def test_only_the_named_auditors_read_events(
    named_auditor: FlaskClient, application: Application, read_ecg: dict[str, str]
) -> None:
    ehr, auditor = ({"Authorization": f"Bearer {name}"} for name in ("ehr", "auditor"))
    report = f"DiagnosticReport/{read_ecg['DiagnosticReport']}"
    [created] = named_auditor.get("/fhir/AuditEvent?subtype=create", headers=auditor).json["entry"]
    identity = created["resource"]["id"]
    places = [f"/{identity}", f"/{identity}/_history/1", "/none", f"?entity={report}", "?_id=" + identity]
    answers = [named_auditor.get(f"/fhir/AuditEvent{place}", headers=ehr) for place in places]
    answers.append(named_auditor.post("/fhir/AuditEvent/_search", data={"action": "C"}, headers=ehr))
    for answer in answers:
        assert (answer.status_code, answer.json["issue"][0]["code"]) == (403, "forbidden")
        assert "FHIR_ECG_AUDITORS" in answer.json["issue"][0]["diagnostics"]
        assert identity not in answer.text
    with Session(application.store.engine) as session:
        wanted = select(AuditEventRow).where(AuditEventRow.client == "ehr", AuditEventRow.outcome == "failure")
        refused = session.scalars(wanted.order_by(AuditEventRow.sequence)).all()
    assert [entry.action for entry in refused] == ["read", "vread", "read", "search", "search", "search"]
    assert all(entry.detail["problems"] == [{"code": "forbidden", "expression": None}] for entry in refused)

    found = named_auditor.get("/fhir/AuditEvent?agent-name=ehr&outcome=4", headers=auditor).json["entry"]
    assert len(found) == len(answers)
    assert {entry["resource"]["outcomeDesc"] for entry in found} == {"Refused: forbidden"}
    assert named_auditor.get(f"/fhir/AuditEvent/{identity}", headers=auditor).status_code == 200


def test_no_other_way_leads_to_events(named_auditor: FlaskClient, read_ecg: dict[str, str]) -> None:
    ehr = {"Authorization": "Bearer ehr"}
    report = read_ecg["DiagnosticReport"]
    for query in ("_revinclude=AuditEvent:entity", "_has:AuditEvent:entity:action=C", "_include=AuditEvent:entity"):
        assert named_auditor.get(f"/fhir/DiagnosticReport?_id={report}&{query}", headers=ehr).status_code == 400
    everything = named_auditor.get(f"/fhir/DiagnosticReport?_id={report}&_revinclude=*&_include=*", headers=ehr)
    assert everything.status_code == 200
    for shown in (everything, named_auditor.get("/fhir/_history", headers=ehr)):
        assert '"AuditEvent"' not in shown.text
    export = named_auditor.get("/fhir/$export?_type=AuditEvent", headers=ehr | {"Prefer": "respond-async"})
    assert (export.status_code, export.json["resourceType"]) == (400, "OperationOutcome")

    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": "AuditEvent?action=C"}}],
    }
    sent = {"content_type": "application/fhir+json", "headers": ehr}
    batch = named_auditor.post("/fhir/", data=json.dumps(bundle), **sent)
    [entry] = batch.json["entry"]
    assert (batch.status_code, entry["response"]["status"][:3], "resource" in entry) == (200, "403", False)
    transaction = named_auditor.post("/fhir/", data=json.dumps(bundle | {"type": "transaction"}), **sent)
    assert transaction.status_code == 422
    assert "FHIR_ECG_AUDITORS" in transaction.json["issue"][0]["diagnostics"]


def test_auditors_must_be_known() -> None:
    with pytest.raises(ValueError, match="nobody: no such client in FHIR_ECG_CLIENTS"):
        Settings(auditors=("nobody",))

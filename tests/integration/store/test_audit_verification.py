"""What is changed behind the service's back is found and named; what the service itself writes is no finding."""
# ruff: noqa: S608 -- names of tables and columns

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from chain_findings import findings, findings_within
from ecg_steps import decide, flat, read_waiting, report_of
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from store_tampering import TAMPERINGS, Tampering

from fhir_ecg.api.app import create_app
from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.examples import example_observations
from fhir_ecg.fhir.document import Form
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.service.classify import classify
from fhir_ecg.service.read import read
from fhir_ecg.service.submit import submit
from fhir_ecg.settings import Settings
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.audit_chain import LANES
from fhir_ecg.store.migrations import downgrade, upgrade
from fhir_ecg.store.tables import AuditEventRow, AuditLaneRow, JobRow
from fhir_ecg.store.verification.verify import verification

FHIR = "application/fhir+json"


def a_working_day(application: Application, settings: Settings) -> None:
    """ECGs are sent, read, cancelled, searched, amended, deleted, refused; one waits."""
    client = create_app(application, settings).test_client()
    examples = example_observations()
    sent = []
    for number, body in enumerate([*list(examples.values())[:4], flat(examples["sinus-tachycardia"])]):
        answer = client.post(
            "/fhir/Observation", data=body, content_type=FHIR, headers={"Idempotency-Key": f"k{number}"}
        )
        assert answer.status_code == 201
        sent.append(answer.json)
    read_waiting(application)
    for observation in sent:
        assert client.get(f"/fhir/Observation/{observation['id']}").status_code == 200
        assert client.get(f"/fhir/DiagnosticReport?result=Observation/{observation['id']}").json["total"] == 1
    amended = json.dumps(sent[0] | {"subject": {"reference": "Patient/other"}})
    assert client.put(f"/fhir/Observation/{sent[0]['id']}", data=amended, content_type=FHIR).status_code == 200
    assert client.delete(f"/fhir/Observation/{sent[1]['id']}").status_code in {200, 204}
    assert decide(client, report_of(client, sent[2]), "confirm").status_code == 200
    assert client.post("/fhir/Observation", data=b"{}", content_type=FHIR).status_code >= 400
    assert client.post("/fhir/Observation", data=examples["sinus-bradycardia"], content_type=FHIR).status_code == 201


@pytest.fixture(scope="module")
def used(application_of_module: Application, settings_of_module: Settings) -> Application:
    """An application after a working day, whose database is tampered with in transactions that are rolled back."""
    a_working_day(application_of_module, settings_of_module)
    return application_of_module


def test_a_working_day_leaves_no_finding(used: Application) -> None:
    assert findings(used) == []


@pytest.mark.parametrize("tampering", TAMPERINGS, ids=[tampering.name for tampering in TAMPERINGS])
def test_tampering_is_found_and_named(used: Application, tampering: Tampering) -> None:
    with used.store.engine.connect() as connection:
        table, key = tampering.do(connection)
        found = findings_within(connection)
        connection.rollback()

    named = [(each.table, each.key) for each in found]
    assert any(
        table == t and (key == k or (key in k and key.endswith("/")) or key in k.split("/")) for t, k in named
    ), f"{table} {key} is not among {named}"


@pytest.mark.parametrize("seed", range(10))
def test_any_value_of_any_row_that_is_changed_is_found(used: Application, seed: int) -> None:
    """A column of a chained table, chosen at random, of a row chosen at random, becomes another's or a new value."""
    chance = random.Random(seed)
    tables = [
        "audit_event",
        "submission",
        "resource_version",
        "prediction",
        "cancellation",
        "confirmation",
        "admission",
    ]
    with used.store.engine.connect() as connection:
        for table in tables:
            rows = connection.execute(text(f"SELECT * FROM {table}")).mappings().all()
            row = chance.choice(rows)
            column = chance.choice([name for name, value in row.items() if isinstance(value, str)])
            keys = {name: row[name] for name in row if isinstance(row[name], (str, int)) and name != column}
            same = " AND ".join(
                f"{name} = :{name}" for name in keys if name in {"id", "report_id", "version", "type", "key_sha256"}
            )
            nested = connection.begin_nested()
            changed = f"{row[column][:-1]}{'0' if row[column][-1] != '0' else '1'}"
            try:
                connection.execute(
                    text(f"UPDATE {table} SET {column} = :changed WHERE {same}"), {**keys, "changed": changed}
                )
            except Exception:  # a foreign key, or a type of PostgreSQL, forbids it
                nested.rollback()
                continue
            found = {finding.table for finding in findings_within(connection)}
            assert table in found, f"{table}.{column}"
            nested.rollback()
        connection.rollback()


@pytest.mark.parametrize("broken", ["detail", "entities", "recorded"])
def test_a_value_that_is_none_is_named(tmp_path: Path, broken: str) -> None:
    """SQLite lets anything be written."""
    settings = Settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path / 'x.sqlite3'}")
    application = bootstrap(settings)
    upgrade(application.store.engine)
    submit(application, example_observations()["sinus-bradycardia"], Form(), Caller("ehr"))
    with application.store.engine.begin() as connection:
        connection.execute(text(f"UPDATE audit_event SET {broken} = 'nonsense'"))
    found = findings(application)
    application.store.engine.dispose()
    assert ("audit_event", "0/1", "unreadable") in [(each.table, each.key, each.what) for each in found]


def test_what_is_written_meanwhile_is_no_finding(application: Application) -> None:
    body = example_observations()["sinus-tachycardia"]
    application.classifier()
    stop = threading.Event()

    def write() -> int:
        written = 0
        while not stop.is_set():
            accepted = submit(application, body, Form(), Caller("ehr"))
            read_one(application, str(accepted.report.content["id"]))
            written += 1
        return written

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write) for _ in range(4)]
        try:
            seen = [findings(application) for _ in range(5)]
        finally:
            stop.set()
        assert all(writer.result() for writer in writers)
    assert seen == [[]] * 5
    assert findings(application) == []


def read_one(application: Application, report_id: str) -> None:
    with Session(application.store.engine) as session:
        job = session.scalars(select(JobRow.id).where(JobRow.report_id == report_id)).one()
    classify(application, job)
    assert read(application, "DiagnosticReport", report_id, Caller("ehr")) is not None


def test_writers_at_once_take_lanes_of_their_own(application: Application) -> None:
    """Each holds its lane until all of them have one, on PostgreSQL; SQLite has one writer, and one lane."""
    several = application.store.engine.dialect.name == "postgresql"
    number = 8 if several else 1
    barrier = threading.Barrier(number, timeout=60)

    def write(_: int) -> None:
        with application.store.transaction() as work:
            work.audit.add(AuditEntry("read"), now())
            work.audit.close()
            barrier.wait()

    with ThreadPoolExecutor(number) as pool:
        list(pool.map(write, range(number)))
    with Session(application.store.engine) as session:
        lanes = session.scalars(select(AuditEventRow.lane)).all()
        assert session.query(AuditLaneRow).count() == (LANES if several else 1)
    assert len(set(lanes)) == number


def test_what_is_older_than_the_chain_is_counted(application: Application) -> None:
    engine = application.store.engine
    submit(application, example_observations()["sinus-tachycardia"], Form(), Caller("ehr"))
    downgrade(engine, "0009")
    upgrade(engine)
    assert findings(application) == []
    with verification(engine) as view:
        assert view.state().older == {
            "submission": 1, "resource_version": 2, "prediction": 0, "job": 1, "admission": 0, "audit_event": 1,
        }  # fmt: skip
    submit(application, example_observations()["sinus-tachycardia"], Form(), Caller("ehr"))
    read_waiting(application)
    assert findings(application) == []

    with engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_event WHERE lane IS NULL"))
    assert ("audit_event", "removed") in [(each.table, each.what) for each in findings(application)]


def test_what_nobody_audits_is_chained_all_the_same(application: Application) -> None:
    with application.store.transaction() as work:
        work.resources.put({"resourceType": "Device", "id": "d"}, now())
    with Session(application.store.engine) as session:
        entry = session.scalars(select(AuditEventRow)).one()
    assert (entry.action, list(entry.digests or {})) == ("store", ["Device/d/_history/1"])


def test_what_a_savepoint_takes_back_is_not_chained(application: Application) -> None:
    moment = now()
    with application.store.transaction() as work:
        work.resources.put({"resourceType": "Device", "id": "kept"}, moment)
        savepoint = work._session.begin_nested()
        work.resources.put({"resourceType": "Device", "id": "taken-back"}, moment)
        work._session.flush()
        savepoint.rollback()
    assert findings(application) == []

"""Rows that a process of an older version wrote after the upgrade are adopted; what may be tampering is not."""
# ruff: noqa: S608 -- names of tables and columns

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from chain_findings import findings_within
from click.testing import CliRunner, Result
from ecg_steps import decide, flat, read_waiting
from flask.testing import FlaskClient
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from fhir_ecg.cli import main
from fhir_ecg.service.application import Application
from fhir_ecg.settings import Settings
from fhir_ecg.store.tables import AuditEventRow, AuditLaneRow, ResourceRow

FHIR = "application/fhir+json"
REASON = ("--reason", "worker 3 was replaced late", "--yes", "--operator", "Kim Operator")


def command(settings: Settings, *arguments: str, typed: str | None = None) -> Result:
    environment = {"FHIR_ECG_DATABASE_URL": settings.database_url, "FHIR_ECG_DATA_DIR": str(settings.data_dir)}
    return CliRunner(env=environment).invoke(main, list(arguments), input=typed)


@contextmanager
def older_process(application: Application) -> Iterator[None]:
    """Let what is written meanwhile be as a version without the audit chain and its index writes it."""
    with Session(application.store.engine) as session:
        lanes = {row.lane: (row.position, row.head) for row in session.scalars(select(AuditLaneRow))}
        last = session.scalar(text("SELECT coalesce(max(sequence), 0) FROM audit_event"))
    yield
    with Session(application.store.engine) as session, session.begin():
        for lane, (position, head) in lanes.items():
            session.execute(update(AuditLaneRow).where(AuditLaneRow.lane == lane).values(position=position, head=head))
        written = AuditEventRow.sequence > last
        unchained = dict.fromkeys(("lane", "position", "previous", "digest", "digests"))
        session.execute(text("DELETE FROM audit_reference WHERE event_id IN "
                             "(SELECT id FROM audit_event WHERE sequence > :last)"), {"last": last})  # fmt: skip
        session.execute(update(AuditEventRow).where(written).values(unchained))
        session.execute(update(ResourceRow).values(index_version=0))


def send(client: FlaskClient, body: bytes, key: str) -> dict[str, Any]:
    answer = client.post("/fhir/Observation", data=body, content_type=FHIR, headers={"Idempotency-Key": key})
    assert answer.status_code == 201
    return dict(answer.json)


@pytest.fixture
def upgraded(application: Application, client: FlaskClient, examples: dict[str, bytes]) -> Application:
    """A database with entries of this version, and rows of every table that an older process has written since."""
    send(client, examples["sinus-bradycardia"], "new")
    with older_process(application):
        send(client, examples["atrial-fibrillation"], "old")
        send(client, flat(examples["sinus-tachycardia"]), "flat")
        read_waiting(application)
        [entry] = client.get("/fhir/DiagnosticReport?patient=example-4").json["entry"]
        assert decide(client, entry["resource"], "confirm").status_code == 200
    return application


TABLES = {
    "audit_event": ("client = 'x'", "action = 'confirm' AND lane IS NULL"),
    "submission": ("client = 'x'", "body IS NOT NULL"),
    "resource_version": ("deleted = :true", "type = 'DiagnosticReport' AND version = 3"),
    "prediction": ("runtime = 'x'", "attempt = 1"),
    "cancellation": ("reasons = '[]'", "attempt = 1"),
    "confirmation": ("decision = 'x'", "report_version = 3"),
    "weights": ("name = 'x'", "name <> ''"),
    "job": ("request_id = 'x'", "state = 'done'"),
    "admission": ("body_sha256 = 'x'", "scope = 'idempotency-key'"),
}
"""For each a change of rows that the older process has written."""


def findings(settings: Settings) -> set[tuple[str, str]]:
    lines = command(settings, "audit", "verify", "--json").stdout.splitlines()[:-1]
    return {(finding["table"], finding["what"]) for finding in map(json.loads, lines)}


def test_rows_of_an_older_process_are_adopted_once_and_watched_from_then_on(
    upgraded: Application, settings: Settings
) -> None:
    early = command(settings, "audit", "adopt", *REASON)
    assert early.exit_code == 1
    assert "nothing was adopted" in early.stderr
    assert "fhir-ecg db reindex" in early.stderr
    assert command(settings, "db", "reindex").exit_code == 0
    assert {what for _, what in findings(settings)} == {"inserted"}
    assert {table for table, _ in findings(settings)} == set(TABLES)

    tried = command(settings, "audit", "adopt", "--dry-run")
    assert (tried.exit_code, "1 of confirmation" in tried.stdout) == (0, True), tried.output
    assert command(settings, "audit", "adopt", "--yes").exit_code == 2  # without a reason
    assert command(settings, "audit", "adopt", *REASON[:2], typed="n\n").exit_code == 1
    assert findings(settings)

    done = command(settings, "audit", "adopt", *REASON)
    assert done.exit_code == 0, done.output
    with Session(upgraded.store.engine) as session:
        entry = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "adopt")).one()
    number = len(entry.digests or {})
    assert (entry.detail["operator"], entry.detail["reason"]) == ("Kim Operator", REASON[1])
    assert (entry.detail["rows"], set(entry.detail["tables"])) == (number, set(TABLES))
    verified = command(settings, "audit", "verify")
    assert verified.exit_code == 0
    told = f"{number} on {entry.recorded:%Y-%m-%d %H:%M:%S} UTC (AuditEvent/{entry.id})"
    assert told in verified.stdout.splitlines()[-1]
    assert json.loads(command(settings, "audit", "verify", "--json").stdout)["adopted"][0]["rows"] == number
    again = command(settings, "audit", "adopt", *REASON)
    assert (again.exit_code, "Nothing is to be adopted" in again.stdout) == (0, True)

    for table, (change, where) in TABLES.items():
        with upgraded.store.engine.connect() as connection:
            connection.execute(text(f"UPDATE {table} SET {change} WHERE {where}"), {"true": True})
            found = findings_within(connection)
            assert table in {each.table for each in found if each.what == "changed"}, table
            connection.rollback()
    with upgraded.store.engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_event WHERE action = 'adopt'"))
    assert ("audit_event", "removed") in findings(settings)


TAMPERINGS = [
    "UPDATE submission SET client = 'somebody-else'",
    "DELETE FROM audit_event WHERE action = 'create' AND lane IS NOT NULL",
    "UPDATE resource SET version = 1 WHERE type = 'DiagnosticReport' AND version = 3",
    "INSERT INTO search_reference (resource_type, resource_id, parameter, target) VALUES ('Task', 'x', 'focus', 'y')",
    # An entry that says where it stands, and a row that is named as none of ours.
    "UPDATE audit_event SET position = 7 WHERE action = 'confirm'",
    "UPDATE cancellation SET id = 'a/b'",
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_beside_anything_else_nothing_is_adopted(upgraded: Application, settings: Settings, tmp_path: Path) -> None:
    assert command(settings, "db", "reindex").exit_code == 0
    for number, tampering in enumerate(TAMPERINGS):
        copy = tmp_path / f"{number}.sqlite3"
        with upgraded.store.engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql(f"VACUUM INTO '{copy}'")
        with closing(sqlite3.connect(copy)) as tampered, tampered:
            assert tampered.execute(tampering).rowcount > 0
        of_the_copy = settings.model_copy(update={"database_url": f"sqlite:///{copy}"})
        refused = command(of_the_copy, "audit", "adopt", *REASON)
        assert (refused.exit_code, "nothing was adopted" in refused.stderr) == (1, True), tampering
        with closing(sqlite3.connect(copy)) as tampered:
            assert tampered.execute("SELECT id FROM audit_event WHERE action = 'adopt'").fetchall() == []
    assert command(settings, "audit", "adopt", *REASON).exit_code == 0

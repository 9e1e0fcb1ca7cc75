"""An operator verifies the chain, and signs checkpoints that show what is cut off or built anew."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from fhir_ecg.cli import main
from fhir_ecg.examples import example_observations
from fhir_ecg.fhir.document import Form
from fhir_ecg.service.application import Application, Caller
from fhir_ecg.service.read import read
from fhir_ecg.service.submit import submit
from fhir_ecg.settings import Settings
from fhir_ecg.store.audit_chain import digest_of_entry
from fhir_ecg.store.tables import AuditEventRow, AuditLaneRow


@pytest.fixture
def report_id(application: Application) -> str:
    body = example_observations()["atrial-fibrillation"]
    return str(submit(application, body, Form(), Caller("ehr", "r-1")).report.content["id"])


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    private = tmp_path / "auditor.pem"
    assert CliRunner().invoke(main, ["audit", "key", "--out", str(private)]).exit_code == 0
    return private, tmp_path / "auditor.pub.pem"


def audit(settings: Settings, *arguments: str | Path) -> Any:
    environment = {"FHIR_ECG_DATABASE_URL": settings.database_url, "FHIR_ECG_DATA_DIR": str(settings.data_dir)}
    return CliRunner(env=environment).invoke(main, ["audit", *map(str, arguments)])


def entries(application: Application) -> list[tuple[str, str, dict[str, Any]]]:
    with Session(application.store.engine) as session:
        rows = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence)).all()
    return [(row.action, row.outcome, row.detail) for row in rows]


def rebuild(application: Application) -> None:
    """Erase who read, and build a chain that holds in itself, as one who knows the service can."""
    with Session(application.store.engine) as session, session.begin():
        session.execute(text("DELETE FROM audit_event WHERE action = 'read'"))
        session.execute(text("DELETE FROM audit_reference WHERE event_id NOT IN (SELECT id FROM audit_event)"))
        for lane in session.scalars(select(AuditLaneRow)).all():
            rows = session.scalars(
                select(AuditEventRow).where(AuditEventRow.lane == lane.lane).order_by(AuditEventRow.position)
            ).all()
            previous = rows[0].previous if rows and rows[0].position == 1 else first(lane)
            for place, row in enumerate(rows, 1):
                values = {c.key: getattr(row, c.key) for c in AuditEventRow.__table__.columns}
                values |= {"position": place, "previous": previous}
                previous = digest_of_entry(values)
                session.execute(
                    update(AuditEventRow)
                    .where(AuditEventRow.id == row.id)
                    .values(position=place, previous=values["previous"], digest=previous)
                )
            lane.position, lane.head = len(rows), previous


def first(lane: AuditLaneRow) -> str:
    from fhir_ecg.store.audit_chain import digest_of_genesis

    return digest_of_genesis(lane.lane, lane.genesis)


def test_a_sound_chain_is_zero_and_leaves_its_entry(
    application: Application, settings: Settings, report_id: str
) -> None:
    done = audit(settings, "verify", "--json")

    assert (done.exit_code, json.loads(done.stdout)["sound"]) == (0, True)
    action, outcome, detail = entries(application)[-1]
    assert (action, outcome, detail["findings"]) == ("verify", "success", 0)
    assert "Sound" in audit(settings, "verify").stdout


def test_tampering_is_one_with_a_line_for_each_finding(
    application: Application, settings: Settings, report_id: str
) -> None:
    with application.store.engine.begin() as connection:
        connection.execute(text("UPDATE submission SET client = 'somebody-else'"))
        identity = connection.scalar(text("SELECT id FROM submission"))

    done = audit(settings, "verify", "--json")
    finding, total = map(json.loads, done.stdout.splitlines())
    assert (done.exit_code, total["sound"], total["findings"]) == (1, False, 1)
    assert (finding["table"], finding["key"], finding["what"]) == ("submission", f"submission/{identity}", "changed")
    assert entries(application)[-1][1] == "failure"
    assert f"changed: submission submission/{identity}" in audit(settings, "verify").stdout


def test_a_chain_that_was_built_anew_is_shown_by_a_checkpoint_alone(
    application: Application, settings: Settings, report_id: str, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    private, public = keys
    for _ in range(40):
        read(application, "DiagnosticReport", report_id, Caller("curious"))
    checkpoint = tmp_path / "checkpoint.json"
    assert audit(settings, "checkpoint", "--key", private, "--out", checkpoint).exit_code == 0
    against = ("verify", "--checkpoint", checkpoint, "--public-key", public)
    assert audit(settings, *against).exit_code == 0

    rebuild(application)

    assert audit(settings, "verify").exit_code == 0
    done = audit(settings, *against)
    assert done.exit_code == 1
    assert "does not pass through the head of the checkpoint" in done.stdout


def test_a_checkpoint_is_signed_as_openssl_verifies_it(
    settings: Settings, report_id: str, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    private, public = keys
    assert private.stat().st_mode & 0o777 == 0o600
    checkpoint = tmp_path / "checkpoint.json"
    audit(settings, "checkpoint", "--key", private, "--out", checkpoint)
    signature = Path(f"{checkpoint}.sig")
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", checkpoint]
    assert subprocess.run([*command, "-sigfile", signature], capture_output=True, check=False).returncode == 0

    checkpoint.write_bytes(checkpoint.read_bytes().replace(b'"position":', b'"position": ', 1))
    done = audit(settings, "verify", "--checkpoint", checkpoint, "--public-key", public)
    assert (done.exit_code, "signature" in done.stderr) == (1, True)


def test_wrong_use_is_two_and_says_what_to_do(
    settings: Settings, report_id: str, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    private, public = keys
    checkpoint = tmp_path / "checkpoint.json"
    audit(settings, "checkpoint", "--key", private, "--out", checkpoint)
    assert audit(settings, "checkpoint", "--key", private, "--out", checkpoint).exit_code == 1  # never overwritten
    for arguments in (
        ("verify", "--checkpoint", checkpoint),
        ("verify", "--checkpoint", checkpoint, "--public-key", checkpoint),
        ("verify", "--checkpoint", public, "--public-key", public),
        ("checkpoint", "--key", public, "--out", tmp_path / "other.json"),
    ):
        done = audit(settings, *arguments)
        assert (done.exit_code, "Error" in done.stderr) == (2, True), arguments
    assert not (tmp_path / "other.json").exists()

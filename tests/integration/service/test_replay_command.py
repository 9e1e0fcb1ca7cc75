"""`fhir-ecg audit replay`: which readings, what is printed, the exit status, and the audit entry."""

import json
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from fhir_ecg.cli import main
from fhir_ecg.service.application import Application, now
from fhir_ecg.service.classify import classify
from fhir_ecg.settings import Settings
from fhir_ecg.store.tables import AuditEventRow, JobRow, PredictionRow


@pytest.fixture
def reports(client: FlaskClient, application: Application, examples: dict[str, bytes]) -> list[str]:
    """The ids of three reports: two read one after the other, and one that waits."""
    for name in list(examples)[:3]:
        sent = client.post("/fhir/Observation", data=examples[name], content_type="application/fhir+json")
        assert sent.status_code == 201
    with Session(application.store.engine) as session:
        jobs = session.scalars(select(JobRow).order_by(JobRow.created_at)).all()
    for job in jobs[:2]:
        assert classify(application, job.id) == "read"
    return [job.report_id for job in jobs]


def replay(settings: Settings, *arguments: str) -> Result:
    environment = {"FHIR_ECG_DATABASE_URL": settings.database_url, "FHIR_ECG_DATA_DIR": str(settings.data_dir)}
    return CliRunner(env=environment).invoke(main, ["audit", "replay", *arguments])


def lines(done: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def tamper(application: Application, report_id: str) -> None:
    with Session(application.store.engine) as session, session.begin():
        session.get_one(PredictionRow, report_id).input_sha256 = "0" * 64


def test_one_report_by_each_of_its_names(settings: Settings, application: Application, reports: list[str]) -> None:
    with application.store.transaction(writes=False) as work:
        report = work.resources.get("DiagnosticReport", reports[0])
    assert report is not None
    results = [result["reference"] for result in report.content["result"]]
    names = [reports[0], f"DiagnosticReport/{reports[0]}", report.versioned_reference, *results]
    names += [results[0].removeprefix("Observation/"), f"http://127.0.0.1/fhir/{report.reference}"]
    for name in names:
        done = replay(settings, name)
        assert (done.exit_code, done.stdout) == (0, f"DiagnosticReport/{reports[0]}: equal to the bit\n"), name


def test_a_difference_is_the_answer_no_and_audited(
    settings: Settings, application: Application, reports: list[str]
) -> None:
    tamper(application, reports[1])

    one, every = replay(settings, reports[1]), replay(settings, "--all")

    assert (one.exit_code, every.exit_code) == (1, 1)
    for done in (one, every):
        assert f"DiagnosticReport/{reports[1]}: DIFFERENT" in done.stdout
        assert "stage: input" in done.stdout
        assert f"stored:   {'0' * 64}" in done.stdout
    assert "2 readings were replayed: 1 DIFFERENT, 1 equal to the bit." in every.stdout
    with Session(application.store.engine) as session:
        of_replays = select(AuditEventRow).where(AuditEventRow.action == "replay")
        first, second = session.scalars(of_replays.order_by(AuditEventRow.recorded))
    reference = f"DiagnosticReport/{reports[1]}"
    assert (first.outcome, first.entities, first.detail["outcomes"]) == ("failure", [reference], {"different": 1})
    assert (second.outcome, second.entities) == ("failure", [reference])
    assert second.detail["outcomes"] == {"equal": 1, "different": 1}
    assert second.detail["scope"]["last"] == reference


def test_lines_of_json_hold_what_was_compared(settings: Settings, application: Application, reports: list[str]) -> None:
    tamper(application, reports[1])

    done = replay(settings, "--all", "--json")

    equal, different = lines(done)
    assert (equal["report"], equal["outcome"], equal["stage"]) == (f"DiagnosticReport/{reports[0]}", "equal", None)
    assert (different["outcome"], different["stage"], different["stored"]) == ("different", "input", "0" * 64)
    assert len(different["replayed"]) == 64
    assert different["changes"] == []


def test_readings_of_a_time(settings: Settings, application: Application, reports: list[str]) -> None:
    day = now()
    with Session(application.store.engine) as session, session.begin():
        session.get_one(PredictionRow, reports[0]).finished_at = day - timedelta(days=3)
    today, before = day.date().isoformat(), (day - timedelta(days=3)).date().isoformat()

    def found(*arguments: str) -> list[str]:
        return [
            line["report"].removeprefix("DiagnosticReport/") for line in lines(replay(settings, *arguments, "--json"))
        ]

    assert found("--day", before) == [reports[0]]
    assert found("--day", today) == found("--since", today) == [reports[1]]
    assert found("--until", f"{today}T00:00") == [reports[0]]
    assert found("--since", before, "--until", "2999-01-01") == found("--all") == reports[:2]
    assert found("--all", "--after", reports[0]) == [reports[1]]
    nothing = replay(settings, "--until", "2000-01-01")
    assert (nothing.exit_code, nothing.stdout) == (0, "No reading ended in that time.\n")


def test_what_waits_is_the_answer_no(settings: Settings, reports: list[str]) -> None:
    done = replay(settings, reports[2])
    assert done.exit_code == 1
    assert "not read\n  the ECG waits to be read" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--all", "--day", "2026-11-22"],
        ["x", "--all"],
        ["x", "--after", "y"],
        ["--day", "yesterday"],
        ["nobody"],
        ["not an id/?"],
        ["--all", "--after", "nobody"],
    ],
)
def test_wrong_use(settings: Settings, application: Application, arguments: list[str]) -> None:
    done = replay(settings, *arguments)
    assert done.exit_code == 2, done.output
    assert "Error" in done.stderr


def test_no_database_is_said_so(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"database_url": "postgresql+psycopg://nobody@127.0.0.1:9/none"})
    for arguments in (["x"], ["--all"]):
        done = replay(elsewhere, *arguments)
        assert done.exit_code == 1
        assert "FHIR_ECG_DATABASE_URL" in done.stderr

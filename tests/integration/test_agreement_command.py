"""`fhir-ecg audit agreement`, over reports that persons decided about through HTTP."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ecg_steps import decide, read_waiting
from flask.testing import FlaskClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from fhir_ecg.cli import main
from fhir_ecg.service.application import Application
from fhir_ecg.settings import Settings
from fhir_ecg.store.tables import AuditEventRow, ConfirmationRow

FHIR = "application/fhir+json"
STATEMENTS = "http://fhir-ecg.org/fhir/CodeSystem/scp-ecg-statements"


@pytest.fixture(autouse=True)
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_ECG_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("FHIR_ECG_DATA_DIR", str(settings.data_dir))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["audit", "agreement", *arguments])


def decide_on(client: FlaskClient, report: dict[str, Any], decision: str, *codes: str) -> None:
    concepts = [
        {"name": "conclusionCode", "valueCodeableConcept": {"coding": [{"system": STATEMENTS, "code": code}]}}
        for code in codes
    ]
    assert decide(client, report, decision, *concepts).status_code == 200


@pytest.fixture
def reports(client: FlaskClient, application: Application, examples: dict[str, bytes]) -> list[dict[str, Any]]:
    """Four reports of one ECG of atrial fibrillation."""
    for _ in range(4):
        assert (
            client.post("/fhir/Observation", data=examples["atrial-fibrillation"], content_type=FHIR).status_code == 201
        )
    assert read_waiting(application) == ["read"] * 4
    found = client.get("/fhir/DiagnosticReport").json["entry"]
    return [entry["resource"] for entry in found]


def test_what_was_decided_is_counted_by_statement_and_month(
    client: FlaskClient, application: Application, reports: list[dict[str, Any]]
) -> None:
    by_model = {concept["coding"][0]["code"] for concept in reports[0]["conclusionCode"]}
    assert "AFIB" in by_model
    decide_on(client, reports[0], "confirm")
    decide_on(client, reports[1], "edit", "AFIB", "LVH")
    decide_on(client, reports[2], "confirm")
    decide_on(client, reports[2], "edit", "CLBBB")  # the last decision counts
    decide_on(client, reports[3], "reject")

    result = run("--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["reports"], found["edited"], found["rejected"]) == (4, 0.5, 0.25)
    assert found["decisions"] == {"confirm": 1, "edit": 2, "reject": 1}
    fields = ("both", "model_only", "reader_only", "neither")
    counted = {code: tuple(table[f] for f in fields) for code, table in found["statements"].items()}
    assert counted["AFIB"] == (2, 1, 0, 0)
    assert counted["CLBBB"] == (0, 0, 1, 2)
    assert counted["LVH"] == ((1, 1, 0, 1) if "LVH" in by_model else (0, 0, 1, 2))
    assert found["statements"]["AFIB"]["confirmed"] == pytest.approx(2 / 3)
    [month] = found["months"].values()
    assert month["reports"] == 4

    text = run().stdout
    assert "4 reports were decided about: 1 confirmed as they were, 2 edited, 1 rejected." in text
    assert "AFIB atrial fibrillation" in text
    with Session(application.store.engine) as session:
        [_, last] = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "agreement"))
        assert last.detail["reports"] == 4


def test_a_time_narrows_and_months_are_told_apart(
    client: FlaskClient, application: Application, reports: list[dict[str, Any]]
) -> None:
    for report in reports[:2]:
        decide_on(client, report, "confirm")
    with Session(application.store.engine) as session, session.begin():
        rows = session.scalars(select(ConfirmationRow)).all()
        earlier = rows[0].read_at.replace(year=2020, month=5)
        session.execute(
            update(ConfirmationRow).where(ConfirmationRow.report_id == rows[0].report_id).values(read_at=earlier)
        )
    assert len(json.loads(run("--json").stdout)["months"]) == 2
    assert json.loads(run("--json", "--until", "2020-06-01").stdout)["months"].keys() == {"2020-05"}
    assert json.loads(run("--json", "--since", "2020-06-01").stdout)["reports"] == 1
    assert run("--since", "2999-01-01").stdout.startswith("No report that the model read in that time")
    assert run("--since", "yesterday").exit_code == 2


def test_decisions_are_held_by_the_chain(
    client: FlaskClient, application: Application, reports: list[dict[str, Any]]
) -> None:
    decide_on(client, reports[0], "confirm")
    decide_on(client, reports[0], "edit", "CLBBB")
    decide_on(client, reports[1], "reject")
    sound = CliRunner().invoke(main, ["audit", "verify"])
    assert sound.exit_code == 0, sound.output
    with Session(application.store.engine) as session, session.begin():
        wanted = update(ConfirmationRow).where(ConfirmationRow.decision == "reject")
        session.execute(wanted.values(decision="confirm"))
    broken = CliRunner().invoke(main, ["audit", "verify"])
    assert broken.exit_code == 1
    assert f"confirmation/{reports[1]['id']}/3" in broken.output


def test_without_a_database_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_ECG_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    result = run()
    assert result.exit_code == 1
    assert "FHIR_ECG_DATABASE_URL" in result.output

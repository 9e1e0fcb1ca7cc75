"""An operator lists jobs, looks at one, and lets a failed one be tried again."""

import json
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from fhir_ecg.cli import main
from fhir_ecg.examples import example_observations
from fhir_ecg.service.application import Application
from fhir_ecg.service.classify import classify
from fhir_ecg.service.operate_jobs import JobError, list_jobs, retry_job, show_job
from fhir_ecg.settings import Settings


@pytest.fixture
def report_id(client: FlaskClient) -> str:
    body = example_observations()["atrial-fibrillation"]
    sent = client.post("/fhir/Observation", data=body, content_type="application/fhir+json").get_json()
    bundle = client.get(f"/fhir/DiagnosticReport?result=Observation/{sent['id']}").get_json()
    identity: str = bundle["entry"][0]["resource"]["id"]
    return identity


class Broken:
    """A model that fails at each reading."""

    def predict(self, *_: object) -> object:
        raise RuntimeError("no memory")


def command(settings: Settings, *arguments: str) -> Any:
    environment = {"FHIR_ECG_DATABASE_URL": settings.database_url, "FHIR_ECG_DATA_DIR": str(settings.data_dir)}
    return CliRunner(env=environment).invoke(main, ["jobs", *arguments])


def fail(application: Application, report_id: str) -> None:
    broken = replace(application, classifier=Broken)  # type: ignore[arg-type]
    identity = show_job(application, report_id).id
    outcomes = [classify(broken, identity) for _ in range(application.policy.maximum_attempts)]
    assert outcomes[-1] == "cancelled"


def test_a_failed_job_is_listed_with_its_error_tried_again_and_read(
    application: Application, client: FlaskClient, settings: Settings, report_id: str
) -> None:
    fail(application, report_id)

    (listed,) = [json.loads(line) for line in command(settings, "list", "--state", "failed").stdout.splitlines()]
    assert (listed["report_id"], listed["attempts"], listed["error"]) == (report_id, 3, "RuntimeError: no memory")
    assert json.loads(command(settings, "show", report_id).stdout) == listed

    retried = json.loads(command(settings, "retry", report_id).stdout)
    assert (retried["id"], retried["state"], retried["attempts"]) == (listed["id"], "waiting", 0)
    assert classify(application, listed["id"]) == "read"

    report = client.get(f"/fhir/DiagnosticReport/{report_id}").get_json()
    assert (report["status"], report["meta"]["versionId"]) == ("partial", "3")
    assert "No reading was made" not in report["conclusion"]
    assert show_job(application, report_id).state == "done"


def test_only_a_failed_job_is_tried_again(application: Application, report_id: str) -> None:
    with pytest.raises(JobError, match="is waiting; only a failed one"):
        retry_job(application, report_id)
    assert classify(application, show_job(application, report_id).id) == "read"
    with pytest.raises(JobError, match="is done"):
        retry_job(application, report_id)


def test_an_unknown_job_says_where_to_look(settings: Settings, application: Application) -> None:
    done = command(settings, "show", "nobody")
    assert done.exit_code == 1
    assert "jobs list" in done.stderr
    assert list_jobs(application, state=None, limit=5) == []


def test_no_database_is_said_so(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"database_url": "postgresql+psycopg://nobody@127.0.0.1:9/none"})
    done = command(elsewhere, "list")
    assert done.exit_code == 1
    assert "FHIR_ECG_DATABASE_URL" in done.stderr

"""The whole way: an EHR posts an Observation, a worker reads it, the EHR polls the report."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import redis
import requests
from deployed_service import Deployment, wait_until
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.observation import Observation
from sqlalchemy import select

from fhir_ecg.broker import QUEUE
from fhir_ecg.ecg.statements import STATEMENT_CODES
from fhir_ecg.store.tables import JobRow, PredictionRow

EXPECTED = {
    "normal-sinus-rhythm": {"SR", "NORM"},
    "sinus-bradycardia": {"SBRAD"},
    "sinus-tachycardia": {"STACH"},
    "atrial-fibrillation": {"AFIB"},
    "left-bundle-branch-block": {"CLBBB"},
}
"""Findings that even a schematic ECG of these kinds must have."""


def statements(report: dict[str, object]) -> set[str]:
    concepts = report.get("conclusionCode", [])
    assert isinstance(concepts, list)
    return {concept["coding"][0]["code"] for concept in concepts}


def test_an_ecg_becomes_a_coded_report(service: Deployment, examples: dict[str, bytes]) -> None:
    observation_id = service.send(examples["atrial-fibrillation"])
    report = service.report_of(observation_id)

    DiagnosticReport.model_validate(report)
    assert report["status"] == "partial"
    assert report["code"]["coding"][0]["code"] == "11524-6"
    assert report["category"][0]["coding"][0]["code"] == "EC"
    assert report["subject"] == {"reference": "Patient/example-4"}
    assert report["effectiveDateTime"] == "2026-01-04T08:30:00+01:00"
    assert report["result"][0]["reference"] == f"Observation/{observation_id}"
    assert "UNCONFIRMED" in report["conclusion"]
    scores = service.get(report["result"][1]["reference"])
    Observation.model_validate(scores)
    codes = [component["code"]["coding"][0]["code"] for component in scores["component"]]
    assert tuple(codes) == STATEMENT_CODES
    values = {code: c["valueQuantity"]["value"] for code, c in zip(codes, scores["component"], strict=True)}
    assert all(0 <= value <= 1 for value in values.values())
    asserted = {c["code"]["coding"][0]["code"] for c in scores["component"] if "POS" in json.dumps(c["interpretation"])}
    assert statements(report) == asserted
    (prediction,) = service.rows(select(PredictionRow))
    assert prediction.report_id == report["id"]
    assert prediction.weights_sha256 in report["conclusion"]
    assert {s["code"]: s["probability"] for s in prediction.scores} == pytest.approx(values, abs=1e-6)


def test_every_example_is_read_once_by_two_workers(service: Deployment, examples: dict[str, bytes]) -> None:
    with ThreadPoolExecutor(8) as clients:
        ids = dict(zip(examples, clients.map(service.send, examples.values()), strict=True))
    reports = {name: service.report_of(identity) for name, identity in ids.items()}

    assert {name: report["status"] for name, report in reports.items()} == dict.fromkeys(examples, "partial")
    for name, expected in EXPECTED.items():
        assert expected <= statements(reports[name]), name
    assert sorted(service.rows(select(PredictionRow.observation_id))) == sorted(ids.values())
    assert {(job.state, job.attempts) for job in service.rows(select(JobRow))} == {("done", 1)}


def test_an_ecg_that_cannot_be_read_is_cancelled_with_the_reason(
    service: Deployment, examples: dict[str, bytes]
) -> None:
    flat = json.loads(examples["normal-sinus-rhythm"])
    data = flat["component"][7]["valueSampledData"]["data"]
    flat["component"][7]["valueSampledData"]["data"] = " ".join(["0"] * len(data.split()))
    short = json.loads(examples["normal-sinus-rhythm"])
    for component in short["component"]:
        component["valueSampledData"]["data"] = " ".join(component["valueSampledData"]["data"].split()[:2000])

    for observation, reason in ((flat, "flat-lead"), (short, "too-short")):
        report = service.report_of(service.send(json.dumps(observation).encode()))
        DiagnosticReport.model_validate(report)
        assert report["status"] == "cancelled"
        assert reason in report["conclusion"]
        assert "conclusionCode" not in report


def test_a_lost_wake_up_is_found_again(
    deployment: Deployment, examples: dict[str, bytes], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    deployment.start_web()
    observation_id = deployment.send(examples["normal-sinus-rhythm"])
    if deployment.environment.get("FHIR_ECG_BROKER_URL", "").startswith("redis"):
        request.getfixturevalue("redis_database")
        flush_redis(deployment.environment["FHIR_ECG_BROKER_URL"])
    else:
        messages = list((tmp_path / "data" / "broker" / QUEUE).iterdir())
        assert messages
        for message in messages:
            message.unlink()
    deployment.start_worker()

    assert deployment.report_of(observation_id)["status"] == "partial"


def flush_redis(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        assert client.dbsize()
        client.flushdb()


def test_a_killed_worker_loses_nothing(deployment: Deployment, examples: dict[str, bytes]) -> None:
    deployment.environment["FHIR_ECG_LEASE_SECONDS"] = "3"
    deployment.start_web()
    worker = deployment.start_worker()
    ids = [deployment.send(examples["normal-sinus-rhythm"]) for _ in range(20)]
    begun = select(JobRow.id).where(JobRow.state.in_(("running", "done")))

    wait_until(lambda: bool(deployment.rows(begun)), 60, "a job is claimed")
    kill_everything_of(worker)
    deployment.start_worker()

    assert {deployment.report_of(identity)["status"] for identity in ids} == {"partial"}


def kill_everything_of(process: subprocess.Popen[bytes]) -> None:
    parent = psutil.Process(process.pid)
    for victim in [*parent.children(recursive=True), parent]:
        victim.kill()


def test_a_large_body_is_refused_over_the_wire(service: Deployment) -> None:
    body = b"[" + b"1," * 15_000_000 + b"1]"
    answer = service.http.post(
        f"{service.base}/Observation", body, headers={"Content-Type": "application/fhir+json"}, timeout=60
    )

    assert answer.status_code == 413
    assert answer.json()["issue"][0]["code"] == "too-long"


def test_composed_service_asks_for_a_token(deployment: Deployment, examples: dict[str, bytes]) -> None:
    deployment.start_web()
    bare = requests.post(
        f"{deployment.base}/Observation",
        examples["normal-sinus-rhythm"],
        headers={"Content-Type": "application/fhir+json"},
        timeout=60,
    )

    secured = "FHIR_ECG_CLIENTS" in deployment.environment
    assert bare.status_code == (401 if secured else 201)
    if secured:
        assert bare.json()["issue"][0]["code"] == "login"
        assert bare.headers["WWW-Authenticate"].startswith("Bearer")

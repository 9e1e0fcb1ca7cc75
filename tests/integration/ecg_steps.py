"""Steps in the life of an ECG, taken without a worker: it is read, its report is found, a person decides about that."""

import json
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from fhir_ecg.service.application import Application
from fhir_ecg.service.classify import classify
from fhir_ecg.store.tables import JobRow

READER = {"reference": "Practitioner/7", "display": "Dr Ada Reader"}


def flat(observation: bytes) -> bytes:
    """Let every lead be flat, so that the reading is cancelled."""
    ecg = json.loads(observation)
    for component in ecg["component"]:
        data = component["valueSampledData"]
        data["data"] = " ".join("0" for _ in data["data"].split())
    return json.dumps(ecg).encode()


def read_waiting(application: Application) -> list[str]:
    """Read every ECG that waits; what came of each."""
    with Session(application.store.engine) as session:
        jobs = session.scalars(select(JobRow.id).where(JobRow.state == "waiting")).all()
    return [classify(application, job) for job in jobs]


def report_of(client: FlaskClient, observation: dict[str, Any]) -> dict[str, Any]:
    [entry] = client.get(f"/fhir/DiagnosticReport?result=Observation/{observation['id']}").json["entry"]
    report: dict[str, Any] = entry["resource"]
    return report


def decide(client: FlaskClient, report: dict[str, Any], decision: str, *more: dict[str, Any]) -> TestResponse:
    parameter = [
        {"name": "decision", "valueCode": decision}, {"name": "interpreter", "valueReference": READER}, *more,
    ]  # fmt: skip
    body = json.dumps({"resourceType": "Parameters", "parameter": parameter})
    address = f"/fhir/DiagnosticReport/{report['id']}/$confirm"
    return client.post(address, data=body, content_type="application/fhir+json")

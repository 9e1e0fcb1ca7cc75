"""One running service for the clients that others wrote: what `fhir-ecg serve` starts."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import requests
from e2e.deployed_service import Deployment, on_files, wait_until


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A service on SQLite and files, with three ECGs read."""
    deployment = on_files(tmp_path_factory.mktemp("clients"))
    deployment.run(["serve", "--port", str(deployment.port)])
    address = f"http://127.0.0.1:{deployment.port}/readyz"

    def ready() -> bool:
        try:
            return requests.get(address, timeout=5).ok
        except requests.RequestException:
            return False

    wait_until(ready, 60, f"the service is ready\n{deployment.logs()}")
    yield deployment
    deployment.stop()


@pytest.fixture
def ecg(examples: dict[str, bytes]) -> dict[str, Any]:
    """An ECG with an identifier and a patient of its own."""
    name = uuid4().hex
    document: dict[str, Any] = json.loads(examples["normal-sinus-rhythm"])
    document["identifier"] = [{"system": "urn:example:ecg", "value": name}]
    document["subject"] = {"reference": f"Patient/{name}"}
    return document


@pytest.fixture
def patient_of_five(service: Deployment, ecg: dict[str, Any]) -> str:
    """A patient whose five ECGs were sent and read."""
    sent = []
    for number in range(5):
        identifier = {"system": "urn:example:ecg", "value": f"{ecg['identifier'][0]['value']}-{number}"}
        sent.append(service.send(json.dumps({**ecg, "identifier": [identifier]}).encode()))
    for identity in sent:
        service.report_of(identity)
    patient: str = ecg["subject"]["reference"]
    return patient

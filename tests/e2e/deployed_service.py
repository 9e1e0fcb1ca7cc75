"""The service as its processes: web and two workers, over SQLite and files or as docker-compose.yml runs it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from locations import REPOSITORY, free_port
from sqlalchemy import Select
from sqlalchemy.orm import Session

from fhir_ecg.api.authorisation import new_token
from fhir_ecg.store.engine import open_engine

FHIR_JSON = "application/fhir+json"


@dataclass
class Deployment:
    """A running service and a client of it."""

    port: int
    database_url: str
    environment: dict[str, str]
    web_command: list[str]
    worker_command: list[str]
    folder: Path
    http: requests.Session = field(default_factory=requests.Session)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir"

    def run(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{command[0]}-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "fhir_ecg", *command],
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def start_worker(self) -> subprocess.Popen[bytes]:
        return self.run(self.worker_command)

    def start_web(self) -> None:
        self.run(self.web_command)
        wait_until(self._answers, 60, "the web process answers")

    def _answers(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/livez", timeout=5).ok
        except requests.RequestException:
            return False

    def send(self, observation: bytes) -> str:
        answer = self.http.post(f"{self.base}/Observation", observation, headers={"Content-Type": FHIR_JSON})
        assert answer.status_code == 201, answer.text
        identity: str = answer.json()["id"]
        return identity

    def get(self, reference: str, **query: str) -> Any:
        answer = self.http.get(f"{self.base}/{reference}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def report_of(self, observation_id: str) -> dict[str, Any]:
        """Poll until the ECG is read, as an EHR does."""
        found: dict[str, Any] = {}

        def finished() -> bool:
            bundle = self.get("DiagnosticReport", result=f"Observation/{observation_id}")
            assert bundle["total"] == 1
            found.update(bundle["entry"][0]["resource"])
            return bool(found["status"] != "registered")

        wait_until(finished, 120, f"Observation/{observation_id} is read\n{self.logs()}")
        return found

    def rows(self, statement: Select[Any]) -> list[Any]:
        """Look into the database behind the service's back."""
        engine = open_engine(self.database_url)
        try:
            with Session(engine) as session:
                return list(session.scalars(statement))
        finally:
            engine.dispose()

    def logs(self) -> str:
        return "\n".join(f"== {log.name}\n{log.read_text()[-3000:]}" for log in self.folder.glob("*.log"))

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(30)
            finally:
                kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("FHIR_ECG_")}


def on_files(folder: Path) -> Deployment:
    port = free_port()
    own = {"FHIR_ECG_DATA_DIR": str(folder / "data")}
    return Deployment(
        port,
        f"sqlite:///{folder / 'data' / 'fhir-ecg.sqlite3'}",
        clean_environment() | own | _impatience(),
        ["web", "--port", str(port)],
        ["worker"],
        folder,
    )


def as_composed(folder: Path, database_url: str, broker_url: str) -> Deployment:
    """Take commands and environment from docker-compose.yml and the Dockerfile; only addresses differ."""
    services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    web_command = json.loads(re.findall(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)[-1])
    composed = {**services["worker"]["environment"], **services["web"]["environment"]}
    given = {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)) for name, value in composed.items()}
    port = free_port()
    secret, digest = new_token()
    here = {
        "FHIR_ECG_DATABASE_URL": database_url,
        "FHIR_ECG_BROKER_URL": broker_url,
        "FHIR_ECG_CLIENTS": json.dumps({"ehr": digest}),
        "FHIR_ECG_WORKER_METRICS_PORT": "0",  # two workers on one machine cannot share it
        "FHIR_ECG_DATA_DIR": str(folder / "data"),
    }
    assert here.keys() - {"FHIR_ECG_DATA_DIR"} <= given.keys()
    deployment = Deployment(
        port,
        database_url,
        clean_environment() | given | here | _impatience(),
        [str(port) if part == "8080" else part for part in web_command],
        services["worker"]["command"],
        folder,
    )
    deployment.http.headers["Authorization"] = f"Bearer {secret}"
    return deployment


def _impatience() -> dict[str, str]:
    """Find lost wake-ups sooner than an operator would want."""
    return {"FHIR_ECG_SWEEP_SECONDS": "0.5", "FHIR_ECG_WAKE_AGAIN_SECONDS": "3"}

"""`demo`: the whole service on a free port, the shipped examples through it, the reports as people read them."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
import requests
from tqdm import tqdm

from fhir_ecg.examples import example_observations

FHIR_JSON = "application/fhir+json"
START_SECONDS = 60
REPORT_SECONDS = 120


class DemoError(Exception):
    """The demo could not be carried through; its text says why."""


def run_demo() -> int:
    """Run the demo; returns the exit status, 0 where every example was read."""
    with tempfile.TemporaryDirectory(prefix="fhir-ecg-demo-") as folder:
        try:
            with _service(Path(folder)) as base:
                reports = _send_examples(base)
        except (DemoError, requests.RequestException) as error:
            log = (Path(folder) / "serve.log").read_text(errors="replace")
            click.echo(f"The demo failed: {error}\nThe service's last words:\n{log[-3000:]}", err=True)
            return 1
    for name, report in reports:
        click.echo(_as_people_read(name, report))
    click.echo(f"{len(reports)} synthetic ECGs were sent as FHIR Observations and came back as DiagnosticReports.")
    return 0


@contextmanager
def _service(folder: Path) -> Iterator[str]:
    """Run `fhir-ecg serve` in a folder of its own; gives the address of the FHIR base."""
    port = _free_port()
    own = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_ECG_")}
    if "FHIR_ECG_WEIGHTS" in os.environ:
        own["FHIR_ECG_WEIGHTS"] = os.environ["FHIR_ECG_WEIGHTS"]
    command = [sys.executable, "-m", "fhir_ecg", "serve", "--port", str(port), "--data-dir", str(folder / "data")]
    with (folder / "serve.log").open("w") as log:
        process = subprocess.Popen(command, env=own, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_until_ready(process, f"http://127.0.0.1:{port}/readyz")
            yield f"http://127.0.0.1:{port}/fhir"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(process: subprocess.Popen[bytes], address: str) -> None:
    click.echo("Starting the service ...", err=True)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoError(f"the service ended with status {process.returncode} while starting")
        # Not listening yet, or listening and still loading on a busy machine.
        with suppress(requests.ConnectionError, requests.Timeout):
            if requests.get(address, timeout=5).ok:
                return
        time.sleep(0.1)
    raise DemoError(f"the service was not ready after {START_SECONDS} s")


def _send_examples(base: str) -> list[tuple[str, dict[str, Any]]]:
    """Post every example, then poll for each report by its Observation, as an EHR does."""
    sent = []
    for name, body in example_observations().items():
        answer = requests.post(f"{base}/Observation", body, headers={"Content-Type": FHIR_JSON}, timeout=30)
        if answer.status_code != 201:
            raise DemoError(f"{name} was refused with {answer.status_code}: {answer.text[:1000]}")
        sent.append((name, answer.json()["id"]))
    progress = tqdm(sent, desc="reading ECGs", unit="ECG", disable=None)
    return [(name, _poll_report(base, observation_id)) for name, observation_id in progress]


def _poll_report(base: str, observation_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + REPORT_SECONDS
    while time.monotonic() < deadline:
        query = {"result": f"Observation/{observation_id}"}
        bundle = requests.get(f"{base}/DiagnosticReport", query, timeout=30).json()
        report: dict[str, Any] = bundle["entry"][0]["resource"]
        if report["status"] != "registered":
            return report
        time.sleep(0.2)
    raise DemoError(f"Observation/{observation_id} had no reading after {REPORT_SECONDS} s")


def _as_people_read(name: str, report: dict[str, Any]) -> str:
    rule = "-" * 78
    title = name.replace("-", " ")
    lines = report["conclusion"].splitlines()
    text = "\n".join(click.wrap_text(line, 78, subsequent_indent="  ") for line in lines)
    return f"{rule}\nSynthetic ECG: {title}\nDiagnosticReport/{report['id']}  status: {report['status']}\n\n{text}\n"

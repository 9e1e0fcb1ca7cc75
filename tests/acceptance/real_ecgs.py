"""Real ECGs sent, read and searched by several clients at once; then all is explained, computed again and verified.

python tests/acceptance/real_ecgs.py --ptbxl ../shared/ptbxl --ecgs 1000

Ends with 1 where something is wrong.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import click
import requests
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tqdm import tqdm

sys.path.append(str(Path(__file__).parents[1] / "crash"))
from service import SHIPPED, Service

from fhir_ecg.classifier.training.ptbxl import load_millivolts
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.fhir.ecg_observation import ecg_observation
from fhir_ecg.store.engine import open_engine
from fhir_ecg.store.tables import AuditEventRow

_FHIR_JSON = "application/fhir+json"
_PATIENTS = 200
_STEP_MILLIVOLTS = 0.001
_PATIENCE_SECONDS = 900.0


@dataclass
class Done:
    """What the clients did, and what they were told."""

    requests: dict[str, str] = field(default_factory=dict)
    """The action of each request by its X-Request-Id."""
    statuses: Counter[str] = field(default_factory=Counter)
    """How many reports ended in which status."""
    problems: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Client:
    """One EHR: it sends ECGs, and reads and searches meanwhile."""

    def __init__(self, base: str, done: Done) -> None:
        self._base, self._done = base, done
        self._http = requests.Session()

    def close(self) -> None:
        self._http.close()

    def ask(self, action: str, method: str, path: str, **given: object) -> requests.Response:
        """Send a request, and keep its id for the audit."""
        identity = str(uuid4())
        headers = {"X-Request-Id": identity, "Content-Type": _FHIR_JSON}
        answer = self._http.request(method, f"{self._base}/{path}", headers=headers, timeout=60, **given)  # type: ignore[arg-type]
        with self._done.lock:
            self._done.requests[identity] = action
            if answer.status_code not in {200, 201}:
                self._done.problems.append(
                    f"{method} {path.partition('?')[0]}: {answer.status_code} {answer.text[:200]}"
                )
        return answer

    def case(self, body: bytes, patient: str, chance: random.Random) -> None:
        """Send an ECG, wait for its report, look at it and at the patient's others."""
        observation = self.ask("create", "POST", "Observation", data=body).json()["id"]
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            found = self.ask("search", "GET", f"DiagnosticReport?result=Observation/{observation}").json()
            report = found["entry"][0]["resource"]
            if report["status"] != "registered" or time.monotonic() > deadline:
                break
            time.sleep(chance.uniform(0.5, 2))
        self.ask("read", "GET", f"DiagnosticReport/{report['id']}")
        self.ask("vread", "GET", f"DiagnosticReport/{report['id']}/_history/1")
        self.ask("history-instance", "GET", f"DiagnosticReport/{report['id']}/_history")
        others = self.ask("search", "GET", f"DiagnosticReport?patient={patient}&_sort=-date&_count=5").json()
        with self._done.lock:
            self._done.statuses[report["status"]] += 1
            if report["id"] not in [entry["resource"]["id"] for entry in others["entry"]] and others["total"] <= 5:
                self._done.problems.append(f"{patient} has no report {report['id']}")


def observations(ptbxl: Path, ecgs: int) -> Iterator[tuple[bytes, str]]:
    """Write records of fold 9 as an EHR would send them, with their patients."""
    records = load_millivolts(ptbxl, [9])
    for number, leads in enumerate(records.leads[:ecgs]):
        patient = f"Patient/real-{number % _PATIENTS}"
        moment = f"2026-{number % 12 + 1:02d}-{number % 28 + 1:02d}T08:{number % 60:02d}:00Z"
        recording = Recording(leads.astype(float), 100.0)
        observation = ecg_observation(recording, _STEP_MILLIVOLTS, effective=moment, subject=patient)
        observation["identifier"] = [{"system": "http://hospital.example/ecg", "value": f"real-{number}"}]
        yield json.dumps(observation, default=float).encode(), patient


def send_all(base: str, sent: list[tuple[bytes, str]], clients: int) -> Done:
    """Let several clients send, read and search at once."""
    done = Done()

    def one(number: int) -> None:
        body, patient = sent[number]
        with closing(Client(base, done)) as client:
            client.case(body, patient, random.Random(number))

    with ThreadPoolExecutor(clients) as pool:
        futures = [pool.submit(one, number) for number in range(len(sent))]
        for future in tqdm(as_completed(futures), total=len(futures), unit="ECG", desc="sent and read"):
            future.result()
    return done


def audit_problems(database_url: str, done: Done) -> list[str]:
    """Hold each request against the audit: one entry for each, of its action."""
    engine = open_engine(database_url)
    with Session(engine) as session:
        rows = session.execute(select(AuditEventRow.request_id, AuditEventRow.action)).all()
        total = session.scalar(select(func.count()).select_from(AuditEventRow))
    engine.dispose()
    found = Counter((request_id, action) for request_id, action in rows)
    wrong = [
        f"{action} {identity}: {found[identity, action]} entries"
        for identity, action in done.requests.items()
        if found[identity, action] != 1
    ]
    print(f"{total} audit entries; {len(done.requests)} requests, {len(done.requests) - len(wrong)} with their entry")
    return wrong[:10]


def command(service: Service, *arguments: str) -> list[str]:
    """Run a command of ours on the service's database; what it has to say is a problem where it ends with no 0."""
    own = {"FHIR_ECG_DATABASE_URL": service.database_url, "FHIR_ECG_DATA_DIR": str(service.folder / "operator")}
    began = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-c", "from fhir_ecg.cli import main; main()", *arguments],
        env=os.environ | own,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(f"fhir-ecg {' '.join(arguments)}: exit {ran.returncode} in {time.monotonic() - began:.0f} s")
    print("\n".join(ran.stdout.splitlines()[-5:]))
    return [] if ran.returncode == 0 else [f"fhir-ecg {' '.join(arguments)} ended with {ran.returncode}"]


@click.command()
@click.option("--ptbxl", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--ecgs", default=1000, show_default=True)
@click.option("--clients", default=6, show_default=True)
def main(ptbxl: Path, ecgs: int, clients: int) -> None:
    """Send, read, search; then audit."""
    sent = list(observations(ptbxl, ecgs))
    with Service("servers", workers=2, patience=SHIPPED, fresh=True) as service:
        began = time.monotonic()
        done = send_all(service.base, sent, clients)
        print(f"{len(sent)} ECGs in {time.monotonic() - began:.0f} s: {dict(done.statuses)}")
        problems = done.problems + audit_problems(service.database_url, done)
        problems += command(service, "audit", "replay", "--all")
        problems += command(service, "audit", "verify")
    for problem in problems[:20]:
        print(problem)
    print(f"{len(problems)} problems")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()

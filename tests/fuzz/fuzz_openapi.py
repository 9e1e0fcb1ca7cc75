"""Sends what the OpenAPI description allows, and what it does not, with Schemathesis. A seed repeats each run.

python tests/fuzz/fuzz_openapi.py --examples 20000

Ends with 1 where an answer is a 5xx, or has a status, a type of content or a header that the description does not
have; the first request of each kind is printed.
"""

import json
import math
import random
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.failures import FailureGroup
from tqdm import tqdm

from fhir_ecg.api.app import create_app
from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.ecg.synthesis import EXAMPLES, synthesise
from fhir_ecg.fhir.ecg_observation import ecg_observation
from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.service.application import Application
from fhir_ecg.service.classify import classify
from fhir_ecg.settings import Settings
from fhir_ecg.store.migrations import upgrade

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_ECGS = 3


@click.command()
@click.option("--examples", default=20_000, show_default=True, help="Requests, over all operations.")
@click.option("--seed", "chosen", default=1, show_default=True)
def main(examples: int, chosen: int) -> None:
    """Try every operation of the description."""
    with tempfile.TemporaryDirectory() as folder:
        settings_ = Settings(data_dir=Path(folder), database_url="", broker_url="", classify_seconds=0)
        application = bootstrap(settings_)
        upgrade(application.store.engine)
        app = create_app(application, settings_)
        known = _stored(app.test_client(), application)
        # Without a worker, /readyz answers 503, as it should.
        schema = schemathesis.openapi.from_wsgi("/openapi.json", app).exclude(path="/readyz")
        operations = [result.ok() for result in schema.get_all_operations()]
        run = _Run(random.Random(chosen), known)
        tries = [(operation, mode) for operation in operations for mode in GenerationMode]
        with tqdm(total=examples, unit="request", mininterval=5) as run.progress:
            # An operation without parameters can be called in one way only: the others make up for it.
            while run.requests < examples:
                share = math.ceil((examples - run.requests) / len(tries))
                tries = [each for each in tries if run.try_operation(*each, share, chosen + run.requests)]
        application.store.engine.dispose()
    click.echo(f"{run.requests} requests to {len(operations)} operations, seed {chosen}")
    click.echo(f"statuses {dict(sorted(run.statuses.items()))}")
    for failure, times in run.failures.most_common():
        click.echo(f"\n{times} times: {failure}\n{run.first[failure]}")
    sys.exit(1 if run.failures else 0)


class _Run:
    """What came back so far."""

    def __init__(self, chance: random.Random, known: dict[str, list[str]]) -> None:
        self.chance = chance
        self.known = known
        self.statuses: Counter[int] = Counter()
        self.failures: Counter[str] = Counter()
        self.first: dict[str, str] = {}
        self.progress: Any = None

    @property
    def requests(self) -> int:
        return self.statuses.total()

    def try_operation(self, operation: Any, mode: GenerationMode, examples: int, chosen: int) -> bool:
        """Send requests to one operation; tells whether there may be more to send."""
        before = self.requests

        @seed(chosen)
        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def try_case(case: Case) -> None:
            self._send(case)

        with suppress(Unsatisfiable):  # nothing is forbidden to an operation without parameters and body
            try_case()
        return self.requests > before

    def _send(self, case: Case) -> None:
        self._reach_what_is_there(case)
        # It does not undo the compression that it asks for.
        response = case.call(headers={"Accept-Encoding": "identity"})
        self.statuses[response.status_code] += 1
        self.progress.update()
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as group:
            for failure in group.exceptions:
                told = f"{case.operation.label}: {response.status_code}: {failure}"
                self.failures[told] += 1
                self.first.setdefault(
                    told, f"{case.as_curl_command()[:2000]}\n{response.content[:1000].decode(errors='replace')}"
                )

    def _reach_what_is_there(self, case: Case) -> None:
        """Put ids that exist, and a sound ECG, into part of the requests: by chance alone none would be met."""
        if self.chance.random() < 0.8:  # else half of the forbidden requests would end at 406
            (case.headers or {}).pop("Accept", None)
            (case.query or {}).pop("_format", None)
        parameters = case.path_parameters or {}
        if "id" in parameters and self.chance.random() < 0.5:
            kind = next((kind for kind in self.known if f"/{kind}/" in case.operation.path), None)
            if kind := parameters.get("type", kind):
                parameters["id"] = self.chance.choice(self.known.get(kind, ["none"]))
        if case.method == "POST" and case.body and self.chance.random() < 0.4:
            case.body = _ecg()


def _stored(client: FlaskClient, application: Application) -> dict[str, list[str]]:
    """Store some ECGs, read them, and give the ids of all that is there, by type."""
    for _ in range(_ECGS):
        client.post("/fhir/Observation", data=json.dumps(_ecg()), content_type="application/fhir+json")
    with application.store.transaction(writes=False) as work:
        jobs = [job.id for job in work.jobs.recent(limit=_ECGS)]
    for job in jobs:
        classify(application, job)
    known = {}
    for kind in ("Observation", "DiagnosticReport", "Provenance", "Device", "Task", "CodeSystem"):
        bundle = client.get(f"/fhir/{kind}").json
        known[kind] = [entry["resource"]["id"] for entry in (bundle or {}).get("entry", [])]
    return {kind: ids for kind, ids in known.items() if ids}


def _ecg() -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(_ECG)
    return parsed


_ECG = serialise(
    ecg_observation(
        synthesise(EXAMPLES["normal-sinus-rhythm"], 10, 100, seed=1), 0.005, effective="2026-01-01T08:30:00Z",
        subject="Patient/1",
    )
)  # fmt: skip

if __name__ == "__main__":
    main()

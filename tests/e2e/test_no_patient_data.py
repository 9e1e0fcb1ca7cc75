"""What patients' data must never reach: logs, metrics, traces, the broker. A marker in every text, and errors forced.

The database holds everything, and the answers to clients hold what belongs there; nothing else may.
"""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import requests
from deployed_service import FHIR_JSON, Deployment, wait_until
from locations import free_port
from otlp_receiver import Receiver, otlp_receiver
from sqlalchemy import select, text

from fhir_ecg.store.engine import open_engine
from fhir_ecg.store.tables import JobRow

MARKER = "Marker4711Schmidt"


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with otlp_receiver() as receiver:
        yield receiver


@pytest.fixture
def watched(deployment: Deployment, collector: Receiver) -> Deployment:
    """A deployment that tells all that it can tell."""
    deployment.environment |= {
        "FHIR_ECG_LOG_FORMAT": "json",
        "FHIR_ECG_LOG_LEVEL": "DEBUG",
        "FHIR_ECG_WORKER_METRICS_PORT": str(free_port()),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    deployment.http.headers["X-Request-Id"] = "request-of-the-test"
    return deployment


def marked(example: bytes) -> dict[str, Any]:
    """Write the marker wherever an Observation takes what people write."""
    ecg: dict[str, Any] = json.loads(example)
    reference = {"reference": f"Patient/{MARKER}", "display": MARKER, "identifier": {"value": MARKER}}
    ecg |= {
        "identifier": [{"system": f"http://{MARKER}.example/ecg", "value": MARKER}],
        "subject": reference,
        "encounter": reference | {"reference": f"Encounter/{MARKER}"},
        "performer": [reference | {"reference": f"Practitioner/{MARKER}"}],
        "basedOn": [reference | {"reference": f"ServiceRequest/{MARKER}"}],
        "device": reference | {"reference": f"Device/{MARKER}"},
        "note": [{"text": MARKER, "authorString": MARKER}],
        "method": {"text": MARKER},
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{MARKER}</div>'},
    }
    ecg["code"]["text"] = MARKER
    return ecg


def refused_bodies(ecg: dict[str, Any]) -> Iterator[bytes]:
    """Give bodies that are refused, each for something that holds the marker."""
    for name in ("status", "effectiveDateTime", "subject", "component", MARKER):
        yield json.dumps(ecg | {name: MARKER}).encode()
    for name in ("data", "lowerLimit", "dimensions", MARKER):
        broken = json.loads(json.dumps(ecg))
        broken["component"][3]["valueSampledData"][name] = MARKER
        yield json.dumps(broken).encode()
    yield json.dumps(ecg).encode()[:-20]
    yield json.dumps({"resourceType": MARKER}).encode()
    yield f"{MARKER}".encode()
    yield f'{{"{MARKER}": "\\ud800"}}'.encode()


def ask_for_the_marker(watched: Deployment) -> None:
    """Name the patient in every part of a request that the service or its HTTP server could repeat."""
    base = watched.base
    for query in (f"subject=Patient/{MARKER}", f"identifier={MARKER}", f"{MARKER}=1", f"_format={MARKER}"):
        watched.http.get(f"{base}/Observation?{query}")
    for address in (f"Observation/{MARKER}", f"Patient/{MARKER}", f"Observation/{MARKER}/_history/1", MARKER):
        watched.http.get(f"{base}/{address}?x={MARKER}")
    watched.http.request("DELETE", f"{base}/Observation/{MARKER}")
    watched.http.post(f"{base}/", json.dumps({"resourceType": "Bundle", "type": MARKER}), headers=json_headers())
    watched.http.post(f"{base}/Observation", MARKER, headers={"Content-Type": MARKER})
    watched.http.post(f"{base}/Observation", f"<Observation>{MARKER}", headers={"Content-Type": "application/fhir+xml"})
    watched.http.post(f"{base}/Observation", "{}", headers=json_headers() | {"If-None-Exist": f"{MARKER}={MARKER}"})
    for name in ("X-Request-Id", "User-Agent", "Referer", "tracestate", "baggage", "Authorization"):
        requests.get(f"{base}/metadata", headers={name: f"{MARKER} {MARKER}={MARKER}"}, timeout=30)
    for raw in (
        f"GET /fhir/Observation?subject={MARKER} and more HTTP/1.1\r\n\r\n",
        f"GET /fhir/Observation HTTP/1.1\r\n{MARKER} {MARKER}\r\n\r\n",
        f"{MARKER}(/fhir HTTP/1.1\r\n\r\n",
        f"POST /fhir/Observation?{MARKER} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{MARKER}\r\n",
    ):
        with closing(socket.create_connection(("127.0.0.1", watched.port), timeout=30)) as connection:
            connection.sendall(raw.encode())
            connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                connection.recv(4096)  # the answer, or the end of the connection


def json_headers() -> dict[str, str]:
    return {"Content-Type": FHIR_JSON, "traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": f"m={MARKER}"}


def execute(watched: Deployment, *statements: str) -> None:
    engine = open_engine(watched.database_url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def messages(watched: Deployment) -> bytes:
    """Read what lies in the broker."""
    url = watched.environment.get("FHIR_ECG_BROKER_URL", "")
    if not url:
        folder = watched.folder / "data" / "broker"
        return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    with redis.Redis.from_url(url) as client:
        found = [client.lrange(key, 0, -1) for key in client.scan_iter() if client.type(key) == b"list"]
    return b"".join(message for queue in found for message in queue)


def break_the_data(watched: Deployment) -> None:
    """Let the worker find what it cannot decode, with the marker in the place at fault."""
    engine = open_engine(watched.database_url)
    with engine.begin() as connection:
        for identity, body in connection.execute(text("SELECT id, body FROM submission")).all():
            broken = json.loads(bytes(body))
            broken["component"][2]["valueSampledData"]["data"] = f"1 2 {MARKER}"
            new = {"id": identity, "body": json.dumps(broken).encode()}
            connection.execute(text("UPDATE submission SET body = :body WHERE id = :id"), new)
    engine.dispose()


def let_writing_fail(watched: Deployment) -> None:
    if watched.database_url.startswith("sqlite"):
        execute(watched, "DROP TABLE search_token")
    else:  # PostgreSQL's answer holds the row that it refuses
        execute(watched, "ALTER TABLE search_token ADD CONSTRAINT nothing CHECK (false) NOT VALID")


def lines(watched: Deployment) -> list[dict[str, Any]]:
    """Read every line of web and worker; each is a JSON object, but for the one that Celery writes as it ends."""
    logs = [path.read_text() for path in watched.folder.glob("w*.log")]
    said = (line for log in logs for line in log.splitlines())
    return [json.loads(line) for line in said if line and line != "worker: Warm shutdown (MainProcess)"]


def worker_metrics(watched: Deployment) -> str:
    port = watched.environment["FHIR_ECG_WORKER_METRICS_PORT"]
    return requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text


def test_the_marker_is_nowhere_but_in_the_database(
    watched: Deployment, collector: Receiver, examples: dict[str, bytes], tmp_path: Path
) -> None:
    ecg = marked(examples["atrial-fibrillation"])
    watched.environment["FHIR_ECG_WAKE_AGAIN_SECONDS"] = "0.5"
    watched.start_web()
    sent = watched.http.post(f"{watched.base}/Observation", json.dumps(ecg), headers=json_headers())
    assert sent.status_code == 201, sent.text
    in_broker = messages(watched)
    break_the_data(watched)
    worker = watched.start_worker()
    wait_until(lambda: bool(watched.rows(select(JobRow).where(JobRow.state == "failed"))), 120, "the job has failed")

    good = watched.http.post(f"{watched.base}/Observation", json.dumps(ecg), headers=json_headers())
    assert watched.report_of(good.json()["id"])["status"] == "partial"
    refused = [
        watched.http.post(f"{watched.base}/Observation", body, headers=json_headers()).status_code
        for body in refused_bodies(ecg)
    ]
    assert set(refused) == {400, 422}
    ask_for_the_marker(watched)
    let_writing_fail(watched)
    failed = watched.http.post(f"{watched.base}/Observation", json.dumps(ecg), headers=json_headers())
    assert failed.status_code in {500, 503}  # SQLite calls it an error of operation
    told = watched.http.get(f"http://127.0.0.1:{watched.port}/metrics").text + worker_metrics(watched)
    (job,) = watched.rows(select(JobRow).where(JobRow.state == "failed"))
    worker.terminate()
    watched.stop()

    said = lines(watched)
    loggers = {line["logger"] for line in said}
    assert {"fhir_ecg.api.access", "fhir_ecg.service.classify", "fhir_ecg.api.errors", "worker.tasks"} <= loggers
    assert {line["role"] for line in said} == {"web", "worker"}
    assert sum("refused unread: BadRequest" in line["message"] for line in said) >= 2
    spans = collector.spans()
    of_the_client = {service for service, span in spans if span.trace_id.hex() == "a" * 32}
    assert of_the_client == {"fhir-ecg-web", "fhir-ecg-worker"}, "the worker's part hangs on the client's trace"
    assert b"argsrepr" in in_broker or b"body" in in_broker
    for counted in ("released", "cancelled", "read"):
        assert re.search(rf'fhir_ecg_job_attempts_total{{outcome="{counted}"}} [1-9]', told)
    assert 'fhir_ecg_observations_accepted_total{form="json"} 2.0' in told
    reason = {500: "exception", 503: "transient"}[failed.status_code]
    assert f'fhir_ecg_observations_refused_total{{reason="{reason}"}} 1.0' in told
    everywhere = {
        "logs": watched.logs() + "".join(path.read_text() for path in tmp_path.glob("*.log")),
        "metrics": told,
        "traces": b"".join(collector.bodies).decode(errors="replace"),
        "broker": in_broker.decode(errors="replace"),
        "job": job.error or "",
    }
    assert {place: spot(found) for place, found in everywhere.items() if MARKER in found} == {}


def spot(found: str) -> str:
    place = found.index(MARKER)
    return found[max(0, place - 200) : place + 50]


def test_a_database_that_disappears_is_told_without_what_was_sent(
    watched: Deployment, examples: dict[str, bytes], tmp_path: Path
) -> None:
    ecg = json.dumps(marked(examples["atrial-fibrillation"]))
    watched.start_web()
    watched.start_worker()
    first = watched.http.post(f"{watched.base}/Observation", ecg, headers=json_headers())
    assert watched.report_of(first.json()["id"])["status"] == "partial"
    take_the_database_away(watched)

    answers = [
        watched.http.post(f"{watched.base}/Observation", ecg, headers=json_headers()),
        watched.http.get(f"{watched.base}/Observation?subject=Patient/{MARKER}"),
    ]
    ready = watched.http.get(f"http://127.0.0.1:{watched.port}/readyz")
    told = watched.http.get(f"http://127.0.0.1:{watched.port}/metrics").text
    wait_until(lambda: any("the sweep failed" in line["message"] for line in lines(watched)), 60, "the worker notices")
    watched.stop()

    assert {answer.status_code for answer in answers} <= {500, 503}
    assert ready.status_code == 503
    assert "database" in ready.json()["checks"]["database"]
    assert "fhir_ecg_database_up 0.0" in told
    logs = "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert MARKER not in logs + told + ready.text
    assert all(MARKER not in answer.text for answer in answers)


def take_the_database_away(watched: Deployment) -> None:
    if watched.database_url.startswith("sqlite"):
        for path in (watched.folder / "data").glob("fhir-ecg.sqlite3*"):
            path.write_bytes(b"no database" * 1000)
        return
    address, _, name = watched.database_url.partition("?")[0].rpartition("/")
    options = watched.database_url.partition("?")[2]
    server = f"{address}/postgres" + (f"?{options}" if options else "")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload] # its fixture drops it

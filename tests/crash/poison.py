"""An ECG that kills whoever reads it is given up, while others pass it by."""

import json
from concurrent.futures import ThreadPoolExecutor

import requests
from invariants import check, stuck
from sender import Sender
from service import Service

from fhir_ecg.fhir.ecg_observation import Sent as SentObservation
from fhir_ecg.fhir.ecg_observation import read_joined

POISON = "left-bundle-branch-block"


def poison(service: Service, others: int, prefix: str) -> list[str]:
    """Send a deadly ECG among others; returns what is wrong."""
    sender = Sender(service.base, service.ledger)
    harmless = [name for name in sender.names if name != POISON]
    deadly = f"{prefix}-poison"
    service.control.poison(_recording_sha256(sender.example(POISON)))
    names = {f"{prefix}-{number}": harmless[number % len(harmless)] for number in range(others)}
    names = dict([*list(names.items())[: others // 4], (deadly, POISON), *list(names.items())[others // 4 :]])
    with ThreadPoolExecutor(8) as senders:
        list(senders.map(lambda name: sender.send(name, names[name]), names))
    problems = stuck(service) + check(service, service.ledger.sent)
    died = service.control.poisoned()
    if died != service.maximum_attempts:
        problems.append(f"the poison killed {died} processes, not {service.maximum_attempts}")
    for sent in service.ledger.sent:
        report = _report(service, sent.observation_id or "")
        wanted = "cancelled" if sent.identifier == deadly else "partial"
        if report["status"] != wanted or (wanted == "cancelled" and "failed" not in report["conclusion"]):
            problems.append(f"{sent.identifier}: {report['status']}, not {wanted}: {report.get('conclusion')}")
    return problems


def _recording_sha256(observation: bytes) -> str:
    return read_joined([SentObservation(json.loads(observation))], frozenset()).sha256()


def _report(service: Service, observation_id: str) -> dict[str, str]:
    query = {"result": f"Observation/{observation_id}"}
    bundle = requests.get(f"{service.base}/DiagnosticReport", params=query, timeout=30).json()
    report: dict[str, str] = bundle["entry"][0]["resource"]
    return report

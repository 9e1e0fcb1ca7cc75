"""An EHR that sends each ECG until it is taken, and keeps a ledger of what it was told."""

import json
import threading
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

import requests

from fhir_ecg.examples import example_observations

SYSTEM = "http://hospital.example/ecg"
_FHIR_JSON = "application/fhir+json"
_TIMEOUT_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 1.0
_GIVE_UP_SECONDS = 120.0
_AGAIN = 0.25
"""How many of the answered ECGs are sent once more."""


@dataclass
class Sent:
    """One ECG, as its sender knows it."""

    identifier: str
    example: str
    by_key: bool
    """Sent with an Idempotency-Key, else with If-None-Exist."""
    observation_id: str | None = None
    acknowledged_at: float = 0.0
    answers: list[str] = field(default_factory=list)


class Ledger:
    """All that was sent; the truth from outside."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.problems: list[str] = []
        self._lock = threading.Lock()

    def add(self, sent: Sent) -> None:
        with self._lock:
            self.sent.append(sent)

    def unanswered(self) -> list[Sent]:
        with self._lock:
            return [sent for sent in self.sent if sent.observation_id is None]


class Sender:
    """Sends to one service; used by many threads."""

    def __init__(self, base: str, ledger: Ledger) -> None:
        self._url = f"{base}/Observation"
        self._ledger = ledger
        self._examples = {name: json.loads(body) for name, body in example_observations().items()}
        self.names = sorted(self._examples)
        self.stop = threading.Event()

    def send(self, identifier: str, example: str | None = None) -> Sent:
        """Send an ECG until it is acknowledged; sometimes once more."""
        chance = Random(identifier)
        sent = Sent(identifier, example or chance.choice(self.names), by_key=chance.random() < 0.5)
        self._ledger.add(sent)
        body = self.body(sent)
        with requests.Session() as http:
            sent.observation_id = self._until_taken(http, sent, body)
            sent.acknowledged_at = time.monotonic()
            if sent.observation_id and chance.random() < _AGAIN:
                again = self._until_taken(http, sent, body)
                if again not in (sent.observation_id, None):
                    self._ledger.problems.append(f"{identifier}: sent again, it became {again}")
        return sent

    def example(self, name: str) -> bytes:
        """Write an example without an identifier of its own."""
        return json.dumps(self._examples[name]).encode()

    def body(self, sent: Sent) -> bytes:
        """Write the Observation."""
        own: dict[str, Any] = {"identifier": [{"system": SYSTEM, "value": sent.identifier}]}
        return json.dumps(self._examples[sent.example] | own).encode()

    def _until_taken(self, http: requests.Session, sent: Sent, body: bytes) -> str | None:
        condition = {"If-None-Exist": f"identifier={SYSTEM}|{sent.identifier}"}
        if sent.by_key:
            condition = {"Idempotency-Key": f"key-{sent.identifier}"}
        headers = {"Content-Type": _FHIR_JSON, **condition}
        deadline = time.monotonic() + _GIVE_UP_SECONDS
        wait = 0.05
        while not self.stop.is_set():
            try:
                answer = http.post(self._url, body, headers=headers, timeout=_TIMEOUT_SECONDS)
            except requests.RequestException as error:
                sent.answers.append(type(error).__name__)
            else:
                sent.answers.append(str(answer.status_code))
                if answer.status_code in {200, 201}:
                    identity: str = answer.json()["id"]
                    return identity
                if answer.status_code != 429 and answer.status_code < 500:
                    self._ledger.problems.append(f"{sent.identifier}: {answer.status_code} {answer.text[:300]}")
                    return None
                wait = float(answer.headers.get("Retry-After", wait))
            if time.monotonic() > deadline:
                self._ledger.problems.append(f"{sent.identifier}: not taken in {_GIVE_UP_SECONDS:g} s: {sent.answers}")
                return None
            self.stop.wait(min(wait, _LONGEST_WAIT_SECONDS))
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
        return None

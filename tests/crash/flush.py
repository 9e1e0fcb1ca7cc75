"""All wake-ups are lost while ECGs wait: each is read all the same."""

import time
from concurrent.futures import ThreadPoolExecutor

from invariants import check, stuck
from sender import Sender
from service import Service
from steps import Step

_HELD_SECONDS = 60.0


def flush(service: Service, waiting: int, prefix: str) -> list[str]:
    """Let ECGs wait, empty the broker, and see whether all are read; returns what is wrong."""
    sender = Sender(service.base, service.ledger)
    before = len(service.ledger.sent)
    holds = [f"{prefix}-hold-{number}" for number in range(service.workers)]
    for hold in holds:
        service.control.arm(hold, Step.IN_INFERENCE, "wait")
    try:
        with ThreadPoolExecutor(8) as senders:
            list(senders.map(sender.send, [f"{prefix}-{number}" for number in range(waiting + len(holds))]))
        _await_held(service, holds)
        lost = service.forget_messages()
    finally:
        for hold in holds:
            service.control.disarm(hold)
            service.control.let_go(hold)
    problems = [] if lost else ["the broker held nothing"]
    return problems + stuck(service) + check(service, service.ledger.sent[before:])


def _await_held(service: Service, holds: list[str]) -> None:
    """Wait until each worker stands still with an ECG, so that all others wait."""
    deadline = time.monotonic() + _HELD_SECONDS
    while not all(service.control.met_by(hold) for hold in holds):
        if time.monotonic() > deadline:
            raise TimeoutError("a worker took no ECG")
        time.sleep(0.05)

"""Many ECGs through two workers: none is lost, and no process grows."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from invariants import check, stuck
from sender import Sender
from service import Service

_SAMPLES = 10
_FLAT_FRACTION = 0.05
_FLAT_MEGABYTES = 8.0


@dataclass
class Soaked:
    """What was measured."""

    memory: dict[int, dict[str, float]] = field(default_factory=dict)
    """Private megabytes of each process, after so many ECGs were read."""
    seconds: float = 0.0
    oldest_age: float = 0.0
    problems: list[str] = field(default_factory=list)


def soak(service: Service, ecgs: int, prefix: str, progress: Callable[[int], None]) -> Soaked:
    """Send ECGs as fast as they are taken; measure after each tenth is read."""
    sender = Sender(service.base, service.ledger)
    soaked = Soaked()
    began = time.monotonic()
    tenths = [ecgs * part // _SAMPLES for part in range(1, _SAMPLES + 1)]
    with ThreadPoolExecutor(8) as senders:
        sending = [senders.submit(sender.send, f"{prefix}-{number}") for number in range(ecgs)]
        read = 0
        for target in tenths:
            while read < target and not (read == _finished(service) and all(each.done() for each in sending)):
                read = _finished(service)
                progress(read)
                time.sleep(1)
            soaked.memory[target] = dict(_private_megabytes(service))
    soaked.problems += stuck(service)
    soaked.seconds = time.monotonic() - began
    soaked.oldest_age = service.metric("fhir_ecg_oldest_job_age_seconds")
    if soaked.oldest_age:
        soaked.problems.append(f"the oldest job is {soaked.oldest_age:g} s old")
    soaked.problems += check(service, service.ledger.sent)
    soaked.problems += _grown(soaked.memory[tenths[0]], soaked.memory[tenths[-1]])
    return soaked


def _finished(service: Service) -> int:
    return int(sum(service.metric(f'fhir_ecg_jobs{{state="{state}"}}') for state in ("done", "failed")))


def _private_megabytes(service: Service) -> Iterator[tuple[str, float]]:
    for name, process in service.processes().items():
        yield name, process.memory_full_info().uss / 2**20


def _grown(first: dict[str, float], last: dict[str, float]) -> list[str]:
    allowed = {name: max(size * (1 + _FLAT_FRACTION), size + _FLAT_MEGABYTES) for name, size in first.items()}
    if first.keys() != last.keys():
        return [f"processes changed from {sorted(first)} to {sorted(last)}"]
    return [
        f"{name} grew from {first[name]:.0f} to {last[name]:.0f} MB" for name in first if last[name] > allowed[name]
    ]

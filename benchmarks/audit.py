"""What the audit chain costs: accepted ECGs a second with it, with plain audit entries, and with none.

    python benchmarks/audit.py [--rounds 12] [--seconds 2] [--threads 8] [--databases sqlite,postgresql]

The three take turns in one run on one database, so that what else the machine does falls on all. Ends with 1 if the
chain takes more than 10 % of the ECGs a second that are accepted without any audit.
"""  # noqa: INP001 -- a folder of scripts, no package

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from databases import empty_databases
from sqlalchemy import insert
from sqlalchemy.orm import Session
from tqdm import tqdm

from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.examples import example_observations
from fhir_ecg.fhir.document import Form
from fhir_ecg.service.application import Application, Caller
from fhir_ecg.service.submit import submit
from fhir_ecg.settings import Settings
from fhir_ecg.store import audit
from fhir_ecg.store.migrations import upgrade
from fhir_ecg.store.tables import AuditEventRow

LIMIT = 0.90


def _append_plain(session: Session, entries: Sequence[dict[str, Any]]) -> None:
    """Write the entries without a chain."""
    session.execute(insert(AuditEventRow), entries)


def _write_nothing(_: audit.AuditTrail) -> None:
    """Leave the entries out."""


WAYS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "chain": nullcontext,
    "plain entries": lambda: mock.patch.multiple(audit, append=_append_plain, evidence_of=lambda _: {}),
    "no audit": lambda: mock.patch.object(audit.AuditTrail, "close", _write_nothing),
}


class Measured(NamedTuple):
    """What one way came to in one round."""

    rate: float
    """Accepted ECGs a second."""
    computing: float
    """Milliseconds of this process for each."""


def accepted(application: Application, bodies: list[bytes], threads: int, seconds: float) -> Measured:
    """Send ECGs from several threads for a while."""
    end = time.monotonic() + seconds
    barrier = threading.Barrier(threads)

    def send(number: int) -> int:
        barrier.wait()
        done = 0
        while time.monotonic() < end:
            submit(application, bodies[(number + done) % len(bodies)], Form(), Caller("benchmark", "request"))
            done += 1
        return done

    start, computed = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(send, range(threads)))
    return Measured(done / (time.monotonic() - start), 1000 * (time.process_time() - computed) / done)


def compare(url: str, folder: Path, rounds: int, seconds: float, threads: int) -> dict[str, list[Measured]]:
    """Measure each way in turns, in another order each time."""
    application = bootstrap(Settings(data_dir=folder, database_url=url))
    application = replace(application, wake=lambda _: None, policy=replace(application.policy, queue_limit=10_000_000))
    upgrade(application.store.engine)
    bodies = list(example_observations().values())
    rates: dict[str, list[Measured]] = {name: [] for name in WAYS}
    names = list(WAYS)
    for number in tqdm(range(-1, rounds), desc="rounds"):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            with WAYS[name]():
                rate = accepted(application, bodies, threads, seconds)
            if number >= 0:  # the first round fills caches
                rates[name].append(rate)
    application.store.engine.dispose()
    return rates


def show(database: str, rates: dict[str, list[Measured]]) -> bool:
    """Print a table; returns whether the promise is kept."""
    print(f"\n{database}: accepted ECGs a second, median (least to most), the median ratio to no audit of each round,")
    print("and the milliseconds that this process computes for each ECG, which other programs disturb less")
    ratios = {}
    for name, found in rates.items():
        ratios[name] = statistics.median(a.rate / b.rate for a, b in zip(found, rates["no audit"], strict=True))
        rate = [each.rate for each in found]
        shown = f"{statistics.median(rate):8.1f} ({min(rate):.1f} to {max(rate):.1f})"
        print(f"{name:16}{shown:28}{ratios[name]:8.3f}{statistics.median(m.computing for m in found):8.2f} ms")
    return ratios["chain"] >= LIMIT


def main() -> int:
    """Measure; the exit status tells whether the promise is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--databases", default="sqlite,postgresql")
    arguments = parser.parse_args()
    kept = True
    for database in arguments.databases.split(","):
        with empty_databases(database, "audit") as (folder, [url]):
            rates = compare(url, folder, arguments.rounds, arguments.seconds, arguments.threads)
            kept = show(database, rates) and kept
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())

"""Kills at every step while ECGs are sent, in rounds; after each round nothing may be lost, twice or stuck."""

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import psutil
from invariants import check, seen_in_database, settle
from sender import Sender, Sent
from service import Service
from steps import ACTS, Case, Step, Victim

LANES = 3
"""Cases at the same time."""
ATTEMPTS = 10
"""Many, so that no ECG is given up for having met several kills by chance."""
_MET_SECONDS = 120.0
_ANOTHER_SECONDS = 4.0
_FELT_SECONDS = 20.0
_FULL = re.compile(r"full|too large|space|extend|disk I O|MISCONF|ChannelError|recovery|refused|closed|terminat", re.I)


@dataclass
class Tally:
    """What came of the cases."""

    done: Counter[tuple[str, Victim, Step]] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    ecgs: int = 0
    longest_wait: float = 0.0
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        return sum(self.done.values())


class Campaign:
    """Cases against one service."""

    def __init__(self, service: Service, tally: Tally, progress: Callable[[Case], None]) -> None:
        self._service = service
        self._control = service.control
        self._sender = Sender(service.base, service.ledger)
        self._tally = tally
        self._progress = progress
        self._seen = 0
        self._senders = ThreadPoolExecutor(16)

    def close(self) -> None:
        """End the senders."""
        self._sender.stop.set()
        self._senders.shutdown()

    def round(self, cases: Sequence[Case]) -> None:
        """Do the cases that this machine allows, some at once; then check."""
        cases = [case for case in cases if self._service.can_do(case)]
        with ThreadPoolExecutor(LANES) as lanes:
            try:
                for problem in lanes.map(self._do, cases):
                    self._tally.violations += problem
            except BaseException:  # Ctrl-C ends the cases that have begun, too
                self._sender.stop.set()
                lanes.shutdown(wait=False, cancel_futures=True)
                raise
        self._check()

    def final_check(self) -> None:
        """Look at every ECG once more, and let the processes end."""
        self._seen = 0
        self._check()
        service, tally = self._service, self._tally
        tally.ecgs += len(service.ledger.sent)
        tally.violations += service.end()
        # Now nobody is left who could write once more.
        tally.violations += seen_in_database(service, service.ledger)

    def _do(self, case: Case) -> list[str]:
        name = f"case-{case.number}"
        sent: list[Future[Sent]] = []

        def send() -> None:
            identifier = f"{case.kind}-{case.seed}-{case.number}-{len(sent)}"
            sent.append(self._senders.submit(self._sender.send, identifier))

        try:
            if case.victim in ACTS:
                self._meet(case, name, send)
                _await_death(self._await_met(name, send))
            else:
                with self._service.disturbing:
                    self._meet(case, name, send)
                    pid = self._await_met(name, send)
                    if case.victim == Victim.STALL:  # one at a time: another worker must be there to take over
                        self._stall(case, name, pid)
                    else:
                        self._disturb(case, name, send)
            for future in sent:
                future.result()
        except TimeoutError as error:
            return [f"{case}: {error}; {case.repeat}"]
        finally:
            self._control.disarm(name)
            self._control.disarm(f"{name}-before")
            self._control.let_go(name)
        self._tally.done[case.kind, case.victim, case.step] += 1
        self._progress(case)
        return []

    def _meet(self, case: Case, name: str, send: Callable[[], None]) -> None:
        """Arm the step and send what will reach it."""
        if case.step == Step.AFTER_SWEEP:  # comes to pass only where a wake-up was lost
            self._control.arm(f"{name}-before", Step.AFTER_ACCEPT, "self")
        self._control.arm(name, case.step, ACTS.get(case.victim, "wait"))
        for _ in range(case.ecgs):
            send()

    def _disturb(self, case: Case, name: str, send: Callable[[], None]) -> None:
        disturb = {
            Victim.BROKER: self._kill_broker,
            Victim.DATABASE: self._kill_database,
            Victim.DISK: self._fill_disk,
            Victim.CUT_BROKER: self._cut_broker,
            Victim.CUT_DATABASE: self._cut_database,
        }
        disturb[case.victim](case, name, send)

    def _stall(self, case: Case, name: str, pid: int) -> None:
        """Stop a process for longer than its lease; it may then find itself too late, and end."""
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(self._service.patience.lease + 1 + case.away_seconds)
        finally:
            self._control.let_go(name)
            os.kill(pid, signal.SIGCONT)

    def _await_met(self, name: str, send: Callable[[], None]) -> int:
        """Wait until the armed step is reached; send more where it is not."""
        began = another = time.monotonic()
        while (pid := self._control.met_by(name)) is None:
            now = time.monotonic()
            if now > began + _MET_SECONDS or self._sender.stop.is_set():
                raise TimeoutError("the step was not reached")
            if now > another + _ANOTHER_SECONDS:
                another = now
                send()
            time.sleep(0.01)
        return pid

    def _away(self, case: Case, name: str, back: Callable[[], None]) -> None:
        """Let the process at the step go on, before or after what it needs is back."""
        if not case.back_first:
            self._control.let_go(name)
        time.sleep(case.away_seconds)
        back()
        self._control.let_go(name)

    def _kill_broker(self, case: Case, name: str, _: Callable[[], None]) -> None:
        assert self._service.redis is not None
        self._service.redis.kill()
        self._away(case, name, self._service.redis.start)

    def _kill_database(self, case: Case, name: str, _: Callable[[], None]) -> None:
        assert self._service.postgres is not None
        self._service.postgres.kill()
        self._away(case, name, self._service.postgres.start)

    def _cut_broker(self, case: Case, name: str, _: Callable[[], None]) -> None:
        assert self._service.broker_way is not None
        self._service.broker_way.cut()
        self._away(case, name, self._service.broker_way.join)

    def _cut_database(self, case: Case, name: str, _: Callable[[], None]) -> None:
        assert self._service.database_way is not None
        self._service.database_way.cut()
        self._away(case, name, self._service.database_way.join)

    def _fill_disk(self, case: Case, name: str, send: Callable[[], None]) -> None:
        """Fill it until a process has felt it."""
        before = len(self._control.failures())
        self._service.disk.fill()
        try:
            self._control.let_go(name)
            deadline = time.monotonic() + _FELT_SECONDS
            while not any(_FULL.search(failure) for failure in self._control.failures()[before:]):
                if time.monotonic() > deadline:
                    raise TimeoutError("the full disk was not felt")
                send()
                time.sleep(1)
            time.sleep(case.away_seconds)
        finally:
            self._service.disk.lift()
            if self._service.postgres is not None:
                self._service.postgres.start()  # without space for its log it ends

    def _check(self) -> None:
        tally, sent = self._tally, self._service.ledger.sent
        try:
            self._service.await_ready()
            tally.longest_wait = max(tally.longest_wait, settle(self._service))
        except TimeoutError as error:
            tally.violations.append(f"stuck: {error}")
        tally.violations += check(self._service, sent[self._seen :])
        self._seen = len(sent)


def _await_death(pid: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} did not die")
        time.sleep(0.01)

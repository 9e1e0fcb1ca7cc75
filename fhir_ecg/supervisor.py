"""Several processes of `fhir-ecg` run as one: started again when they die, ended together.

Process managers from PyPI (honcho, circus) signal whole process groups, or are daemons of their own; here each process
gets SIGTERM itself, and its group SIGKILL only if it overstays.
"""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from fhir_ecg.stop_signals import StopSignals

logger = logging.getLogger(__name__)

GRACE_SECONDS = 25.0
STEADY_SECONDS = 10.0
"""A process that lived so long is started again without a long wait."""
_SHORTEST_WAIT, _LONGEST_WAIT = 0.5, 30.0
# What the command line ends with where a setting is wrong or a port is taken: it would be so again.
_REFUSAL = 2
_SUPERVISOR = "FHIR_ECG_SUPERVISOR_PID"
_PR_SET_PDEATHSIG = 1


class RefusedToStartError(Exception):
    """A process ended at its start, and would again."""


class Supervised:
    """A process that is started again when it ends: at once if it meant to, else after a growing while."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._wait = _SHORTEST_WAIT
        self._start()

    def _start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fhir_ecg", *self._command],
            env={**os.environ, **self._environment, _SUPERVISOR: str(os.getpid())},
            start_new_session=True,  # Ctrl-C reaches this process alone
        )
        self._started = time.monotonic()
        self._due: float | None = None

    def watch(self) -> None:
        """Start the process again if it has ended and its wait is over.

        Raises:
            RefusedToStartError: It says that it cannot run.
        """
        if self._due is not None:
            if time.monotonic() >= self._due:
                self._start()
            return
        if (status := self.process.poll()) is None:
            return
        kill_group(self.process)  # what it may have left behind
        if status == _REFUSAL:
            raise RefusedToStartError(self.name)
        self._due = time.monotonic() + self._next_wait(status, time.monotonic() - self._started)

    def _next_wait(self, status: int, lived: float) -> float:
        if status == 0:  # it makes room for a fresh one
            return 0
        if lived >= STEADY_SECONDS:
            self._wait = _SHORTEST_WAIT
        wait, self._wait = self._wait, min(2 * self._wait, _LONGEST_WAIT)
        logger.warning("the %s process %s; it is started again", self.name, _how_it_ended(status))
        return wait


def supervise(commands: Mapping[str, Sequence[str]], environment: Mapping[str, str]) -> int:
    """Run commands of `fhir-ecg` until a signal arrives; then end them all.

    Returns:
        0 after a signal, 1 where a process refuses to start.
    """
    stop = StopSignals()
    processes: list[Supervised] = []
    try:
        for name, command in commands.items():
            processes.append(Supervised(name, command, environment))
        while not stop.arrived:
            time.sleep(0.2)
            for each in processes:
                each.watch()
    except RefusedToStartError as error:
        logger.error("the %s process could not start; stopping the others", error.args[0])  # noqa: TRY400 - it said why
        return 1
    finally:
        _stop([each.process for each in processes])
        stop.ignore()
    return 0


def end_with_supervisor() -> None:
    """Ask Linux for SIGTERM when the supervisor of this process, if it has one, dies, even by SIGKILL."""
    supervisor = os.environ.pop(_SUPERVISOR, None)
    if supervisor is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(supervisor):  # it has died already
        sys.exit(0)


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill what is left of a process's group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _how_it_ended(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _stop(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        kill_group(process)
        process.wait()

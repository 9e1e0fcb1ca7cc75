"""`fhir-ecg serve`: the web and the worker process together, ended together.

Process managers from PyPI (honcho, circus) signal whole process groups, which would cut a worker's job in
hand short; here each process gets SIGTERM itself, and its group SIGKILL only if it overstays.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType

GRACE_SECONDS = 25.0
_PR_SET_PDEATHSIG = 1


class StopRequested(Exception):  # noqa: N818 - no error
    """SIGTERM or SIGINT arrived."""


def supervise(commands: Mapping[str, Sequence[str]], environment: Mapping[str, str]) -> int:
    """Run commands of `fhir-ecg` until a signal arrives or one of them ends; then end them all.

    Returns:
        0 after a signal, 1 where a process ended by itself.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _request_stop)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands.items():
            processes[name] = _start(command, environment)
        name = _wait_for_any(processes)
    except StopRequested:
        return 0
    else:
        print(f"fhir-ecg: the {name} process ended by itself; stopping the others", file=sys.stderr)
        return 1
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        _stop(list(processes.values()))


def _request_stop(_number: int, _frame: FrameType | None) -> None:
    raise StopRequested


def _start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "fhir_ecg", *command],
        env={**os.environ, **environment},
        start_new_session=True,  # Ctrl-C reaches this process alone
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - no threads here
    )


def _die_with_parent() -> None:
    """Ask Linux for SIGTERM when the supervisor dies, even by SIGKILL."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_for_any(processes: Mapping[str, subprocess.Popen[bytes]]) -> str:
    while True:
        for name, process in processes.items():
            if process.poll() is not None:
                return name
        time.sleep(0.2)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what is left of its group
        process.wait()

"""The folder over which the harness arms steps, and the processes at them answer."""

import os
import re
import signal
import time
from pathlib import Path

_PATIENCE_SECONDS = 600.0

_SUPERVISED = ("parent", "both")
_PARENT = os.getppid()


class Control:
    """Armed steps; each is met once, by whichever process reaches it first.

    All is said by names of empty files: a process that may write none can still speak.
    """

    def __init__(self, folder: Path) -> None:
        self._armed, self._met, self._go, self._poison, self._failures = (
            folder / name for name in ("armed", "met", "go", "poison", "failures")
        )
        for path in (self._armed, self._met, self._go, self._poison, self._failures):
            path.mkdir(parents=True, exist_ok=True)

    # The harness's side.

    def arm(self, name: str, step: str, act: str) -> None:
        """Arm a step; `act` is `wait`, `self`, `parent` or `both`."""
        (self._armed / f"{step}@{act}@{name}").touch()

    def disarm(self, name: str) -> None:
        """Take back what was not met."""
        for path in self._armed.glob(f"*@{name}"):
            path.unlink(missing_ok=True)

    def met_by(self, name: str) -> int | None:
        """Tell which process an armed step has met, or will have killed; None while none."""
        for path in self._met.glob(f"{name}@*"):
            return int(path.name.rpartition("@")[2])
        return None

    def let_go(self, name: str) -> None:
        """Let the process that waits at a step go on."""
        (self._go / name).touch()

    def poison(self, recording_sha256: str) -> None:
        """Let an ECG kill whoever reads it."""
        (self._poison / recording_sha256).touch()

    def poisoned(self) -> int:
        """Count the processes that an ECG has killed."""
        return len(list(self._met.glob("poison-*")))

    def failures(self) -> list[str]:
        """List the errors that came through a step so far."""
        return [path.name for path in sorted(self._failures.iterdir())]

    # The victims' side.

    def reach(self, step: str) -> None:
        """Do what was armed for a step, if anything was."""
        for entry in os.listdir(self._armed):  # noqa: PTH208 - it stands on the way of every ECG
            armed, act, name = entry.split("@")
            if armed != step or (act in _SUPERVISED and not _supervised()):
                continue
            try:
                os.unlink(self._armed / entry)  # noqa: PTH108
            except FileNotFoundError:
                continue
            self._meet(name, act)

    def taste(self, recording_sha256: str) -> None:
        """Die of a poisonous ECG."""
        if (self._poison / recording_sha256).exists():
            self._meet(f"poison-{os.getpid()}", "self")

    def fail(self, step: str, error: BaseException) -> None:
        """Record that an error came through a step."""
        text = re.sub(r"\W+", " ", f"{type(error).__name__} {error}")
        (self._failures / f"{time.time_ns()} {os.getpid()} {step} {text}"[:240]).touch()

    def _meet(self, name: str, act: str) -> None:
        (self._met / f"{name}@{_PARENT if act in _SUPERVISED else os.getpid()}").touch()
        if act in _SUPERVISED:
            os.kill(_PARENT, signal.SIGKILL)
        if act in {"self", "both"}:
            os.kill(os.getpid(), signal.SIGKILL)
        if act != "wait":
            return
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (self._go / name).exists() and time.monotonic() < deadline:
            time.sleep(0.005)


def _supervised() -> bool:
    """Tell whether this process has a supervisor of its own, other than the keeper, which still lives."""
    return os.environ["CRASH_ROLE"] == "worker" and os.getppid() == _PARENT

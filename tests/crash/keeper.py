"""Starts web and workers, and starts them again at once when they die, as systemd or Docker would.

It imports everything once and forks, which makes a start cost a tenth of what it costs otherwise; with `--fresh` each
process is a new interpreter, as deployed. Commands come as JSON lines on the standard input, news go to the
standard output. When the input ends, so do all processes.
"""

import gc
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

GRACE_SECONDS = 30.0
_AGAIN_SECONDS = 0.3
_NEEDED = (
    "celery.apps.worker",
    "celery.concurrency.solo",
    "fhir_ecg.api.app",
    "fhir_ecg.api.server",
    "fhir_ecg.bootstrap",
    "fhir_ecg.classifier.inference",
    "fhir_ecg.cli",
    "fhir_ecg.commands.serve",
    "fhir_ecg.redis_broker",
    "kombu.transport.redis",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
)


@dataclass
class Kept:
    """A process that is kept running."""

    name: str
    argv: list[str]
    pid: int = 0
    started_at: float = 0.0


class Keeper:
    """The processes; single-threaded, so that it may fork."""

    def __init__(self, folder: Path, *, fresh: bool) -> None:
        self._folder = folder
        self._fresh = fresh
        self._kept: dict[str, Kept] = {}
        self._ending = False
        self._input = b""

    def run(self) -> Kept | None:
        """Keep until told to end; returns in each forked child too, with what it is to be."""
        while True:
            readable, _, _ = select.select([0], [], [], 0.02)
            if readable:
                chunk = os.read(0, 65536)
                if not chunk:
                    self._kill()
                    return None
                self._input += chunk
                *lines, self._input = self._input.split(b"\n")
                for line in lines:
                    if self._obey(json.loads(line)):
                        return None
            for kept in self._kept.values():
                if kept.pid:
                    self._look_after(kept)
                elif time.monotonic() > kept.started_at + _AGAIN_SECONDS and self._start(kept):
                    return kept

    def _obey(self, command: dict[str, Any]) -> bool:
        if command["do"] == "keep":
            self._kept[command["name"]] = Kept(command["name"], command["argv"])
            return False
        self._end()
        return True

    def _start(self, kept: Kept) -> bool:
        """Fork; true in the child."""
        pid = os.fork()
        if pid == 0:
            os.setsid()
            log = os.open(self._folder / f"{kept.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((nothing, 0), (log, 1), (log, 2)):
                os.dup2(source, target)
            os.environ["CRASH_ROLE"] = kept.argv[0]
            # A worker with a supervisor starts its process anew: the steps come to it by sitecustomize.
            if self._fresh or kept.argv[0] == "worker":
                os.execv(sys.executable, [sys.executable, "-m", "fhir_ecg", *kept.argv])  # noqa: S606
            return True
        kept.pid, kept.started_at = pid, time.monotonic()
        _tell(event="started", name=kept.name, pid=pid)
        return False

    def _look_after(self, kept: Kept) -> None:
        pid, status = os.waitpid(kept.pid, os.WNOHANG)
        if pid:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # what is left of it, as systemd and Docker do
            kept.pid = 0
            _tell(event="ended", name=kept.name, pid=pid, status=os.waitstatus_to_exitcode(status))

    def _end(self) -> None:
        """Ask all to end; tell of those that do not."""
        running = [kept for kept in self._kept.values() if kept.pid]
        for kept in running:
            os.kill(kept.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(kept.pid for kept in running) and time.monotonic() < deadline:
            for kept in running:
                if kept.pid:
                    self._look_after(kept)
            time.sleep(0.02)
        for kept in running:
            if kept.pid:
                os.killpg(kept.pid, signal.SIGABRT)  # faulthandler writes all stacks into the log
                _tell(event="overstays", name=kept.name)
        time.sleep(0.5)
        self._kill()
        _tell(event="ending")

    def _kill(self) -> None:
        for kept in self._kept.values():
            if kept.pid:
                with suppress(ProcessLookupError):
                    os.killpg(kept.pid, signal.SIGKILL)
                os.waitpid(kept.pid, 0)


def _tell(**news: Any) -> None:
    os.write(1, json.dumps(news).encode() + b"\n")


def _prepare(control_folder: Path) -> None:
    """Import all that web and workers need, and put the steps in."""
    for name in _NEEDED:
        import_module(name)
    from control import Control
    from doomed import doom

    doom(Control(control_folder))
    gc.collect()
    gc.freeze()


def main() -> None:
    """Run as `keeper.py FOLDER CONTROL [--fresh]`."""
    folder, control_folder, *rest = sys.argv[1:]
    fresh = rest == ["--fresh"]
    if not fresh:
        _prepare(Path(control_folder))
    _tell(event="ready")
    kept = Keeper(Path(folder), fresh=fresh).run()
    if kept is not None:
        from fhir_ecg.cli import main as fhir_ecg_main

        sys.argv = ["fhir-ecg", *kept.argv]
        fhir_ecg_main()


if __name__ == "__main__":
    main()

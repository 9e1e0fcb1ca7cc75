"""Bringing a database to the tables of this version, and back.

Old and new processes run side by side during an upgrade: a migration only adds, and what it adds to a table that was
there before is null or has a default, so that versions which do not know it can go on writing. What is no longer used
is dropped by a later release.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from fhir_ecg.store.engine import WRITES


class UnknownRevisionError(ValueError):
    """A revision that this version does not have."""


# Any number that no other application locks in the same database.
_ADVISORY_LOCK = 0x0EC6_F41A


def upgrade(engine: Engine) -> str:
    """Run the migrations that are missing, under a lock; returns the revision reached.

    A database that a newer version has brought further is left as it is.
    """
    with _locked(engine) as (connection, config):
        if not _is_newer(_revision(connection), config):
            command.upgrade(config, "head")
        return _revision(connection) or ""


def downgrade(engine: Engine, revision: str) -> str:
    """Take migrations back, under the same lock, to a revision that an older version needs; returns it.

    Raises:
        UnknownRevisionError: This version has no such revision, or knows not the one that the database is at.
    """
    with _locked(engine) as (connection, config):
        known = _known(config)
        current = _revision(connection)
        if revision not in known:
            raise UnknownRevisionError(f"there is no revision {revision!r}; there are {', '.join(sorted(known))}")
        if current not in known:
            text = f"the database is at revision {current}, which only a newer version can take back: run it there"
            raise UnknownRevisionError(text)
        if current is not None and revision < current:
            command.downgrade(config, revision)
        return _revision(connection) or ""


def pending(engine: Engine) -> str | None:
    """Say what the database lacks for this version; None where it is sound, also where it is newer."""
    config = _config()
    with engine.connect() as connection:
        revision = _revision(connection)
    head = _head(config)
    if revision == head or _is_newer(revision, config):
        return None
    return f"the database is at revision {revision}, this version needs {head}: run `fhir-ecg db upgrade`"


def newer(engine: Engine) -> str | None:
    """Say that a newer version has brought the database further, which this one can work with for a while."""
    config = _config()
    with engine.connect() as connection:
        revision = _revision(connection)
    if not _is_newer(revision, config):
        return None
    return f"the database is at revision {revision}, newer than this version's {_head(config)}: end the upgrade soon"


@contextmanager
def _locked(engine: Engine) -> Iterator[tuple[Connection, Config]]:
    config = _config()
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        config.attributes["connection"] = connection
        yield connection, config


def _known(config: Config) -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}


def _head(config: Config) -> str | None:
    return ScriptDirectory.from_config(config).get_current_head()


def _is_newer(revision: str | None, config: Config) -> bool:
    """Tell whether a revision comes after those of this version: they are numbered."""
    return revision is not None and revision > max(_known(config))


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    package = Path(__file__).parents[1]
    installed, checkout = package / "migrations", package.parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(installed if installed.is_dir() else checkout))
    return config

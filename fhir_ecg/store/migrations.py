"""Bringing a database to the tables of this version."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from fhir_ecg.store.engine import WRITES

# Any number that no other application locks in the same database.
_ADVISORY_LOCK = 0x0EC6_F41A


def upgrade(engine: Engine) -> str:
    """Run the migrations that are missing, under a lock; returns the revision reached."""
    config = _config()
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return _revision(connection) or ""


def pending(engine: Engine) -> str | None:
    """Say what is wrong with the database's revision; None where it is this version's."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    with engine.connect() as connection:
        revision = _revision(connection)
    if revision == head:
        return None
    return f"the database is at revision {revision}, this version needs {head}: run `fhir-ecg db upgrade`"


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    package = Path(__file__).parents[1]
    installed, checkout = package / "migrations", package.parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(installed if installed.is_dir() else checkout))
    return config

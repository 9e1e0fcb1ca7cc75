"""Engines for PostgreSQL and SQLite."""

import sqlite3
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError

SQLITE_BUSY_SECONDS = 30
WRITES = "fhir_ecg_writes"

# A server that takes connections and never answers, or whose machine is gone, is given up after a while. Seconds,
# but tcp_user_timeout; the URL may say otherwise. https://www.postgresql.org/docs/current/libpq-connect.html
_POSTGRESQL_TIMEOUTS = {
    "connect_timeout": 3,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

DatabaseError = SQLAlchemyError
"""What any failure of the database is raised as."""
DatabaseAwayError = OperationalError
"""A failure that may pass: no connection, no room on the disk, a lock that was waited for too long."""


def database_problem(error: DatabaseError) -> str:
    """Say that the database does not answer, and what to look at."""
    return f"the database does not answer ({type(error).__name__}); is FHIR_ECG_DATABASE_URL right?"


def open_engine(url: str) -> Engine:
    """Open a database; `postgresql://` means psycopg 3.

    Raises:
        ValueError: It is neither PostgreSQL nor SQLite.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        timeouts = {name: value for name, value in _POSTGRESQL_TIMEOUTS.items() if name not in parsed.query}
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args=timeouts,
        )
    if parsed.get_backend_name() == "sqlite":
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": SQLITE_BUSY_SECONDS})
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    raise ValueError(f"{parsed.get_backend_name()} is not served; use postgresql:// or sqlite:///")


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not by the driver
    _write_ahead(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: Any) -> None:
    """Switch a new database to its write-ahead log; unlike for all else, SQLite does not wait for others here."""
    deadline = monotonic() + SQLITE_BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or monotonic() > deadline:
                raise
            sleep(0.05)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that will write takes the lock at once: upgraded later, it could fail with "locked".
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

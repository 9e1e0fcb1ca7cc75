"""What the chain holds, on disk for the time of a verification: it can be more than fits into memory."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC
from hashlib import sha256
from typing import Any, NamedTuple, Self

from fhir_ecg.store.audit_chain import EVIDENCE
from fhir_ecg.store.audit_index import index_rows
from fhir_ecg.store.tables import AuditEventRow, ResourceVersionRow

_TABLES = {evidence.table.__tablename__ for evidence in EVIDENCE.values()} | {"audit_event", "audit_reference"}
IS_HELD = "held"
"""Stands for the digest of a row that is named by all its columns."""


class Held(NamedTuple):
    """A row that the chain holds."""

    key: str
    digest: str
    entry: str
    """The id of the audit entry that holds it."""


def table_of(key: str) -> str:
    """Tell the table of a row by what the chain calls it."""
    first = key.split("/", maxsplit=1)[0]
    return first if first in _TABLES else ResourceVersionRow.__tablename__


class HeldRows:
    """The rows that the chain holds and that were not yet seen; those that were seen and it does not hold."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # a file without a name, gone when it is closed
        self._database.executescript(
            """
            PRAGMA journal_mode=OFF;
            CREATE TABLE held (key TEXT, digest TEXT, entry TEXT, PRIMARY KEY (key, entry)) WITHOUT ROWID;
            CREATE TABLE removed (key TEXT PRIMARY KEY, entry TEXT) WITHOUT ROWID;
            CREATE TABLE loose ("table" TEXT, key TEXT, moment TEXT);
            BEGIN;
            """
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def hold(self, digests: Mapping[str, Any], entry: str) -> None:
        """Add what an entry holds; None stands for a row that its transaction removed."""
        held = [(key, digest, entry) for key, digest in digests.items() if isinstance(digest, str)]
        self._database.executemany("INSERT OR REPLACE INTO held VALUES (?, ?, ?)", held)
        removed = [(key, entry) for key, digest in digests.items() if digest is None]
        self._database.executemany("INSERT OR REPLACE INTO removed VALUES (?, ?)", removed)

    def held_twice(self) -> Iterator[tuple[str, str, str]]:
        """List the names that two entries hold, and the entries: the service gives a name to one state of a row."""
        yield from self._database.execute(
            "SELECT key, min(entry), max(entry) FROM held GROUP BY key HAVING count(*) > 1"
        )

    def drop_removed(self) -> dict[str, int]:
        """Forget the rows that the service itself has removed since; returns how many the chain never held."""
        before: dict[str, int] = {}
        unheld = "SELECT key FROM removed WHERE key NOT IN (SELECT key FROM held)"
        for (key,) in self._database.execute(unheld):
            before[table_of(key)] = before.get(table_of(key), 0) + 1
        self._database.execute("DELETE FROM held WHERE key IN (SELECT key FROM removed)")
        return before

    def removed(self, keys: Sequence[str]) -> dict[str, str]:
        """Tell of rows which of them the service itself has removed, and the id of the audit entry that says so."""
        marks = ", ".join("?" * len(keys))
        which = f"FROM removed WHERE key IN ({marks})"  # no value is in the text
        return dict(self._database.execute(f"SELECT key, entry {which}", keys).fetchall())

    def take(self, keys: Sequence[str]) -> dict[str, Held]:
        """Give what is held of rows that were seen, once."""
        marks = ", ".join("?" * len(keys))
        which = f"FROM held WHERE key IN ({marks})"  # no value is in the text
        found = [Held(*row) for row in self._database.execute(f"SELECT key, digest, entry {which}", keys)]
        self._database.execute(f"DELETE {which}", keys)
        return {each.key: each for each in found}

    def rest(self) -> Iterator[Held]:
        """List what is held and was not seen."""
        for row in self._database.execute("SELECT key, digest, entry FROM held ORDER BY key"):
            yield Held(*row)

    def let_loose(self, table: str, rows: Iterable[tuple[str, str]]) -> None:
        """Note rows that the chain does not hold, each with when it was written."""
        self._database.executemany("INSERT INTO loose VALUES (?, ?, ?)", [(table, *row) for row in rows])

    def count_loose(self, table: str) -> int:
        """Count the rows of a table that the chain does not hold."""
        counted: tuple[int] = self._database.execute(
            'SELECT count(*) FROM loose WHERE "table" = ?', (table,)
        ).fetchone()
        return counted[0]

    def loose(self, table: str, after: str) -> Iterator[str]:
        """List the rows of a table that the chain does not hold and that were written after a moment."""
        wanted = 'SELECT key FROM loose WHERE "table" = ? AND moment > ? ORDER BY key'
        for (key,) in self._database.execute(wanted, (table, after)):
            yield key


def reference_key(row: Mapping[str, Any]) -> str:
    """Name a row that an audit entry is found by, without the value, which can be a patient's."""
    moment = row["recorded"].astimezone(UTC).isoformat(timespec="microseconds")
    return f"audit_reference/{row['event_id']}/{row['role']}/{sha256(row['value'].encode()).hexdigest()}/{moment}"


def hold_references(held: HeldRows, entry: AuditEventRow) -> None:
    """Note what an audit entry is to be found by."""
    columns = {"id": entry.id, "recorded": entry.recorded, "entities": entry.entities, "detail": entry.detail}
    try:
        rows = index_rows([columns])
    except (ValueError, TypeError, KeyError, AttributeError):
        return  # no entry that this service writes: it was found to be changed
    held.hold({reference_key(row): IS_HELD for row in rows}, entry.id)

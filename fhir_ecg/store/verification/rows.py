"""The rows that the chain holds: changed, removed, or written by somebody else."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from fhir_ecg.store.audit_chain import EVIDENCE, Evidence, digest_of_entry, digest_of_row
from fhir_ecg.store.tables import AuditEventRow, AuditReferenceRow, ResourceVersionRow
from fhir_ecg.store.verification.agreement import current_versions_agree
from fhir_ecg.store.verification.finding import Finding
from fhir_ecg.store.verification.held import IS_HELD, HeldRows, hold_references, reference_key, table_of
from fhir_ecg.store.verification.lanes import MOST_LANES
from fhir_ecg.store.verification.snapshot import pages


def unchained_entry(row: AuditEventRow) -> tuple[str, str]:
    """Name an audit entry that stands in no lane, and give its digest."""
    values: dict[str, Any] = {column.key: getattr(row, column.key) for column in AuditEventRow.__table__.columns}
    return f"audit_event/{row.id}", digest_of_entry(values)


def evidence_row(row: Any) -> tuple[str, str]:
    """Name a row that the chain holds, and give its digest."""
    return EVIDENCE[type(row)].key(row), digest_of_row(row)


def _reference(row: AuditReferenceRow) -> tuple[str, str]:
    return reference_key(vars(row)), IS_HELD


_UNCHAINED = Evidence(AuditEventRow, lambda row: unchained_entry(row)[0], "recorded", ())
"""Audit entries that are older than the chain."""
_REFERENCES = Evidence(AuditReferenceRow, lambda row: reference_key(vars(row)), "recorded", ())
"""What entries are found by: no evidence, but what is missing hides an entry from a search."""


def kept_tables() -> Iterator[tuple[Evidence, tuple[ColumnElement[bool], ...], Callable[[Any], tuple[str, str]]]]:
    """List the tables that the chain holds, with which of their rows, and what names a row and gives its digest."""
    yield _UNCHAINED, (AuditEventRow.lane.is_(None) | ~AuditEventRow.lane.between(0, MOST_LANES),), unchained_entry
    for evidence in EVIDENCE.values():
        yield evidence, (), evidence_row
    yield _REFERENCES, (), _reference


def held_once(held: HeldRows) -> Iterator[Finding]:
    """Name what two entries hold, of which one was put in to cover a change."""
    for key, *entries in held.held_twice():
        text = f"{key} is held by two audit entries, {' and '.join(entries)}: one of them is forged."
        yield Finding(table_of(key), key, "changed", text)


def compare(session: Session, held: HeldRows, advance: Callable[[int], None]) -> Iterator[Finding]:
    """Compare every row with what the chain holds of it; the rows that it does not hold are noted in `held`."""
    for evidence, where, named in kept_tables():
        table = evidence.table.__tablename__
        for rows, unreadable in pages(session, evidence.table, *where):
            advance(len(rows) + len(unreadable))
            yield from _unreadable(table, unreadable)
            sound: list[Any] = []
            keys = [evidence.key(row) for row in rows]
            gone = held.removed(keys)
            found = held.take(keys)
            loose = []
            for row in rows:
                key, digest = named(row)
                if key in gone:
                    text = f"{key} is there again, which the audit entry {gone[key]} removed."
                    yield Finding(table, key, "changed", text)
                    continue
                if key not in found:
                    loose.append((key, in_utc(getattr(row, evidence.moment))))
                elif found[key].digest != digest:
                    text = f"{key} is not what the audit entry {found[key].entry} holds."
                    yield Finding(table, key, "changed", text)
                    continue
                sound.append(row)
            if evidence is _UNCHAINED:
                for row in sound:
                    hold_references(held, row)
            held.let_loose(table, loose)
            if evidence.table is ResourceVersionRow:
                yield from current_versions_agree(session, sound)


def _unreadable(table: str, keys: list[str]) -> Iterator[Finding]:
    for key in keys:
        text = f"The row {key} of {table} cannot be read: a value is none of its column's type."
        yield Finding(table, key, "unreadable", text)


def settle(held: HeldRows, genesis: Mapping[str, Any]) -> Iterator[Finding]:
    """After all rows were seen: name those that are held and gone, and those that nobody can have written.

    Args:
        held: What was held, and seen.
        genesis: How many rows of each table are older than the chain, and when it began.
    """
    removed_since = held.drop_removed()
    for row in held.rest():
        text = f"{row.key}, which the audit entry {row.entry} holds, is gone."
        yield Finding(table_of(row.key), row.key, "removed", text)
    for evidence, _, _ in kept_tables():
        table = evidence.table.__tablename__
        # What an older process wrote after the migration, and was removed, was none of those that the genesis counts.
        allowed = max(0, genesis["rows"].get(table, 0) - removed_since.get(table, 0))
        yield from _settle_table(held, table, allowed, genesis["time"])


def _settle_table(held: HeldRows, table: str, allowed: int, began: str) -> Iterator[Finding]:
    seen = held.count_loose(table)
    if seen < allowed:
        text = f"Of {allowed} rows of {table} that are older than the chain, {allowed - seen} are gone."
        yield Finding(table, "older than the chain", "removed", text)
    if seen <= allowed:
        return
    named = 0
    # Where nothing is older than the chain, each row is named, whatever time it bears.
    for key in held.loose(table, in_utc(datetime.fromisoformat(began)) if allowed > 0 else ""):
        named += 1
        text = f"No audit entry holds {key}: it was inserted, or an older version of the service wrote it."
        yield Finding(table, key, "inserted", text)
    if named < seen - allowed:
        text = f"{seen - named} rows of {table} bear a time before the chain began; there were {allowed}."
        yield Finding(table, "older than the chain", "inserted", text)


def in_utc(moment: datetime) -> str:
    """Write a moment so that texts are in the order of time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")

"""A whole verification, in one view of the database."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from fhir_ecg.store.audit_chain import digest_of_genesis
from fhir_ecg.store.tables import AuditEventRow, AuditLaneRow
from fhir_ecg.store.verification.agreement import tables_agree
from fhir_ecg.store.verification.finding import Finding
from fhir_ecg.store.verification.held import HeldRows
from fhir_ecg.store.verification.holds import holds_were_kept
from fhir_ecg.store.verification.lanes import Head, walk
from fhir_ecg.store.verification.rows import compare, held_once, kept_tables, settle
from fhir_ecg.store.verification.snapshot import pages, snapshot

_NO_GENESIS: dict[str, Any] = {"time": "0001-01-01T00:00:00+00:00", "lanes": 1, "rows": {}}


@dataclass(frozen=True)
class State:
    """Where the chain stands, and how much there is."""

    lanes: dict[int, Head]
    rows: dict[str, int]
    """The rows of each table that the chain holds, and of the audit entries."""
    older: dict[str, int]
    """Of those, the rows that are older than the chain."""


class Verification:
    """A view of the database that is to be verified."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def state(self) -> State:
        """Tell where the chain stands."""
        lanes = self._lanes()
        rows = {table.__tablename__: self._count(table) for table in (e.table for e, _, _ in kept_tables())}
        return State({row.lane: Head(row.position, row.head) for row in lanes}, rows, self._genesis(lanes)["rows"])

    def findings(self, checkpoint: Mapping[int, Head], advance: Callable[[int], None]) -> Iterator[Finding]:
        """Find what is not as the service left it.

        Args:
            checkpoint: What the lanes are to pass through.
            advance: Is told how many rows were looked at; in the end, as many as `state` counts.
        """
        lanes = self._lanes()
        genesis = self._genesis(lanes)
        with HeldRows() as held:
            yield from walk(
                self._session, {row.lane: row for row in lanes}, genesis["lanes"], held, checkpoint, advance
            )
            yield from held_once(held)
            yield from compare(self._session, held, advance)
            yield from settle(held, genesis)
        yield from tables_agree(self._session)
        yield from holds_were_kept(self._session)

    def _lanes(self) -> list[AuditLaneRow]:
        return [row for rows, _ in pages(self._session, AuditLaneRow) for row in rows if isinstance(row.genesis, dict)]

    def _genesis(self, lanes: list[AuditLaneRow]) -> dict[str, Any]:
        """Choose a genesis that the chain confirms; the walk names those that it does not."""
        firsts = select(AuditEventRow.lane, AuditEventRow.previous).where(
            AuditEventRow.position == 1, AuditEventRow.lane.in_([row.lane for row in lanes])
        )
        first = {row.lane: row.previous for row in self._session.execute(firsts)}
        sound = [row for row in lanes if first.get(row.lane, row.head) == digest_of_genesis(row.lane, row.genesis)]
        return sound[0].genesis if sound else _NO_GENESIS

    def _count(self, table: Any) -> int:
        return self._session.scalar(select(func.count()).select_from(table)) or 0


@contextmanager
def verification(engine: Engine) -> Iterator[Verification]:
    """Begin a verification; what others commit from then on is not seen."""
    with snapshot(engine) as session:
        yield Verification(session)

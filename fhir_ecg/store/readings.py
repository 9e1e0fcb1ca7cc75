"""The records of readings: what came of each, in what circumstances, from what bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.orm import Session

from fhir_ecg.store.resources import StoredResource
from fhir_ecg.store.tables import CancellationRow, PredictionRow, ResourceVersionRow, SubmissionRow

Record = PredictionRow | CancellationRow
ReadingKey = tuple[datetime, str]
"""When a reading ended, and its report's id."""

_TABLES: tuple[type[Record], ...] = (PredictionRow, CancellationRow)


@dataclass(frozen=True)
class Period:
    """Readings that ended in a time, in the order of their ends."""

    since: datetime | None = None
    until: datetime | None = None
    """The first moment after it."""
    after: ReadingKey | None = None
    """The reading after which it begins."""


@dataclass(frozen=True)
class Submission:
    """Bytes as they were sent."""

    id: str
    media_type: str
    sha256: str
    body: bytes | None
    """None where they have expired."""
    expired_at: datetime | None


class Readings:
    """The records of readings, in one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, record: Record) -> None:
        """Keep the record of a reading."""
        self._session.add(record)

    def keys(self, period: Period, count: int) -> list[ReadingKey]:
        """List the next readings of a period."""
        found: list[ReadingKey] = []
        for table in _TABLES:
            columns = (table.finished_at, table.report_id)
            wanted = select(*columns).where(*_within(table, period)).order_by(*columns).limit(count)
            found += [(finished_at, report_id) for finished_at, report_id in self._session.execute(wanted)]
        return sorted(found)[:count]

    def keys_of_report(self, report_id: str) -> list[ReadingKey]:
        """List the readings of a report, the earliest first."""
        found: list[ReadingKey] = []
        for table in _TABLES:
            ends = self._session.scalars(select(table.finished_at).where(table.report_id == report_id))
            found += [(finished_at, report_id) for finished_at in ends]
        return sorted(found)

    def count(self, period: Period) -> int:
        """Count the readings of a period."""
        counts = (select(func.count()).select_from(table).where(*_within(table, period)) for table in _TABLES)
        return sum(self._session.scalar(counted) or 0 for counted in counts)

    def get(self, key: ReadingKey) -> Record | None:
        """Find the record of a reading."""
        finished_at, report_id = key
        found: list[Record] = []
        for table in _TABLES:
            same = (table.report_id == report_id, table.finished_at == finished_at)
            found += self._session.scalars(select(table).where(*same))
        return found[0] if found else None

    def sources(self, observations: Sequence[StoredResource]) -> list[tuple[str, str]]:
        """Tell for each version of an Observation the id and the SHA-256 of the submission that it was sent in."""
        keys = [(each.content["id"], each.version) for each in observations]
        wanted = (
            select(ResourceVersionRow.id, ResourceVersionRow.version, SubmissionRow.id, SubmissionRow.sha256)
            .join(SubmissionRow, SubmissionRow.id == ResourceVersionRow.submission_id)
            .where(
                ResourceVersionRow.type == "Observation",
                tuple_(ResourceVersionRow.id, ResourceVersionRow.version).in_(keys),
            )
        )
        rows = {
            (identity, version): (submission, digest)
            for identity, version, submission, digest in self._session.execute(wanted)
        }
        return [rows[key] for key in keys]

    def submission(self, identity: str, version: int) -> Submission | None:
        """Find the bytes that a version of an Observation was sent in."""
        wanted = (
            select(SubmissionRow)
            .join(ResourceVersionRow, SubmissionRow.id == ResourceVersionRow.submission_id)
            .where(
                ResourceVersionRow.type == "Observation",
                ResourceVersionRow.id == identity,
                ResourceVersionRow.version == version,
            )
        )
        row = self._session.scalars(wanted).one_or_none()
        return None if row is None else _submission(row)

    def version_at(self, kind: str, identity: str, moment: datetime) -> int | None:
        """Tell which version of a resource was current at a moment."""
        wanted = select(func.max(ResourceVersionRow.version)).where(
            ResourceVersionRow.type == kind,
            ResourceVersionRow.id == identity,
            ResourceVersionRow.last_updated <= moment,
        )
        return self._session.scalar(wanted)


def _submission(row: SubmissionRow) -> Submission:
    return Submission(row.id, row.media_type, row.sha256, None if row.expired_at else row.body, row.expired_at)


def _within(table: type[Record], period: Period) -> list[ColumnElement[bool]]:
    clauses: list[ColumnElement[bool]] = []
    if period.after is not None:
        clauses.append(tuple_(table.finished_at, table.report_id) > period.after)
    if period.since is not None:
        clauses.append(table.finished_at >= period.since)
    if period.until is not None:
        clauses.append(table.finished_at < period.until)
    return clauses

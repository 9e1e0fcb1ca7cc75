"""Taking out of the database what has expired, row by row, so that the audit chain names each."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, exists, func, select, tuple_
from sqlalchemy.orm import Session, defer

from fhir_ecg.fhir.parsing import parse_json
from fhir_ecg.store.audit_chain import change
from fhir_ecg.store.jobs import DONE, FAILED, WITHDRAWN
from fhir_ecg.store.search_tables import ReferenceRow
from fhir_ecg.store.tables import (
    CancellationRow,
    ConfirmationRow,
    JobRow,
    PredictionRow,
    ResourceRow,
    ResourceVersionRow,
    SubmissionRow,
)

Scope = Literal["waveform", "case"]
"""What expires of an ECG: its samples, or all that is stored of it."""
Place = tuple[datetime, str]
"""When an ECG was received, and its job's id."""


class Expiries:
    """What is to expire, in one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def count(self, scope: Scope, received_before: datetime) -> int:
        """Count the cases whose time is up."""
        return self._session.scalar(select(func.count()).where(*_due(scope, received_before))) or 0

    def due(
        self, scope: Scope, received_before: datetime, after: Place | None, limit: int, *, lock: bool
    ) -> list[JobRow]:
        """List the next cases whose time is up, by their jobs, in the order in which they were received.

        With `lock` others cannot change them until the commit; those that others are changing are passed over.
        """
        wanted = select(JobRow).where(*_due(scope, received_before))
        if after is not None:
            wanted = wanted.where(tuple_(JobRow.created_at, JobRow.id) > after)
        wanted = wanted.order_by(JobRow.created_at, JobRow.id).limit(limit)
        if lock:
            wanted = wanted.with_for_update(skip_locked=True).execution_options(populate_existing=True)
        return [*self._session.scalars(wanted)]

    def has_expired(self, observation_id: str) -> bool:
        """Tell whether the samples of an ECG are gone."""
        same = (ResourceVersionRow.type == "Observation", ResourceVersionRow.id == observation_id)
        gone = exists().where(*same, ResourceVersionRow.expired_at.is_not(None))
        return bool(self._session.scalar(select(gone)))

    def contents(self, kind: str, identity: str) -> list[dict[str, Any]]:
        """Give every version of a resource that holds content of its own."""
        row = ResourceVersionRow
        wanted = select(row.content).where(row.type == kind, row.id == identity, row.content.is_not(None))
        return [parse_json(content) for content in self._session.scalars(wanted.order_by(row.version)) if content]

    def provenances(self, references: Iterable[str]) -> list[str]:
        """List the ids of the Provenances of these resources."""
        wanted = select(ReferenceRow.resource_id).where(
            ReferenceRow.resource_type == "Provenance",
            ReferenceRow.parameter == "target",
            ReferenceRow.target.in_([*references]),
        )
        return sorted(set(self._session.scalars(wanted)))

    def is_current(self, kind: str, identity: str) -> bool:
        """Tell whether a resource is stored and not deleted; others cannot change that until the commit."""
        wanted = (kind, identity)
        row = self._session.get(ResourceRow, wanted, with_for_update=True, populate_existing=True)
        return row is not None and not row.deleted

    def expire_versions(self, kind: str, identity: str, moment: datetime) -> set[str]:
        """Take the content out of every version of a resource; returns the ids of the submissions that it came in."""
        row = ResourceVersionRow
        wanted = select(row).where(row.type == kind, row.id == identity, row.expired_at.is_(None))
        submissions = set()
        for version in self._session.scalars(wanted.options(defer(row.content)).order_by(row.version)):
            change(self._session, version, content=None, expired_at=moment)
            if version.submission_id is not None:
                submissions.add(version.submission_id)
        return submissions

    def empty_submissions(self, identities: Iterable[str], moment: datetime) -> None:
        """Take out the bytes as sent, unless an Observation came in them that has not expired."""
        # All of them locked first, in one order: of two who expire the ECGs of one Bundle, the second empties it.
        wanted = select(SubmissionRow).where(SubmissionRow.id.in_(identities), SubmissionRow.expired_at.is_(None))
        wanted = wanted.options(defer(SubmissionRow.body)).order_by(SubmissionRow.id).with_for_update()
        submissions = self._session.scalars(wanted).all()
        row = ResourceVersionRow
        used = select(row.submission_id).where(
            row.submission_id.in_([each.id for each in submissions]), row.expired_at.is_(None)
        )
        kept = set(self._session.scalars(used))
        for submission in submissions:
            if submission.id not in kept:
                change(self._session, submission, body=b"", expired_at=moment)

    def forget_records(self, report_id: str) -> None:
        """Remove what the model said, why it said nothing, and what persons decided."""
        for row in self._records(report_id):
            self._session.delete(row)
        self._session.flush()

    def _records(self, report_id: str) -> Iterator[PredictionRow | CancellationRow | ConfirmationRow]:
        yield from self._session.scalars(select(PredictionRow).where(PredictionRow.report_id == report_id))
        yield from self._session.scalars(select(CancellationRow).where(CancellationRow.report_id == report_id))
        yield from self._session.scalars(select(ConfirmationRow).where(ConfirmationRow.report_id == report_id))


def _due(scope: Scope, received_before: datetime) -> list[ColumnElement[bool]]:
    ended = (JobRow.created_at < received_before, JobRow.state.in_((DONE, FAILED, WITHDRAWN)))
    if scope == "case":
        left = exists().where(
            ResourceRow.type == "DiagnosticReport", ResourceRow.id == JobRow.report_id, ResourceRow.deleted.is_(False)
        )
    else:
        left = exists().where(
            ResourceVersionRow.type == "Observation",
            ResourceVersionRow.id == JobRow.observation_id,
            ResourceVersionRow.submission_id.is_not(None),
            ResourceVersionRow.expired_at.is_(None),
        )
    return [*ended, left]

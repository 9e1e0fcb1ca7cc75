"""Jobs: claimed by compare-and-set, due again when their lease ends."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.orm import Session

from fhir_ecg.store.tables import JobRow

WAITING, RUNNING, DONE, FAILED, WITHDRAWN = "waiting", "running", "done", "failed", "withdrawn"
STATES = (WAITING, RUNNING, DONE, FAILED, WITHDRAWN)


@dataclass(frozen=True)
class Job:
    """The work on one ECG, as claimed."""

    id: str
    observation_id: str
    report_id: str
    attempt: int
    repairs: tuple[str, ...]
    """Repairs that were allowed when the ECG was accepted."""
    request_id: str | None
    """The request that brought the ECG."""


class Jobs:
    """The jobs of one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        observation_id: str,
        report_id: str,
        moment: datetime,
        *,
        wake_again: timedelta,
        repairs: list[str] | None = None,
        request_id: str | None = None,
    ) -> str:
        """Add a waiting job; the sweeper wakes it when the first wake-up has brought nothing."""
        job = JobRow(
            id=str(uuid4()),
            observation_id=observation_id,
            report_id=report_id,
            state=WAITING,
            attempts=0,
            repairs=repairs or [],
            request_id=request_id,
            created_at=moment,
            due_at=moment + wake_again,
        )
        self._session.add(job)
        return job.id

    def claim(self, job_id: str, moment: datetime, *, lease: timedelta) -> Job | None:
        """Claim a job that waits or whose lease has ended; None where another has it or it is finished."""
        claimable = (JobRow.state == WAITING) | ((JobRow.state == RUNNING) & (JobRow.due_at <= moment))
        changed = self._change(
            update(JobRow)
            .where(JobRow.id == job_id, claimable)
            .values(state=RUNNING, attempts=JobRow.attempts + 1, due_at=moment + lease)
        )
        if not changed:
            return None
        row = self._session.get_one(JobRow, job_id, populate_existing=True)
        return Job(row.id, row.observation_id, row.report_id, row.attempts, tuple(row.repairs), row.request_id)

    def finish(self, job: Job, moment: datetime, *, error: str | None = None) -> bool:
        """End a job that is still this attempt's; False where a later attempt has taken it over."""
        return self._change(
            update(JobRow)
            .where(JobRow.id == job.id, JobRow.state == RUNNING, JobRow.attempts == job.attempt)
            .values(state=FAILED if error else DONE, finished_at=moment, error=error and error[:4000])
        )

    def release(self, job: Job, moment: datetime, *, error: str) -> bool:
        """Give a job back after a failed attempt, to be claimed again from `moment` on."""
        return self._change(
            update(JobRow)
            .where(JobRow.id == job.id, JobRow.state == RUNNING, JobRow.attempts == job.attempt)
            .values(state=WAITING, due_at=moment, error=error[:4000])
        )

    def take_due(self, moment: datetime, *, wake_again: timedelta, limit: int) -> list[str]:
        """List jobs that are due, and make each waiting one due again later."""
        due = select(JobRow).where(JobRow.state.in_((WAITING, RUNNING)), JobRow.due_at <= moment)
        rows = self._session.scalars(due.order_by(JobRow.due_at).limit(limit).with_for_update(skip_locked=True)).all()
        for row in rows:
            if row.state == WAITING:
                row.due_at = moment + wake_again
        return [row.id for row in rows]

    def recent(self, *, state: str | None = None, limit: int) -> list[JobRow]:
        """List jobs, the newest first."""
        wanted = select(JobRow).order_by(JobRow.created_at.desc(), JobRow.id).limit(limit)
        return [*self._session.scalars(wanted if state is None else wanted.where(JobRow.state == state))]

    def get(self, identity: str) -> JobRow | None:
        """Find a job by its own id, its report's or its Observation's."""
        named = (JobRow.id == identity) | (JobRow.report_id == identity) | (JobRow.observation_id == identity)
        return self._session.scalars(select(JobRow).where(named)).one_or_none()

    def withdraw(self, job_id: str, moment: datetime) -> bool:
        """End a job whose ECG is not to be read (any more); False where it has ended already."""
        return self._change(
            update(JobRow)
            .where(JobRow.id == job_id, JobRow.state.in_((WAITING, RUNNING)))
            .values(state=WITHDRAWN, finished_at=moment)
        )

    def lock(self, report_id: str) -> JobRow | None:
        """Find the job of a report, and keep others from changing it until the commit."""
        wanted = select(JobRow).where(JobRow.report_id == report_id).with_for_update()
        return self._session.scalars(wanted.execution_options(populate_existing=True)).one_or_none()

    def retry(self, job_id: str, moment: datetime) -> bool:
        """Let a failed job wait again, with all its attempts; False where it has not failed."""
        return self._change(
            update(JobRow)
            .where(JobRow.id == job_id, JobRow.state == FAILED)
            .values(state=WAITING, attempts=0, due_at=moment, finished_at=None)
        )

    def count_by_state(self) -> dict[str, int]:
        """Count the jobs in each state."""
        counted = select(JobRow.state, func.count()).group_by(JobRow.state)
        return dict(self._session.execute(counted).all())

    def unfinished(self, *, limit: int) -> int:
        """Count the jobs that are not finished, up to a limit, beyond which it would cost more to know."""
        some = select(JobRow.id).where(JobRow.state.in_((WAITING, RUNNING))).limit(limit).subquery()
        return self._session.scalar(select(func.count()).select_from(some)) or 0

    def oldest_waiting(self) -> datetime | None:
        """Tell since when the oldest unfinished job waits."""
        return self._session.scalar(select(func.min(JobRow.created_at)).where(JobRow.state.in_((WAITING, RUNNING))))

    def _change(self, statement: object) -> bool:
        result = self._session.execute(statement)  # type: ignore[call-overload]
        assert isinstance(result, CursorResult)  # noqa: S101 - what an UPDATE gives
        return bool(result.rowcount == 1)

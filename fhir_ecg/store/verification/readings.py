"""Reports, jobs and predictions: how far each says that the reading has come."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from fhir_ecg.store.jobs import DONE, FAILED, RUNNING, STATES, WAITING, WITHDRAWN
from fhir_ecg.store.tables import AuditEventRow, JobRow, PredictionRow, ResourceVersionRow
from fhir_ecg.store.verification.finding import Finding

_VOID = {"cancelled", "entered-in-error"}
_UNREAD = {"registered", "cancelled"}
_UNCONFIRMED = {"registered", "partial", "preliminary"}


def reports_agree(session: Session, reports: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    """Check that these reports, by id, are as far as their jobs and predictions."""
    jobs = {job.report_id: job for job in session.scalars(select(JobRow).where(JobRow.report_id.in_(reports)))}
    columns = (PredictionRow.report_id, PredictionRow.finished_at, PredictionRow.attempt)
    wanted = select(*columns).where(PredictionRow.report_id.in_(reports))
    predictions: dict[str, Any] = {row.report_id: row for row in session.execute(wanted)}
    ended = _moments(session, list(reports))
    for identity, report in reports.items():
        job, prediction = jobs.get(identity), predictions.get(identity)
        if job is None:
            text = f"DiagnosticReport/{identity} has no job."
            yield Finding("job", f"DiagnosticReport/{identity}", "removed", text)
            continue
        problem = _problem(session, job, report, prediction) or _end_problem(job, prediction, ended[identity])
        if problem:
            text = f"The job {job.id} of DiagnosticReport/{identity}, which is {report['status']}, {problem}."
            yield Finding("job", f"job/{job.id}", "disagrees", text)


def _moments(session: Session, reports: list[str]) -> dict[str, set[datetime]]:
    """List when each version of these reports was written."""
    version = ResourceVersionRow
    wanted = select(version.id, version.last_updated).where(version.type == "DiagnosticReport", version.id.in_(reports))
    moments: dict[str, set[datetime]] = {identity: set() for identity in reports}
    for identity, moment in session.execute(wanted):
        moments[identity].add(moment)
    return moments


def _problem(session: Session, job: JobRow, report: dict[str, Any], prediction: Any) -> str | None:
    """Say what of a job's state does not fit its report."""
    status = report["status"]
    results = {result.get("reference") for result in report.get("result", [])}
    if f"Observation/{job.observation_id}" not in results:
        return f"is about Observation/{job.observation_id}, which the report does not name"
    if job.state not in STATES:
        return f"is {job.state!r}, which is no state"
    if prediction is not None and job.state != DONE:
        return f"is {job.state}, but has a prediction"
    fits = {
        WAITING: status == "registered" or (status in _VOID and _retried(session, job)),
        RUNNING: status == "registered" or (status in _VOID and _retried(session, job)),
        DONE: status not in (_UNREAD if prediction else _UNCONFIRMED),
        FAILED: status not in _UNCONFIRMED,
        WITHDRAWN: status in _VOID,
    }
    return None if fits[job.state] else f"is {job.state}, {'with' if prediction else 'without'} a prediction"


def _retried(session: Session, job: JobRow) -> bool:
    """Tell whether an operator let a failed job be tried again; rarely asked, so no index answers it."""
    name = f"DiagnosticReport/{job.report_id}"
    entries = session.scalars(select(AuditEventRow.entities).where(AuditEventRow.action == "retry"))
    return any(name in entities for entities in entries)


def _end_problem(job: JobRow, prediction: Any, moments: set[datetime]) -> str | None:
    """Say what of a job's end does not fit what it led to."""
    if job.state in {WAITING, RUNNING}:
        return None if job.finished_at is None else f"is {job.state}, but has an end"
    if job.finished_at is None:
        return f"is {job.state}, but has no end"
    if prediction is not None and (prediction.finished_at, prediction.attempt) != (job.finished_at, job.attempts):
        return "did not end when, or with the attempt with which, its prediction was made"
    if job.state in {DONE, FAILED} and job.finished_at not in moments:
        return "did not end when a version of the report was written"
    return None

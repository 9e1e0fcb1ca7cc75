"""Expiring: the samples of an ECG, or all that is stored of it, go; digests and the audit trail stay."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fhir_ecg.fhir.audit_event import patients_of
from fhir_ecg.fhir.expired import without_samples
from fhir_ecg.fhir.report import instant
from fhir_ecg.service.application import Application, now
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.expiry import Place, Scope
from fhir_ecg.store.holds import ActiveHolds
from fhir_ecg.store.resources import DeletedError
from fhir_ecg.store.tables import JobRow
from fhir_ecg.store.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Expiry:
    """What is to expire."""

    scope: Scope
    received_before: datetime


@dataclass(frozen=True)
class Expired:
    """One case that was looked at."""

    report: str
    """Reference of its report."""
    received_at: datetime
    scope: Scope
    hold: str | None
    """The hold that keeps it; None where it has expired, or would."""


@dataclass(frozen=True)
class _Case:
    """An ECG with all that belongs to it."""

    job: JobRow
    observations: list[str]
    """The ids of those that were sent, the first of which stands for the ECG."""
    scores: list[str]
    """The ids of those that were made of them."""
    subjects: list[dict[str, object]]
    """Whom it is, and was, said to be about."""


def expiries(waveform_days: int, case_days: int, moment: datetime) -> list[Expiry]:
    """List what expires by the settings, in days since an ECG was received; 0 for never.

    Whole cases come first: of those no samples are left.
    """
    days: list[tuple[Scope, int]] = [("case", case_days), ("waveform", waveform_days)]
    return [Expiry(scope, moment - timedelta(days=number)) for scope, number in days if number]


def count_due(application: Application, expiry: Expiry) -> int:
    """Count the cases whose time is up, held ones too."""
    with application.store.transaction(writes=False) as work:
        return work.expiries.count(expiry.scope, expiry.received_before)


def expire(
    application: Application, expiry: Expiry, batch: int, operator: str, *, dry_run: bool = False
) -> Iterator[list[Expired]]:
    """Let expire what is due, yielding the cases after each transaction; ended early, the next call goes on there.

    Cases that another process is changing are passed over, and left to the next call.

    Args:
        application: The parts.
        expiry: What, and received when.
        batch: How many cases a transaction has at most.
        operator: Who answers for it.
        dry_run: Change nothing.
    """
    after: Place | None = None
    while True:
        with application.store.transaction(writes=not dry_run) as work:
            if not dry_run:
                work.holds.keep_as_they_are()
            holds = work.holds.active()
            jobs = work.expiries.due(expiry.scope, expiry.received_before, after, batch, lock=not dry_run)
            if not jobs:
                return
            after = (jobs[-1].created_at, jobs[-1].id)
            done = _expire_batch(work, expiry, holds, jobs, None if dry_run else operator)
        yield done


def _expire_batch(
    work: UnitOfWork, expiry: Expiry, holds: ActiveHolds, jobs: Sequence[JobRow], operator: str | None
) -> list[Expired]:
    """Let the cases of these jobs expire that no hold keeps; without an operator, only list them."""
    moment = now()
    done: list[Expired] = []
    submissions: set[str] = set()
    for job in jobs:
        # Locked after its job, as each change of a case does; another may have let it expire just before.
        if operator is not None and _is_done(work, job, expiry.scope):
            continue
        case = _case(work, job)
        hold = holds.keeping([*case.observations, *case.scores], case.subjects)
        if hold is None and operator is not None:
            act = _expire_case if expiry.scope == "case" else _expire_waveform
            entities = act(work, case, moment, submissions)
            work.audit.add(_entry(expiry.scope, case, entities, operator), moment)
        report = f"DiagnosticReport/{job.report_id}"
        done.append(Expired(report, job.created_at, expiry.scope, hold.id if hold else None))
    if submissions:
        work.expiries.empty_submissions(submissions, moment)
    return done


def _is_done(work: UnitOfWork, job: JobRow, scope: Scope) -> bool:
    if not work.expiries.is_current("DiagnosticReport", job.report_id):
        return True
    return scope == "waveform" and work.expiries.has_expired(job.observation_id)


def _case(work: UnitOfWork, job: JobRow) -> _Case:
    reports = work.expiries.contents("DiagnosticReport", job.report_id)
    results = [result["reference"].removeprefix("Observation/") for report in reports for result in report["result"]]
    ids = list(dict.fromkeys([job.observation_id, *results]))
    sent = [identity for identity in ids if work.resources.was_sent("Observation", identity)]
    subjects = [report["subject"] for report in reports if "subject" in report]
    return _Case(job, sent, [identity for identity in ids if identity not in sent], subjects)


def _expire_waveform(work: UnitOfWork, case: _Case, moment: datetime, submissions: set[str]) -> list[str]:
    """Store each Observation without its samples as its next version, and empty the versions before."""
    entities = [f"DiagnosticReport/{case.job.report_id}"]
    for identity in sorted(case.observations):
        try:
            current = work.resources.get("Observation", identity, for_update=True)
        except DeletedError:
            current = None
        submissions |= work.expiries.expire_versions("Observation", identity, moment)
        if current is None:
            entities.append(f"Observation/{identity}")
        else:
            entities.append(work.resources.put(without_samples(current.content), moment).versioned_reference)
    return entities


def _expire_case(work: UnitOfWork, case: _Case, moment: datetime, submissions: set[str]) -> list[str]:
    """Empty every version of all that belongs to a case, end what has not ended, and remove the records of readings."""
    job = case.job
    report = ("DiagnosticReport", job.report_id)
    observations = [("Observation", identity) for identity in sorted({*case.observations, *case.scores})]
    about = [f"{kind}/{identity}" for kind, identity in (report, *observations)]
    provenances = [("Provenance", identity) for identity in work.expiries.provenances(about)]
    entities = []
    for kind, identity in (report, *observations, *provenances, ("Task", job.id)):
        current = work.expiries.is_current(kind, identity)
        submissions |= work.expiries.expire_versions(kind, identity, moment)
        if current:
            entities.append(work.resources.delete(kind, identity, moment, expired=True).versioned_reference)
    for identity in case.observations:
        work.admissions.forget(identity)
    work.expiries.forget_records(job.report_id)
    # Those that were withdrawn have ended before.
    ended = {entity.partition("/_history/")[0] for entity in entities}
    return [*entities, *(reference for reference in about if reference not in ended)]


def _entry(scope: Scope, case: _Case, entities: Sequence[str], operator: str) -> AuditEntry:
    patients = patients_of({"subject": subject} for subject in case.subjects)
    about = {"patients": patients} if patients else {}
    detail = {"scope": scope, "received": instant(case.job.created_at), "operator": operator}
    return AuditEntry("expire", entities=tuple(entities), detail=detail | about)

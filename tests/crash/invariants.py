"""Nothing lost, nothing twice, nothing stuck: asked over HTTP, and of the database behind the service's back."""

import signal
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from sender import SYSTEM, Ledger, Sent
from service import Service
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from fhir_ecg.store.engine import open_engine
from fhir_ecg.store.tables import AuditEventRow, JobRow, PredictionRow, ResourceRow, ResourceVersionRow, SubmissionRow

SLACK_SECONDS = 15.0
"""What a loaded machine may take beside."""
_FINISHED = ("done", "failed", "withdrawn")
_TIMEOUT_SECONDS = 30.0


def settle(service: Service) -> float:
    """Wait until no job is unfinished; returns the longest time in which none was finished.

    Raises:
        TimeoutError: Those that are left are stuck. A backlog that gets shorter is none.
    """
    engine = open_engine(service.database_url)
    patience = service.patience
    # A lease that was taken just now, and a wake-up that was lost just before.
    allowed = patience.lease + patience.wake_again + patience.sweep + SLACK_SECONDS
    longest, moved_at, left = 0.0, time.monotonic(), -1
    try:
        while unfinished := _unfinished(engine):
            if len(unfinished) != left:
                left, moved_at = len(unfinished), time.monotonic()
            longest = max(longest, time.monotonic() - moved_at)
            if longest > allowed:
                shown = [f"{job.id} {job.state} attempts={job.attempts} {job.error}" for job in unfinished[:5]]
                raise TimeoutError(f"{left} jobs unfinished, none finished for {allowed:g} s: {shown}")
            time.sleep(0.1)
    finally:
        engine.dispose()
    return longest


def stuck(service: Service) -> list[str]:
    """Let the service settle; returns what is wrong where it does not."""
    try:
        settle(service)
    except TimeoutError as error:
        return [f"stuck: {error}"]
    return []


def _unfinished(engine: Engine) -> Sequence[JobRow]:
    with Session(engine) as session:
        return session.scalars(select(JobRow).where(JobRow.state.not_in(_FINISHED))).all()


def check(service: Service, sent: Sequence[Sent]) -> list[str]:
    """Check some ECGs over HTTP, all in the database, and that web never ended by itself."""
    problems = [f"{each.identifier}: never acknowledged" for each in service.ledger.unanswered()]
    problems += service.ledger.problems
    problems += [
        f"web ended by itself {times} times, with status {status}"
        for (name, status), times in service.ends.items()
        if name == "web" and status != -signal.SIGKILL
    ]
    with ThreadPoolExecutor(4) as readers:
        known = [each for each in sent if each.observation_id]
        for found in readers.map(lambda each: seen_over_http(service, each), known):
            problems += found
    return problems + seen_in_database(service, service.ledger)


def seen_over_http(service: Service, sent: Sent) -> list[str]:
    """Check one acknowledged ECG as its EHR would."""
    problems = []
    with requests.Session() as http:

        def get(path: str, **query: str) -> Any:
            answer = http.get(f"{service.base}/{path}", params=query, timeout=_TIMEOUT_SECONDS)
            if answer.status_code != 200:
                problems.append(f"{sent.identifier}: {path} {query}: {answer.status_code}")
                return {}
            return answer.json()

        get(f"Observation/{sent.observation_id}")
        stored = get("Observation", identifier=f"{SYSTEM}|{sent.identifier}")
        if [each["resource"]["id"] for each in stored.get("entry", [])] != [sent.observation_id]:
            problems.append(f"{sent.identifier}: stored {stored.get('total')} times")
        reports = get("DiagnosticReport", result=f"Observation/{sent.observation_id}")
        found = [each["resource"] for each in reports.get("entry", [])]
        if len(found) != 1:
            problems.append(f"{sent.identifier}: {len(found)} reports")
        for report in found:
            ended = report["status"] == "partial" and "conclusionCode" in report
            if not ended and not (report["status"] == "cancelled" and report["conclusion"]):
                problems.append(f"{sent.identifier}: its report is {report['status']}")
    return problems


def seen_in_database(service: Service, ledger: Ledger) -> list[str]:
    """Check that what is stored is what was acknowledged, once."""
    ids = {sent.observation_id: sent.identifier for sent in ledger.sent if sent.observation_id}
    engine = open_engine(service.database_url)
    try:
        with Session(engine) as session:
            problems = [
                *_jobs(session, ids, service.maximum_attempts),
                *_stored_once(session, ids),
                *_resources(session, ids),
            ]
    finally:
        engine.dispose()
    return problems


def _jobs(session: Session, ids: dict[str, str], maximum_attempts: int) -> list[str]:
    problems = []
    jobs = session.scalars(select(JobRow)).all()
    counts = Counter(job.observation_id for job in jobs)
    problems += [f"{ids[each]}: {counts[each]} jobs" for each in ids if counts[each] != 1]
    problems += [f"job {job.id} of an ECG that nobody was told of" for job in jobs if job.observation_id not in ids]
    for job in jobs:
        name = ids.get(job.observation_id, job.observation_id)
        if job.state not in _FINISHED or not 1 <= job.attempts <= maximum_attempts + 1:
            problems.append(f"{name}: job {job.id} is {job.state} after {job.attempts} attempts: {job.error}")
        if job.state == "failed" and job.attempts < maximum_attempts:
            problems.append(f"{name}: given up after {job.attempts} attempts: {job.error}")
    predicted = Counter(session.scalars(select(PredictionRow.report_id)))
    done = Counter(job.report_id for job in jobs if job.state == "done")
    problems += [f"report {each}: {predicted[each]} predictions" for each in done | predicted if predicted[each] != 1]
    problems += [f"report {each}: predicted, not done" for each in predicted - done]
    read = _audited(session, "classify", "DiagnosticReport/")
    problems += [
        f"{ids.get(job.observation_id)}: audited {read[job.report_id]} times, not once"
        for job in jobs
        if read[job.report_id] != 1
    ]
    return problems


def _stored_once(session: Session, ids: dict[str, str]) -> list[str]:
    problems = []
    sent = ResourceVersionRow.submission_id.is_not(None)
    stored = Counter(session.scalars(select(ResourceVersionRow.id).where(sent)))
    problems += [f"{ids[each]}: lost" for each in ids if not stored[each]]
    problems += [f"Observation/{each}: stored, and nobody was told" for each in stored if each not in ids]
    problems += [f"Observation/{each}: {number} versions" for each, number in stored.items() if number != 1]
    submissions = session.scalar(select(func.count()).select_from(SubmissionRow))
    if submissions != len(ids):
        problems.append(f"{submissions} submissions of {len(ids)} ECGs")
    created = _audited(session, "create", "Observation/")
    problems += [f"{ids[each]}: {created[each]} creations audited" for each in ids if created[each] != 1]
    return problems


def _resources(session: Session, ids: dict[str, str]) -> list[str]:
    """Check that each report has two versions, and nothing is left of attempts that failed."""
    problems = []
    versions: dict[str, list[int]] = defaultdict(list)
    kinds = (ResourceVersionRow.type == "DiagnosticReport",)
    for identity, version in session.execute(
        select(ResourceVersionRow.id, ResourceVersionRow.version).where(*kinds).order_by(ResourceVersionRow.version)
    ):
        versions[identity].append(version)
    problems += [f"report {each}: versions {found}" for each, found in versions.items() if found != [1, 2]]
    counts: dict[str, int] = dict(
        session.execute(select(ResourceRow.type, func.count()).group_by(ResourceRow.type)).all()
    )
    read = session.scalar(select(func.count()).select_from(PredictionRow)) or 0
    expected = {"DiagnosticReport": len(ids), "Observation": len(ids) + read, "Provenance": read}
    problems += [f"{counts.get(k, 0)} {k}s, not {n}" for k, n in expected.items() if counts.get(k, 0) != n]
    return problems


def _audited(session: Session, action: str, prefix: str) -> Counter[str]:
    """Count the successful entries of an action for each resource, but for answers that stored nothing."""
    events = session.scalars(select(AuditEventRow).where(AuditEventRow.action == action))
    return Counter(
        entity.removeprefix(prefix).partition("/")[0]
        for event in events
        if not event.detail.get("existed")
        for entity in event.entities
        if entity.startswith(prefix)
    )

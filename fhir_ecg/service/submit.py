"""Taking an ECG in: everything that is accepted, in one transaction; then the wake-up."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

from fhir_ecg.fhir.document import Form, read_observation
from fhir_ecg.fhir.ecg_observation import Sent, read_joined
from fhir_ecg.fhir.outcome import Problem, RefusedError
from fhir_ecg.fhir.plausibility import check_plausibility
from fhir_ecg.fhir.release import r4_form
from fhir_ecg.fhir.report import registered_report
from fhir_ecg.service.admit import BusyError, Condition, admission_keys, find_admitted, require_met, require_room
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.store.admissions import Admitted, AdmittedMeanwhileError
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.resources import StoredResource
from fhir_ecg.store.unit_of_work import UnitOfWork

logger = logging.getLogger(__name__)

# Each try finds what another has let in, unless that other failed in the end.
MOST_TRIES = 20


@dataclass(frozen=True)
class Accepted:
    """What became of an ECG at the door."""

    observation: StoredResource
    report: StoredResource
    existed: bool = False
    """Whether it was here already, and nothing was stored."""
    stored: bool = False
    """Whether it was stored now: neither here already, nor the answer to the same attempt to send."""


def submit(
    application: Application, body: bytes, form: Form, caller: Caller, condition: Condition | None = None
) -> Accepted:
    """Accept an Observation, register its report and queue its reading; once, under a condition that says so.

    Raises:
        RefusedError: It cannot be taken; nothing is stored but the audit entry.
    """
    condition = condition or Condition()
    try:
        sent, form = read_observation(body, form)
        check_plausibility(read_joined([Sent(sent, form.root)], application.policy.repairs), form.root)
        accepted, job_id = _admit_or_find(application, body, sent, form, caller, condition)
    except RefusedError as error:
        record_refusal(application, error, caller)
        raise
    if job_id:
        application.wake(job_id)
        tell_accepted(job_id, accepted.observation, accepted.report)
    return accepted


def _admit_or_find(
    application: Application, body: bytes, sent: dict[str, Any], form: Form, caller: Caller, condition: Condition
) -> tuple[Accepted, str | None]:
    for _ in range(MOST_TRIES):
        with suppress(AdmittedMeanwhileError):  # the other's transaction has ended: now it is found
            return _admit(application, body, sent, form, caller, condition)
    text = "Others send the same ECG at this moment. Nothing was stored of this one; send it again."
    raise BusyError(Problem("throttled", text, "Observation"))


def tell_accepted(job_id: str, observation: StoredResource, report: StoredResource) -> None:
    """Let the log lead from the request to the job, whose id the worker's lines carry."""
    ids = {"job": job_id, "observation": observation.content["id"], "report": report.content["id"]}
    logger.info("an ECG was accepted", extra=ids)


def _admit(
    application: Application, body: bytes, sent: dict[str, Any], form: Form, caller: Caller, condition: Condition
) -> tuple[Accepted, str | None]:
    """Store the ECG, or find it; the job's id for the wake-up where it was stored."""
    moment = now()
    keys = admission_keys(application, body, condition, caller, moment)
    with application.store.transaction() as work:
        if keys and (found := find_admitted(work, keys, body, condition, moment)):
            there = [found.observation, found.report]
            work.audit.add(caller.entry("create", there, {"existed": True}), moment)
            return Accepted(found.observation, found.report, existed=not found.replay), None
        observation = r4_form(sent) | {"id": str(uuid4())}
        require_met(condition, observation)
        require_room(application, work)
        for key in keys:
            work.admissions.add(key, Admitted(observation["id"], sha256(body).hexdigest()), moment)
        submission = work.add_submission(body, form.media_type, caller.client, moment)
        # Bytes of another form than the one that is served are rendered once, now.
        changed = observation != sent | {"id": observation["id"]}
        rendered = form.syntax != "json" or form.parameter is not None or changed
        stored = work.resources.put(observation, moment, submission_id=submission, keep_content=rendered)
        report, job_id = register(application, work, [observation], caller, moment)
        work.audit.add(caller.entry("create", [stored, report]), moment)
    return Accepted(stored, report, stored=True), job_id


def register(
    application: Application,
    work: UnitOfWork,
    observations: Sequence[dict[str, Any]],
    caller: Caller,
    moment: datetime,
) -> tuple[StoredResource, str]:
    """Add the report of an accepted ECG and the job to read it; the first Observation stands for the ECG.

    Returns:
        The report, and the job's id for the wake-up after the commit.
    """
    first, *others = observations
    report_id = str(uuid4())
    members = [other["id"] for other in others]
    report = work.resources.put(registered_report(first, first["id"], report_id, members), moment)
    policy = application.policy
    repairs = sorted(map(str, policy.repairs))
    job_id = work.jobs.add(
        first["id"],
        report_id,
        moment,
        wake_again=policy.wake_again,
        repairs=repairs,
        request_id=caller.request_id,
    )
    return report, job_id


def record_refusal(application: Application, error: RefusedError, caller: Caller) -> None:
    """Leave a trace of what was refused."""
    with application.store.transaction() as work:
        work.audit.add(refusal_entry(error, caller), now())


def refusal_entry(error: RefusedError, caller: Caller) -> AuditEntry:
    """Say what was refused: the codes and elements, none of its content."""
    problems = [{"code": problem.code, "expression": problem.expression} for problem in error.problems]
    return caller.entry("refuse", detail={"problems": problems}, outcome="failure")

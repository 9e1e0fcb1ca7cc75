"""Taking an ECG in: everything that is accepted, in one transaction; then the wake-up."""

from dataclasses import dataclass
from uuid import uuid4

from fhir_ecg.fhir.ecg_observation import read_recording
from fhir_ecg.fhir.outcome import RefusedError
from fhir_ecg.fhir.parsing import check_observation, parse_json
from fhir_ecg.fhir.report import registered_report
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.resources import StoredResource

FHIR_JSON = "application/fhir+json"


@dataclass(frozen=True)
class Accepted:
    """What became of an ECG at the door."""

    observation: StoredResource
    report: StoredResource


def submit(application: Application, body: bytes, caller: Caller) -> Accepted:
    """Accept an Observation, register its report and queue its reading.

    Raises:
        RefusedError: It cannot be taken; nothing is stored but the audit entry.
    """
    try:
        observation = parse_json(body)
        check_observation(observation)
        read_recording(observation)
    except RefusedError as error:
        record_refusal(application, error, caller)
        raise
    moment = now()
    observation_id, report_id = str(uuid4()), str(uuid4())
    with application.store.transaction() as work:
        submission = work.add_submission(body, FHIR_JSON, caller.client, moment)
        observation["id"] = observation_id
        stored = work.resources.put(observation, moment, submission_id=submission)
        report = work.resources.put(registered_report(observation, observation_id, report_id), moment)
        job_id = work.jobs.add(observation_id, report_id, moment, wake_again=application.policy.wake_again)
        entities = (stored.versioned_reference, report.versioned_reference)
        work.audit.add(
            AuditEntry("create", client=caller.client, request_id=caller.request_id, entities=entities),
            moment,
        )
    application.wake(job_id)
    return Accepted(stored, report)


def record_refusal(application: Application, error: RefusedError, caller: Caller) -> None:
    """Leave a trace of what was refused: the codes and elements, none of its content."""
    problems = [{"code": problem.code, "expression": problem.expression} for problem in error.problems]
    entry = AuditEntry(
        "refuse",
        outcome="failure",
        client=caller.client,
        request_id=caller.request_id,
        detail={"problems": problems},
    )
    with application.store.transaction() as work:
        work.audit.add(entry, now())

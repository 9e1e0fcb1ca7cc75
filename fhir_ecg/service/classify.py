"""Reading one ECG: claim, decode, check, predict, write all in one transaction. Twice changes nothing."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from time import perf_counter
from typing import Literal
from uuid import uuid4

from fhir_ecg.ecg.quality import QualityFinding, quality_findings, quality_warnings
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.error_text import describe_error
from fhir_ecg.fhir.ecg_observation import Sent, read_joined
from fhir_ecg.fhir.reading_resources import model_card, model_device, reading_provenance
from fhir_ecg.fhir.repairs import Repair
from fhir_ecg.fhir.report import Writing, cancelled_report
from fhir_ecg.log_context import add_log_fields
from fhir_ecg.service.application import Application, Caller, Stage, now
from fhir_ecg.service.reading import Case, Reading, cancellation_record, prediction_record, report_of, scores_of
from fhir_ecg.service.task import mirror
from fhir_ecg.store.resources import StoredResource
from fhir_ecg.store.unit_of_work import UnitOfWork

logger = logging.getLogger(__name__)

Outcome = Literal["read", "cancelled", "released", "not claimed"]


def classify(application: Application, job_id: str) -> Outcome:
    """Do one job, if it can be claimed."""
    started_at, timings = now(), dict[str, float]()
    with _timed(application, "claim", timings), application.store.transaction() as work:
        job = work.jobs.claim(job_id, started_at, lease=application.policy.lease)
        if job is None:
            return "not claimed"
        case = _with_resources(work, Case(job, [], {}, started_at, timings))
        mirror(work, job.id, "in-progress", started_at)
    add_log_fields(attempt=job.attempt, report=job.report_id, request_id=job.request_id)
    if job.attempt > application.policy.maximum_attempts:
        reason = QualityFinding("processing-failed", f"The reading failed {job.attempt - 1} times.")
        return _cancel(application, case, [reason], error="every attempt ended without a result")
    try:
        return _read(application, case)
    except Exception as error:
        logger.exception("reading failed")
        return _give_back(application, case, error)


def _read(application: Application, case: Case) -> Outcome:
    with _timed(application, "decode", case.timings):
        recording = _decode(case)
    with _timed(application, "quality", case.timings):
        findings = quality_findings(recording)
        warnings = [] if findings else quality_warnings(recording)
    if findings:
        return _cancel(application, case, findings, recording)
    with _timed(application, "predict", case.timings):
        prediction = application.classifier().predict(recording, warnings)
    application.kept_weights.keep(application.store, prediction.model, now())
    return _complete(application, case, Reading(recording, warnings, prediction))


def _decode(case: Case) -> Recording:
    """Decode the ECG as it was decoded at the door."""
    sent = [Sent(observation.content) for observation in case.observations]
    return read_joined(sent, frozenset(map(Repair, case.job.repairs)))


@contextmanager
def _timed(application: Application, stage: Stage, timings: dict[str, float]) -> Iterator[None]:
    """Measure a stage for the record, and for whoever counts."""
    began = perf_counter()
    with application.timed(stage):
        yield
    timings[stage] = round((perf_counter() - began) * 1000, 3)


def _with_resources(work: UnitOfWork, case: Case, *, for_update: bool = False) -> Case:
    """Load what a case is about, as it is now."""
    report = work.resources.get("DiagnosticReport", case.job.report_id, for_update=for_update)
    if report is None:
        raise LookupError(f"job {case.job.id} names a report that is not stored")
    ids = [result["reference"].removeprefix("Observation/") for result in report.content["result"]]
    return replace(case, observations=work.resources.get_many("Observation", ids), registered=report.content)


def _complete(application: Application, case: Case, reading: Reading) -> Outcome:
    moment = now()
    with application.timed("write"), application.store.transaction() as work:
        if not work.jobs.finish(case.job, moment):
            return "not claimed"
        # The sender may have amended what the ECG is about since the claim; never its waveform.
        case = _with_resources(work, case, for_update=True)
        written = _write_reading(application, work, case, reading, moment)
        mirror(work, case.job.id, "completed", moment)
        work.readings.add(prediction_record(application, work, case, reading, written[0]))
        work.audit.add(Caller().entry("classify", written), moment)
    return "read"


def _write_reading(
    application: Application,
    work: UnitOfWork,
    case: Case,
    reading: Reading,
    moment: datetime,
) -> list[StoredResource]:
    """Store the report's next version, the probabilities and the Provenance; the Device and its card if need be."""
    model = reading.prediction.model
    card = model_card(application.model_card(), model, moment)
    work.resources.put_shared(card, moment)
    work.resources.put_shared(model_device(model, card), moment)
    writing: Writing = {"issued": moment, "snomed": application.policy.snomed}
    scores_id = str(uuid4())
    contents = [observation.content for observation in case.observations]
    scores = work.resources.put(scores_of(contents, scores_id, reading, writing), moment)
    written = report_of(case.registered, scores_id, reading, application.policy.report_status, writing)
    report = work.resources.put(written, moment)
    targets = [report.versioned_reference, scores.versioned_reference]
    sources = [observation.versioned_reference for observation in case.observations]
    repairs = reading.recording.repairs
    software = application.software_version
    provenance = reading_provenance(
        str(uuid4()), targets, sources, model, moment, repairs, software=software, card=card
    )
    return [report, scores, work.resources.put(provenance, moment)]


def _cancel(
    application: Application,
    case: Case,
    reasons: list[QualityFinding],
    recording: Recording | None = None,
    *,
    error: str | None = None,
) -> Outcome:
    moment = now()
    with application.timed("write"), application.store.transaction() as work:
        if not work.jobs.finish(case.job, moment, error=error):
            return "not claimed"
        case = _with_resources(work, case, for_update=True)
        report = work.resources.put(cancelled_report(case.registered, reasons, issued=moment), moment)
        work.readings.add(cancellation_record(application, work, case, reasons, recording, report))
        mirror(work, case.job.id, "failed", moment, "; ".join(reason.text for reason in reasons))
        detail = {"reasons": [reason.code for reason in reasons]}
        work.audit.add(Caller().entry("classify", [report], detail, outcome="failure"), moment)
    return "cancelled"


def _give_back(application: Application, case: Case, error: Exception) -> Outcome:
    """End a failed attempt: the job waits again, or its report is cancelled after the last one."""
    described = describe_error(error)
    if case.job.attempt >= application.policy.maximum_attempts:
        reason = QualityFinding("processing-failed", f"The reading failed {case.job.attempt} times.")
        return _cancel(application, case, [reason], error=described)
    with application.store.transaction() as work:
        work.jobs.release(case.job, now() + application.policy.wake_again, error=described)
    return "released"

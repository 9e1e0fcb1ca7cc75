"""Reading one ECG: claim, decode, check, predict, write all in one transaction. Twice changes nothing."""

import logging
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

from fhir_ecg.ecg.prediction import Prediction
from fhir_ecg.ecg.quality import QualityFinding, quality_findings, quality_warnings
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.error_text import describe_error
from fhir_ecg.fhir.ecg_observation import Sent, read_joined
from fhir_ecg.fhir.reading_resources import (
    model_device,
    reading_provenance,
    scores_observation,
)
from fhir_ecg.fhir.repairs import Repair
from fhir_ecg.fhir.report import Writing, cancelled_report, read_report
from fhir_ecg.log_context import add_log_fields
from fhir_ecg.service.application import Application, Policy, now
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.jobs import Job
from fhir_ecg.store.resources import StoredResource
from fhir_ecg.store.tables import PredictionRow
from fhir_ecg.store.unit_of_work import UnitOfWork

logger = logging.getLogger(__name__)

Outcome = Literal["read", "cancelled", "released", "not claimed"]


@dataclass(frozen=True)
class _Case:
    """What a claimed job works on."""

    job: Job
    observations: list[StoredResource]
    """Those that hold the ECG; the first stands for it."""
    registered: dict[str, Any]
    started_at: datetime

    def recording(self) -> Recording:
        """Decode the ECG as it was decoded at the door."""
        sent = [Sent(observation.content) for observation in self.observations]
        return read_joined(sent, frozenset(map(Repair, self.job.repairs)))


@dataclass(frozen=True)
class _Reading:
    """What came of a case."""

    recording: Recording
    warnings: list[QualityFinding]
    prediction: Prediction


def classify(application: Application, job_id: str) -> Outcome:
    """Do one job, if it can be claimed."""
    started_at = now()
    with application.timed("claim"), application.store.transaction() as work:
        job = work.jobs.claim(job_id, started_at, lease=application.policy.lease)
        if job is None:
            return "not claimed"
        case = _case(work, job, started_at)
    add_log_fields(attempt=job.attempt, report=job.report_id, request_id=job.request_id)
    if job.attempt > application.policy.maximum_attempts:
        reason = QualityFinding("processing-failed", f"The reading failed {job.attempt - 1} times.")
        return _cancel(application, case, [reason], error="every attempt ended without a result")
    try:
        with application.timed("decode"):
            recording = case.recording()
        with application.timed("quality"):
            findings = quality_findings(recording)
            warnings = [] if findings else quality_warnings(recording)
        if findings:
            return _cancel(application, case, findings)
        with application.timed("predict"):
            prediction = application.classifier().predict(recording, warnings)
        return _complete(application, case, _Reading(recording, warnings, prediction))
    except Exception as error:
        logger.exception("reading failed")
        return _give_back(application, case, error)


def _case(work: UnitOfWork, job: Job, started_at: datetime) -> _Case:
    report = work.resources.get("DiagnosticReport", job.report_id)
    if report is None:
        raise LookupError(f"job {job.id} names a report that is not stored")
    ids = [result["reference"].removeprefix("Observation/") for result in report.content["result"]]
    observations = [stored for each in ids if (stored := work.resources.get("Observation", each))]
    return _Case(job, observations, report.content, started_at)


def _complete(application: Application, case: _Case, reading: _Reading) -> Outcome:
    moment = now()
    with application.timed("write"), application.store.transaction() as work:
        if not work.jobs.finish(case.job, moment):
            return "not claimed"
        written = _write_reading(work, application.policy, case, reading, moment)
        work.add_prediction(_prediction_row(application, case, reading, moment))
        entities = tuple(resource.versioned_reference for resource in written)
        work.audit.add(AuditEntry("classify", entities=entities), moment)
    return "read"


def _write_reading(
    work: UnitOfWork,
    policy: Policy,
    case: _Case,
    reading: _Reading,
    moment: datetime,
) -> list[StoredResource]:
    """Store the report's next version, the Observation of probabilities and the Provenance; the Device once."""
    recording, prediction = reading.recording, reading.prediction
    work.resources.put_once(model_device(prediction.model), moment)
    source, *others = (observation.content for observation in case.observations)
    how: Writing = {"issued": moment, "snomed": policy.snomed}
    members = [other["id"] for other in others]
    scores_id = str(uuid4())
    written = scores_observation(source, source["id"], scores_id, prediction, **how, members=members)
    scores = work.resources.put(written, moment)
    report = work.resources.put(
        read_report(
            case.registered,
            prediction,
            recording,
            scores_id,
            status=policy.report_status,
            warnings=reading.warnings,
            **how,
        ),
        moment,
    )
    targets = [report.versioned_reference, scores.versioned_reference]
    sources = [observation.versioned_reference for observation in case.observations]
    provenance = reading_provenance(str(uuid4()), targets, sources, prediction.model, moment, recording.repairs)
    return [report, scores, work.resources.put(provenance, moment)]


def _cancel(application: Application, case: _Case, reasons: list[QualityFinding], error: str | None = None) -> Outcome:
    moment = now()
    with application.timed("write"), application.store.transaction() as work:
        if not work.jobs.finish(case.job, moment, error=error):
            return "not claimed"
        report = work.resources.put(cancelled_report(case.registered, reasons, issued=moment), moment)
        detail = {"reasons": [reason.code for reason in reasons]}
        work.audit.add(
            AuditEntry("classify", outcome="failure", entities=(report.versioned_reference,), detail=detail),
            moment,
        )
    return "cancelled"


def _give_back(application: Application, case: _Case, error: Exception) -> Outcome:
    """End a failed attempt: the job waits again, or its report is cancelled after the last one."""
    described = describe_error(error)
    if case.job.attempt >= application.policy.maximum_attempts:
        reason = QualityFinding("processing-failed", f"The reading failed {case.job.attempt} times.")
        return _cancel(application, case, [reason], error=described)
    with application.store.transaction() as work:
        work.jobs.release(case.job, now() + application.policy.wake_again, error=described)
    return "released"


def _prediction_row(application: Application, case: _Case, reading: _Reading, moment: datetime) -> PredictionRow:
    recording, prediction = reading.recording, reading.prediction
    return PredictionRow(
        report_id=case.job.report_id,
        observation_id=case.job.observation_id,
        model_name=prediction.model.name,
        model_version=prediction.model.version,
        weights_sha256=prediction.model.weights_sha256,
        software_version=application.software_version,
        runtime=prediction.runtime,
        recording_sha256=recording.sha256(),
        input_sha256=prediction.input_sha256,
        repairs=list(recording.repairs),
        warnings=[asdict(warning) for warning in reading.warnings],
        scores=[asdict(score) | {"answer": score.answer} for score in prediction.scores],
        attempt=case.job.attempt,
        started_at=case.started_at,
        finished_at=moment,
    )

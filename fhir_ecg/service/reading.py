"""What comes of a reading: the resources it leads to, and its record.

The same code writes them when an ECG is read, and again when a reading is replayed.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

from fhir_ecg.computing_environment import computing_environment, process_name
from fhir_ecg.ecg.prediction import Prediction
from fhir_ecg.ecg.quality import QualityFinding
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.fhir.reading_resources import scores_observation
from fhir_ecg.fhir.report import ReadStatus, Writing, read_report
from fhir_ecg.service.application import Application
from fhir_ecg.store.jobs import Job
from fhir_ecg.store.resources import StoredResource
from fhir_ecg.store.tables import CancellationRow, PredictionRow
from fhir_ecg.store.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Reading:
    """An ECG that the model has read."""

    recording: Recording
    warnings: Sequence[QualityFinding]
    prediction: Prediction


@dataclass(frozen=True)
class Case:
    """What a claimed job works on."""

    job: Job
    observations: list[StoredResource]
    """Those that hold the ECG; the first stands for it."""
    registered: dict[str, Any]
    started_at: datetime
    timings: dict[str, float] = field(default_factory=dict)
    """Milliseconds that each stage took so far."""


def scores_of(
    observations: Sequence[dict[str, Any]], scores_id: str, reading: Reading, writing: Writing
) -> dict[str, Any]:
    """Write the Observation of probabilities; the first of the Observations stands for the ECG."""
    source, *others = observations
    members = [other["id"] for other in others]
    return scores_observation(source, source["id"], scores_id, reading.prediction, **writing, members=members)


def report_of(
    registered: dict[str, Any], scores_id: str, reading: Reading, status: ReadStatus, writing: Writing
) -> dict[str, Any]:
    """Write the report."""
    return read_report(
        registered,
        reading.prediction,
        reading.recording,
        scores_id,
        status=status,
        warnings=reading.warnings,
        **writing,
    )


def content_sha256(resource: dict[str, Any]) -> str:
    """Digest a resource as it is served in JSON."""
    return sha256(serialise(resource)).hexdigest()


def prediction_record(
    application: Application, work: UnitOfWork, case: Case, reading: Reading, report: StoredResource
) -> PredictionRow:
    """Write down a reading."""
    recording, prediction = reading.recording, reading.prediction
    return PredictionRow(
        **_circumstances(application, work, case, report),
        model_name=prediction.model.name,
        model_version=prediction.model.version,
        weights_sha256=prediction.model.weights_sha256,
        runtime=prediction.runtime,
        recording_sha256=recording.sha256(),
        input_sha256=prediction.input_sha256,
        repairs=list(recording.repairs),
        warnings=[asdict(warning) for warning in reading.warnings],
        scores=[asdict(score) | {"answer": score.answer} for score in prediction.scores],
    )


def cancellation_record(
    application: Application,
    work: UnitOfWork,
    case: Case,
    reasons: Sequence[QualityFinding],
    recording: Recording | None,
    report: StoredResource,
) -> CancellationRow:
    """Write down why there is no reading; without a recording where the ECG was not even decoded."""
    return CancellationRow(
        **_circumstances(application, work, case, report),
        id=str(uuid4()),
        reasons=[asdict(reason) for reason in reasons],
        recording_sha256=recording.sha256() if recording else None,
        repairs=list(recording.repairs) if recording else [],
    )


def _circumstances(application: Application, work: UnitOfWork, case: Case, report: StoredResource) -> dict[str, Any]:
    policy = application.policy
    return {
        "report_id": case.job.report_id,
        "report_version": report.version,
        "observation_id": case.job.observation_id,
        "software_version": application.software_version,
        "worker": process_name(),
        "environment": computing_environment(),
        "policy": {
            "repairs": list(case.job.repairs),
            "report_status": policy.report_status,
            "snomed": policy.snomed,
        },
        "sources": [
            {
                "reference": observation.versioned_reference,
                "sha256": content_sha256(observation.content),
                "submission": submission,
                "submission_sha256": digest,
            }
            for observation, (submission, digest) in zip(
                case.observations, work.readings.sources(case.observations), strict=True
            )
        ],
        "timings": case.timings,
        "attempt": case.job.attempt,
        "started_at": case.started_at,
        "finished_at": report.last_updated,
    }

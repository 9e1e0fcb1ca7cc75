"""What a reading is replayed from: its record, the bytes as sent, and what was served and written."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from fhir_ecg.fhir.repairs import Repair
from fhir_ecg.service.replay_comparison import Comparison
from fhir_ecg.store.readings import ReadingKey, Record, Submission
from fhir_ecg.store.resources import ExpiredError, StoredResource
from fhir_ecg.store.tables import PredictionRow
from fhir_ecg.store.unit_of_work import UnitOfWork


class MissingError(LookupError):
    """Something that a reading was made from or led to is not stored any more; its text names it."""


@dataclass(frozen=True)
class Source:
    """An Observation that was read."""

    observation: StoredResource
    """The version that was read, as it is served."""
    submission: Submission
    """The bytes that it was sent in."""
    recorded: dict[str, Any] | None
    """What the record says of it; None in a record of an older version."""


@dataclass(frozen=True)
class Material:
    """All that a reading is replayed from."""

    record: Record
    sources: list[Source]
    """In the order in which they were read; the first stands for the ECG."""
    repairs: frozenset[Repair]
    """Those that were allowed."""
    report: StoredResource
    """The version that the reading led to."""
    scores: StoredResource | None
    """The Observation of probabilities, of a reading that led to one."""


def load_material(work: UnitOfWork, key: ReadingKey, comparison: Comparison) -> Material:
    """Load what a reading is replayed from, and compare the bytes with their digests.

    Raises:
        DifferenceError: Bytes are not those that were sent.
        MissingError: Some of it is not stored any more.
        RefusedError: A stored resource is no JSON any more.
        ValueError: A column of the record is no JSON any more.
    """
    record = work.readings.get(key)
    if record is None:
        raise MissingError("the record of the reading is not stored any more")
    versions = _versions_read(work, record)
    comparison.stage = "bytes"
    # The bytes first: a version that is rendered from them can be read only from sound ones.
    submissions = [_submission(work, each, comparison) for each in versions]
    comparison.stage = "observation"
    sources = [
        Source(_version(work, "Observation", each.identity, each.version), submission, each.recorded)
        for each, submission in zip(versions, submissions, strict=True)
    ]
    comparison.stage = "report"
    report = _version(work, "DiagnosticReport", record.report_id, _report_version(work, record))
    scores = _scores(work, record, report) if isinstance(record, PredictionRow) else None
    return Material(record, sources, _allowed_repairs(work, record), report, scores)


@dataclass(frozen=True)
class _VersionRead:
    identity: str
    version: int
    recorded: dict[str, Any] | None


def _versions_read(work: UnitOfWork, record: Record) -> list[_VersionRead]:
    if record.sources is not None:
        parts = [(each, each["reference"].split("/")) for each in record.sources]
        return [_VersionRead(identity, int(version), each) for each, (_, identity, _, version) in parts]
    # The record is of an older version: what was current when the reading ended.
    report = _version(work, "DiagnosticReport", record.report_id, _report_version(work, record))
    ids = [_identity(result) for result in report.content["result"]]
    moment = record.finished_at
    sent = [identity for identity in ids if work.resources.was_sent("Observation", identity)]
    return [_VersionRead(i, work.readings.version_at("Observation", i, moment) or 0, None) for i in sent]


def _submission(work: UnitOfWork, read: _VersionRead, comparison: Comparison) -> Submission:
    submission = work.readings.submission(read.identity, read.version)
    if submission is None or submission.body is None:
        reference = f"Observation/{read.identity}/_history/{read.version}"
        when = f": they expired on {submission.expired_at:%Y-%m-%d}" if submission and submission.expired_at else ""
        raise MissingError(f"the bytes that {reference} was sent in are not stored any more{when}")
    digest = sha256(submission.body).hexdigest()
    comparison.equal(f"SHA-256 of the bytes of submission {submission.id}", submission.sha256, digest)
    if read.recorded is not None:
        comparison.equal("submission of the reading", read.recorded["submission"], submission.id)
        comparison.equal("SHA-256 of the bytes, as recorded", read.recorded["submission_sha256"], digest)
    return submission


def _allowed_repairs(work: UnitOfWork, record: Record) -> frozenset[Repair]:
    if record.policy is not None:
        return frozenset(map(Repair, record.policy["repairs"]))
    job = work.jobs.get(record.report_id)
    return frozenset(map(Repair, job.repairs if job else []))


def _report_version(work: UnitOfWork, record: Record) -> int | None:
    if record.report_version is not None:
        return record.report_version
    return work.readings.version_at("DiagnosticReport", record.report_id, record.finished_at)


def _scores(work: UnitOfWork, record: Record, report: StoredResource) -> StoredResource:
    identity = _identity(report.content["result"][-1])
    version = work.readings.version_at("Observation", identity, record.finished_at)
    return _version(work, "Observation", identity, version)


def _version(work: UnitOfWork, kind: str, identity: str, version: int | None) -> StoredResource:
    try:
        stored = None if version is None else work.resources.get(kind, identity, version)
    except ExpiredError as error:
        raise MissingError(f"{error} on {error.version.expired_at:%Y-%m-%d}") from error
    if stored is None:
        raise MissingError(f"{kind}/{identity}/_history/{version} is not stored any more")
    return stored


def _identity(result: dict[str, Any]) -> str:
    reference: str = result["reference"]
    return reference.removeprefix("Observation/")

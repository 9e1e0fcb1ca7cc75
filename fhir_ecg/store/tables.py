"""The tables. Migrations in migrations/versions bring a database to them."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    FetchedValue,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from fhir_ecg.store.base import BY_CODE_POINT, COUNTER, Base


class SubmissionRow(Base):
    """The bytes of an accepted Observation, as sent; their digest stays when they have expired."""

    __tablename__ = "submission"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    received_at: Mapped[datetime]
    media_type: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    """Empty where it has expired."""
    client: Mapped[str | None]
    expired_at: Mapped[datetime | None]


class AdmissionRow(Base):
    """What lets an ECG in once: a sender's own key, a condition, or its very bytes."""

    __tablename__ = "admission"
    __table_args__ = (Index(None, "observation_id"),)

    scope: Mapped[str] = mapped_column(String(32), primary_key=True)
    """`idempotency-key`, `if-none-exist` or `same-bytes`."""
    key_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    body_sha256: Mapped[str] = mapped_column(String(64))
    observation_id: Mapped[str] = mapped_column(String(64))
    admitted_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    """From when on it lets another in; None for never."""


class ResourceRow(Base):
    """The current version of a resource."""

    __tablename__ = "resource"
    # With `deleted`, so that a search need not look at the rows themselves.
    __table_args__ = (
        Index(None, "type", "created", "id", "deleted"),
        Index(None, "type", "last_updated", "id", "deleted"),
    )

    type: Mapped[str] = mapped_column(String(32), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int]
    created: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    """The moment of the first version, which never changes; older processes leave it to the database to write."""
    last_updated: Mapped[datetime]
    deleted: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether the current version is a deletion; such a resource stands in no search index."""
    index_version: Mapped[int] = mapped_column(default=0, server_default="0")
    """With what parameters it was indexed: see store/search_index.py."""


class ResourceVersionRow(Base):
    """One version of a resource, as it is served; never changed, but without content when it has expired.

    A resource that was sent has no content of its own: it is rendered from its submission's bytes.
    """

    __tablename__ = "resource_version"
    __table_args__ = (Index(None, "type", "last_updated", "id", "version"), Index(None, "last_updated", "type", "id"))

    type: Mapped[str] = mapped_column(String(32), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    last_updated: Mapped[datetime]
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    submission_id: Mapped[str | None] = mapped_column(ForeignKey("submission.id"))
    deleted: Mapped[bool] = mapped_column(default=False, server_default=false())
    """A version without content, that ends the resource."""
    expired_at: Mapped[datetime | None]


class JobRow(Base):
    """The work on one ECG. It is the truth; a message to a worker is only a wake-up."""

    __tablename__ = "job"
    __table_args__ = (Index(None, "state", "due_at"), Index(None, "created_at", "id"))

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    observation_id: Mapped[str] = mapped_column(String(64), unique=True)
    report_id: Mapped[str] = mapped_column(String(64), unique=True)
    state: Mapped[str] = mapped_column(String(16))
    """`waiting`, `running`, `done`, `failed` or `withdrawn`."""
    attempts: Mapped[int]
    repairs: Mapped[list[Any]]
    """Names of the repairs that were allowed when the ECG was accepted."""
    request_id: Mapped[str | None]
    """The request that brought the ECG, so that its log lines lead to those of the reading."""
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    """When the sweeper wakes it (again): while running, the end of the lease."""
    finished_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(String(4000))


class WorkerRow(Base):
    """A worker's sign of life."""

    __tablename__ = "worker"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    """Host and process."""
    software_version: Mapped[str]
    weights_sha256: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class WeightsRow(Base):
    """A model that has read, as its file; never changed."""

    __tablename__ = "weights"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Digest of the file."""
    name: Mapped[str]
    version: Mapped[str]
    manifest_sha256: Mapped[str] = mapped_column(String(64))
    """Digest of the manifest in the file: labels, preprocessing, calibration, thresholds."""
    added_at: Mapped[datetime]
    body: Mapped[bytes] = mapped_column(LargeBinary)


class CircumstancesMixin:
    """How a reading came to be; null where an older version has written the row."""

    report_version: Mapped[int | None]
    """The version of the report that it led to."""
    worker: Mapped[str | None]
    """Host and process."""
    environment: Mapped[dict[str, Any] | None]
    """Versions of Python and of the libraries that compute, system, processor."""
    policy: Mapped[dict[str, Any] | None]
    """What the operator had decided: the `repairs` that were allowed, `report_status`, `snomed`."""
    sources: Mapped[list[Any] | None]
    """For each Observation its versioned `reference` and the `sha256` of its JSON, and of the bytes that it was sent
    in the `submission` and `submission_sha256`."""
    timings: Mapped[dict[str, Any] | None]
    """Milliseconds for each stage."""


class PredictionRow(CircumstancesMixin, Base):
    """What the model said, with all it takes to know how; never changed.

    A report can have only one: a job that has led to one is done, and never claimed again.
    """

    __tablename__ = "prediction"
    __table_args__ = (Index(None, "finished_at", "report_id"),)

    report_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    observation_id: Mapped[str] = mapped_column(String(64), index=True)
    model_name: Mapped[str]
    model_version: Mapped[str]
    weights_sha256: Mapped[str] = mapped_column(String(64), index=True)
    software_version: Mapped[str]
    runtime: Mapped[str]
    recording_sha256: Mapped[str] = mapped_column(String(64))
    input_sha256: Mapped[str] = mapped_column(String(64))
    repairs: Mapped[list[Any]]
    warnings: Mapped[list[Any]]
    """What was found of the signal, beside which a reading is sound: code, text, lead, severity."""
    scores: Mapped[list[Any]]
    """For each statement in the model's order, every field of a StatementScore, and the answer."""
    attempt: Mapped[int]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]


class CancellationRow(CircumstancesMixin, Base):
    """A reading that ended without a prediction, and why; never changed.

    A report can have several: an operator may let a failed job be tried again.
    """

    __tablename__ = "cancellation"
    __table_args__ = (Index(None, "finished_at", "report_id"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    report_id: Mapped[str] = mapped_column(String(64), index=True)
    observation_id: Mapped[str] = mapped_column(String(64), index=True)
    reasons: Mapped[list[Any]]
    """What forbade a reading: code, text, lead, severity."""
    software_version: Mapped[str]
    recording_sha256: Mapped[str | None] = mapped_column(String(64))
    """None where it failed before the ECG was decoded."""
    repairs: Mapped[list[Any]]
    attempt: Mapped[int]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]


class ConfirmationRow(Base):
    """What a person decided about a report; never changed."""

    __tablename__ = "confirmation"
    __table_args__ = (Index(None, "read_at", "report_id"),)

    report_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    report_version: Mapped[int] = mapped_column(primary_key=True)
    """The version that came of it."""
    decision: Mapped[str] = mapped_column(String(16))
    """`confirm`, `edit` or `reject`."""
    interpreters: Mapped[list[Any]]
    """References to who decided."""
    client: Mapped[str | None]
    machine_version: Mapped[int | None]
    """The newest version that the model wrote; None where it wrote none."""
    read_at: Mapped[datetime | None]
    """When that was written."""
    decided_at: Mapped[datetime]


class LegalHoldRow(Base):
    """What keeps a patient's ECGs, or one ECG, from expiring and from being deleted; it stays when it is released."""

    __tablename__ = "legal_hold"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    patient: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """A Reference to the patient: by `reference`, or by `identifier`."""
    observation_id: Mapped[str | None] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(String(4000))
    placed_at: Mapped[datetime]
    released_at: Mapped[datetime | None]
    release_reason: Mapped[str | None] = mapped_column(String(4000))


class AuditEventRow(Base):
    """Who did what, when, with what outcome; written in the transaction of what it records."""

    __tablename__ = "audit_event"
    __table_args__ = (Index(None, "lane", "position", unique=True),)

    sequence: Mapped[int] = mapped_column(COUNTER, primary_key=True)
    id: Mapped[str] = mapped_column(String(36), unique=True)
    recorded: Mapped[datetime]
    action: Mapped[str] = mapped_column(String(16))
    """`create`, `read`, `vread`, `search`, `classify`, `export`, `refuse`."""
    outcome: Mapped[str] = mapped_column(String(16))
    client: Mapped[str | None]
    request_id: Mapped[str | None]
    entities: Mapped[list[Any]]
    detail: Mapped[dict[str, Any]]
    lane: Mapped[int | None]
    """The lane of the chain; null in entries that are older than the chain."""
    position: Mapped[int | None] = mapped_column(BigInteger)
    """The place in the lane, from 1 on."""
    previous: Mapped[str | None] = mapped_column(String(64))
    """The digest of the entry before."""
    digest: Mapped[str | None] = mapped_column(String(64))
    """The digest of all other columns but `sequence`: see docs/audit.md."""
    digests: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """The digest of each row that the transaction wrote, by its name; null for one that it removed."""


class AuditLaneRow(Base):
    """One of the chains that the audit entries form, so that those who write at once need not wait for each other."""

    __tablename__ = "audit_lane"

    lane: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInteger)
    """The place of the last entry; 0 for none."""
    head: Mapped[str] = mapped_column(String(64))
    """The digest of the last entry, or of the genesis."""
    genesis: Mapped[dict[str, Any]]
    """What stood in the database before the chain: the time, the number of lanes, and the rows of each table."""


class ExportRow(Base):
    """An export: a view of one moment, of which nothing is copied."""

    __tablename__ = "export"
    __table_args__ = (Index(None, "client", "expires_at"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    client: Mapped[str | None]
    request: Mapped[str] = mapped_column(Text)
    """The address of the kick-off."""
    kinds: Mapped[list[Any]]
    elements: Mapped[list[Any]]
    since: Mapped[datetime | None]
    until: Mapped[datetime | None]
    as_of: Mapped[datetime]
    """The versions that were current at this moment are exported."""
    expires_at: Mapped[datetime]
    steps: Mapped[int]
    """How many pieces of the store were walked through, to find where the files begin and end."""
    walked: Mapped[int]
    """How many resources were walked by."""
    kind: Mapped[str | None] = mapped_column(String(32))
    """The type at which the walk goes on; None where it is finished."""
    after: Mapped[str] = mapped_column(String(64))
    """The id after which the walk goes on."""
    files: Mapped[list[Any]]
    """For each file its type, the id after which it begins, that with which it ends, and the number of resources."""


# The newest first, as they are searched for.
Index(None, AuditEventRow.recorded, AuditEventRow.id)
Index(None, AuditEventRow.action, AuditEventRow.recorded, AuditEventRow.id)
Index(None, AuditEventRow.client, AuditEventRow.recorded, AuditEventRow.id)
Index(
    "ix_audit_event_failures",
    AuditEventRow.recorded,
    AuditEventRow.id,
    postgresql_where=AuditEventRow.outcome != "success",
    sqlite_where=AuditEventRow.outcome != "success",
)


class AuditReferenceRow(Base):
    """What an audit entry is found by; it follows from the entry, and is no evidence itself."""

    __tablename__ = "audit_reference"

    role: Mapped[str] = mapped_column(String(16), primary_key=True)
    """`entity`, `user`, `user-name`, `patient-system` or `patient-value`: see fhir/audit_event.py."""
    value: Mapped[str] = mapped_column(BY_CODE_POINT, primary_key=True)
    recorded: Mapped[datetime] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(String(36), primary_key=True)

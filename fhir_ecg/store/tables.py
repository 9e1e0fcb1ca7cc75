"""The tables. Migrations in migrations/versions bring a database to them."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from fhir_ecg.fhir.search_index import INDEXED_LENGTH

# SQLite counts up only what is declared INTEGER.
_COUNTER = BigInteger().with_variant(Integer, "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment with its zone on PostgreSQL, in UTC on SQLite, aware in Python on both."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Refuse a naive moment; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give SQLite's naive moments their zone back."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """What all tables share: names of constraints that migrations can rely on."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[Any]: JSON, str: String(255)}  # noqa: RUF012


class SubmissionRow(Base):
    """The bytes of an accepted Observation, as sent."""

    __tablename__ = "submission"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    received_at: Mapped[datetime]
    media_type: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    client: Mapped[str | None]


class AdmissionRow(Base):
    """What lets an ECG in once: a sender's own key, a condition, or its very bytes."""

    __tablename__ = "admission"

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
    __table_args__ = (Index(None, "type", "last_updated", "id"),)

    type: Mapped[str] = mapped_column(String(32), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int]
    last_updated: Mapped[datetime]


class ResourceVersionRow(Base):
    """One version of a resource, as it is served; never changed.

    A resource that was sent has no content of its own: it is rendered from its submission's bytes.
    """

    __tablename__ = "resource_version"

    type: Mapped[str] = mapped_column(String(32), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    last_updated: Mapped[datetime]
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    submission_id: Mapped[str | None] = mapped_column(ForeignKey("submission.id"))


class TokenRow(Base):
    """A token of a resource's current version."""

    __tablename__ = "search_token"
    __table_args__ = (
        Index(None, "resource_type", "parameter", "code", "system"),
        Index(None, "resource_type", "resource_id"),
    )

    key: Mapped[int] = mapped_column(_COUNTER, primary_key=True)
    resource_type: Mapped[str] = mapped_column(String(32))
    resource_id: Mapped[str] = mapped_column(String(64))
    parameter: Mapped[str] = mapped_column(String(64))
    system: Mapped[str] = mapped_column(String(INDEXED_LENGTH))
    code: Mapped[str] = mapped_column(String(INDEXED_LENGTH))


class ReferenceRow(Base):
    """A reference of a resource's current version."""

    __tablename__ = "search_reference"
    __table_args__ = (
        Index(None, "resource_type", "parameter", "target"),
        Index(None, "resource_type", "resource_id"),
    )

    key: Mapped[int] = mapped_column(_COUNTER, primary_key=True)
    resource_type: Mapped[str] = mapped_column(String(32))
    resource_id: Mapped[str] = mapped_column(String(64))
    parameter: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(INDEXED_LENGTH))


class DateRow(Base):
    """A time, from low up to high, of a resource's current version."""

    __tablename__ = "search_date"
    __table_args__ = (
        Index(None, "resource_type", "parameter", "low", "high"),
        Index(None, "resource_type", "resource_id"),
    )

    key: Mapped[int] = mapped_column(_COUNTER, primary_key=True)
    resource_type: Mapped[str] = mapped_column(String(32))
    resource_id: Mapped[str] = mapped_column(String(64))
    parameter: Mapped[str] = mapped_column(String(64))
    low: Mapped[datetime]
    high: Mapped[datetime]


class JobRow(Base):
    """The work on one ECG. It is the truth; a message to a worker is only a wake-up."""

    __tablename__ = "job"
    __table_args__ = (Index(None, "state", "due_at"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    observation_id: Mapped[str] = mapped_column(String(64), unique=True)
    report_id: Mapped[str] = mapped_column(String(64), unique=True)
    state: Mapped[str] = mapped_column(String(16))
    """`waiting`, `running`, `done` or `failed`."""
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


class PredictionRow(Base):
    """What the model said, with all it takes to know how; never changed."""

    __tablename__ = "prediction"

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


class AuditEventRow(Base):
    """Who did what, when, with what outcome; written in the transaction of what it records."""

    __tablename__ = "audit_event"

    sequence: Mapped[int] = mapped_column(_COUNTER, primary_key=True)
    id: Mapped[str] = mapped_column(String(36), unique=True)
    recorded: Mapped[datetime]
    action: Mapped[str] = mapped_column(String(16))
    """`create`, `read`, `vread`, `search`, `classify`, `refuse`."""
    outcome: Mapped[str] = mapped_column(String(16))
    client: Mapped[str | None]
    request_id: Mapped[str | None]
    entities: Mapped[list[Any]]
    detail: Mapped[dict[str, Any]]

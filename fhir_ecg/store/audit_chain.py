"""The audit chain: each entry holds the digest of the one before, and of every row that its transaction wrote.

docs/audit.md specifies the digests, so that anybody can compute them again.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, bindparam, event, insert, inspect, select, update
from sqlalchemy.orm import Session

from fhir_ecg.store.base import Base
from fhir_ecg.store.tables import (
    AdmissionRow,
    AuditEventRow,
    AuditLaneRow,
    CancellationRow,
    ConfirmationRow,
    JobRow,
    LegalHoldRow,
    PredictionRow,
    ResourceVersionRow,
    SubmissionRow,
    WeightsRow,
)

_FORM = "fhir-ecg/{}/1"
"""Raised when the canonical form changes; what was written under an older one is verified by that."""

_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class Evidence:
    """A table whose rows the chain holds."""

    table: type[Base]
    key: Callable[[Any], str]
    """What the chain calls a row; one that has expired, or was released, has another name than before."""
    moment: str
    """The column that says when a row was written."""
    columns: tuple[str, ...]
    """The columns that never change, which the digest covers."""


def _all_columns(table: type[Base], *but: str) -> tuple[str, ...]:
    return tuple(column.key for column in table.__table__.columns if column.key not in but)


_ENTRY_COLUMNS = _all_columns(AuditEventRow, "sequence", "digest")
_JOB_COLUMNS = ("id", "observation_id", "report_id", "repairs", "request_id", "created_at")

LANES = 16
"""So many chains there are on PostgreSQL, where writers would else wait for each other; SQLite has one writer."""

# Built once, since each write runs them.
_LANES = Base.metadata.tables[AuditLaneRow.__tablename__]
_SOME_LANE = (
    select(_LANES.c.lane, _LANES.c.position, _LANES.c.head)
    .order_by((_LANES.c.lane + bindparam("start")) % LANES)
    .limit(1)
)
_FREE_LANE, _ANY_LANE = _SOME_LANE.with_for_update(skip_locked=True), _SOME_LANE.with_for_update()
_INSERT = insert(Base.metadata.tables[AuditEventRow.__tablename__])
_PUT_FORWARD = (
    update(_LANES)
    .where(_LANES.c.lane == bindparam("of"))
    .values(position=bindparam("position"), head=bindparam("head"))
)


def _expired(row: SubmissionRow | ResourceVersionRow) -> str:
    return "" if row.expired_at is None else "/expired"


EVIDENCE: dict[type[Base], Evidence] = {
    each.table: each
    for each in (
        Evidence(
            SubmissionRow,
            lambda row: f"submission/{row.id}{_expired(row)}",
            "received_at",
            _all_columns(SubmissionRow),
        ),
        Evidence(
            ResourceVersionRow,
            lambda row: f"{row.type}/{row.id}/_history/{row.version}{_expired(row)}",
            "last_updated",
            _all_columns(ResourceVersionRow),
        ),
        Evidence(PredictionRow, lambda row: f"prediction/{row.report_id}", "finished_at", _all_columns(PredictionRow)),
        Evidence(CancellationRow, lambda row: f"cancellation/{row.id}", "finished_at", _all_columns(CancellationRow)),
        Evidence(
            ConfirmationRow,
            lambda row: f"confirmation/{row.report_id}/{row.report_version}",
            "decided_at",
            _all_columns(ConfirmationRow),
        ),
        Evidence(WeightsRow, lambda row: f"weights/{row.sha256}", "added_at", _all_columns(WeightsRow)),
        Evidence(JobRow, lambda row: f"job/{row.id}", "created_at", _JOB_COLUMNS),
        Evidence(
            AdmissionRow,
            lambda row: f"admission/{row.scope}/{row.key_sha256}/{row.observation_id}",
            "admitted_at",
            _all_columns(AdmissionRow),
        ),
        Evidence(
            LegalHoldRow,
            lambda row: f"legal_hold/{row.id}{'' if row.released_at is None else '/released'}",
            "placed_at",
            _all_columns(LegalHoldRow),
        ),
    )
}


def canonical(form: str, values: Mapping[str, Any]) -> bytes:
    """Write values as the one JSON that stands for them, whatever database and version they come from.

    What is null is left out, so that a column that is added later changes nothing of what was written before it.
    """
    shown = {name: _plain(value) for name, value in values.items() if value is not None}
    document = {"form": _FORM.format(form)} | shown
    return _JSON.encode(document).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return sha256(value).hexdigest() if isinstance(value, bytes) else value


def digest_of_row(row: Any, **known: Any) -> str:
    """Compute the digest of a row that the chain holds; `known` are digests of its bytes that are known already."""
    evidence = EVIDENCE[type(row)]
    values = {name: getattr(row, name) for name in evidence.columns} | known
    return sha256(canonical(evidence.table.__tablename__, values)).hexdigest()


def digest_of_entry(values: Mapping[str, Any]) -> str:
    """Compute the digest of an audit entry, from its columns by name."""
    return sha256(canonical("audit_event", {name: values.get(name) for name in _ENTRY_COLUMNS})).hexdigest()


def digest_of_genesis(lane: int, genesis: Mapping[str, Any]) -> str:
    """Compute what the first entry of a lane follows."""
    return sha256(canonical("genesis", {"lane": lane, **genesis})).hexdigest()


class AuditedSession(Session):
    """A session that notes each row of evidence that is written or removed in it."""


@event.listens_for(AuditedSession, "pending_to_persistent")
def _note_written(session: Session, row: Any) -> None:
    if type(row) in EVIDENCE:
        session.info.setdefault("written", []).append(row)


@event.listens_for(AuditedSession, "persistent_to_deleted")
def _note_removed(session: Session, row: Any) -> None:
    if type(row) in EVIDENCE:
        session.info.setdefault("removed", []).append(row)


def change(session: Session, row: Any, **values: Any) -> None:
    """Give a stored row of evidence another state, under another name: the chain holds the old one as removed.

    So it does not matter in what order the entries of different lanes are read.
    """
    name = EVIDENCE[type(row)].key
    before = name(row)
    for column, value in values.items():
        setattr(row, column, value)
    if name(row) == before:
        raise ValueError(f"{before} would be changed under its own name")
    session.info.setdefault("replaced", []).append(before)
    session.info.setdefault("written", []).append(row)


def evidence_of(session: Session) -> dict[str, str | None]:
    """List what a transaction wrote: the digest of each row by its name, None for one that it removed."""
    session.flush()
    found: dict[str, str | None] = dict.fromkeys(session.info.pop("replaced", ()))
    # What a savepoint took back is neither persistent nor deleted any more.
    for row in session.info.pop("removed", ()):
        if inspect(row).deleted:
            found[EVIDENCE[type(row)].key(row)] = None
    for row in session.info.pop("written", ()):
        if inspect(row).persistent:
            known = {"body": row.sha256} if isinstance(row, SubmissionRow) and row.expired_at is None else {}
            found[EVIDENCE[type(row)].key(row)] = digest_of_row(row, **known)
    return found


def append(session: Session, entries: Sequence[dict[str, Any]]) -> None:
    """Add entries to a lane that no other transaction is adding to; the lane is held until the commit.

    Raises:
        LookupError: The table of lanes is empty.
    """
    connection = session.connection()
    lane = _take_lane(connection)
    previous, position = lane.head, lane.position
    rows = []
    for entry in entries:
        position += 1
        row = entry | {"lane": lane.lane, "position": position, "previous": previous}
        previous = row["digest"] = digest_of_entry(row)
        rows.append(row)
    connection.execute(_INSERT, rows)
    connection.execute(_PUT_FORWARD, {"of": lane.lane, "position": position, "head": previous})


def _take_lane(connection: Connection) -> Any:
    start = {"start": random.randrange(LANES)}
    # Where all are taken, it waits for one.
    lane = connection.execute(_FREE_LANE, start).first() or connection.execute(_ANY_LANE, start).first()
    if lane is None:
        raise LookupError("the table audit_lane is empty; restore it from a backup, then run `fhir-ecg audit verify`")
    return lane

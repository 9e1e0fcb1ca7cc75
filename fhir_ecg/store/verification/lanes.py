"""Walking the lanes of the chain: each entry is as it was, and follows the one before."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fhir_ecg.store.audit_chain import digest_of_entry, digest_of_genesis
from fhir_ecg.store.tables import AuditEventRow, AuditLaneRow
from fhir_ecg.store.verification.finding import Finding
from fhir_ecg.store.verification.held import HeldRows, hold_references
from fhir_ecg.store.verification.snapshot import pages

MOST_LANES = 1_000_000
"""What is in no lane up to this counts as in none."""
_ENTRIES, _LANES = AuditEventRow.__tablename__, AuditLaneRow.__tablename__


class Head(NamedTuple):
    """A place in a lane, and the digest of the entry there."""

    position: int
    digest: str


class _Place(NamedTuple):
    """Where a walk is."""

    position: int
    digest: str | None
    """None where it is not known what the next entry follows."""
    name: str
    """The last entry."""
    sequence: int


def walk(
    session: Session,
    lanes: Mapping[int, AuditLaneRow],
    number: int,
    held: HeldRows,
    checkpoint: Mapping[int, Head],
    advance: Callable[[int], None],
) -> Iterator[Finding]:
    """Walk every lane, and note what its entries hold.

    Args:
        session: The view of the database.
        lanes: The rows of the lanes that can be read.
        number: How many lanes there are to be.
        held: Where it is noted.
        checkpoint: What the lanes are to pass through.
        advance: Is told how many entries were walked by.
    """
    for lane in sorted({*range(number), *lanes, *_lanes_of_entries(session), *checkpoint}):
        if lane not in lanes:
            yield Finding(_LANES, str(lane), "removed", f"The row of lane {lane} is missing, or cannot be read.")
        yield from _walk_lane(session, lane, lanes.get(lane), held, checkpoint.get(lane), advance)


def _lanes_of_entries(session: Session) -> Iterator[int]:
    """List the lanes that have entries, by a look into the index for each."""
    lane = -1
    while True:
        further = AuditEventRow.lane.between(lane + 1, MOST_LANES)
        found = session.scalar(select(func.min(AuditEventRow.lane)).where(further))
        if found is None:
            return
        lane = found
        yield lane


def _walk_lane(
    session: Session,
    lane: int,
    row: AuditLaneRow | None,
    held: HeldRows,
    checkpoint: Head | None,
    advance: Callable[[int], None],
) -> Iterator[Finding]:
    genesis = digest_of_genesis(lane, row.genesis) if row else None
    place = _Place(0, genesis, "", 0)
    passed = checkpoint is None or checkpoint == (0, genesis)
    where, order = AuditEventRow.lane == lane, (AuditEventRow.lane, AuditEventRow.position)
    for entries, unreadable in pages(session, AuditEventRow, where, order=order):
        advance(len(entries) + len(unreadable))
        for key in unreadable:
            text = f"The entry at lane {lane}, position {key.split('/')[-1]} cannot be read: a value is no such value."
            yield Finding(_ENTRIES, key, "unreadable", text)
        for entry in entries:
            if not isinstance(entry.position, int) or entry.position < 1:
                text = f"The entry {entry.id} stands in lane {lane} without a position."
                yield Finding(_ENTRIES, entry.id, "inserted", text)
                continue
            yield from _check(entry, entry.position, place, lane)
            if row is not None and entry.position > row.position:
                text = f"The entry {entry.id} (lane {lane}, position {entry.position}) is beyond the end of its lane."
                yield Finding(_ENTRIES, entry.id, "inserted", text)
            held.hold(entry.digests if isinstance(entry.digests, dict) else {}, entry.id)
            hold_references(held, entry)
            place = _Place(entry.position, entry.digest, entry.id, entry.sequence)
            passed = passed or checkpoint == (place.position, place.digest)
    yield from _check_head(row, place)
    if checkpoint is not None and not passed:
        text = (
            f"Lane {lane} does not pass through the head of the checkpoint at position {checkpoint.position}: "
            "entries were cut off, or the chain was built anew."
        )
        yield Finding(_LANES, str(lane), "changed", text)


def _check(entry: AuditEventRow, position: int, place: _Place, lane: int) -> Iterator[Finding]:
    """Check one entry against the one before."""
    here, missing = f"lane {lane}, position {position}", position - place.position - 1
    if missing:
        text = f"{missing} entries are missing: lane {lane}, positions {place.position + 1} to {position - 1}."
        yield Finding(_ENTRIES, f"{lane}/{place.position + 1}", "removed", text)
    values: dict[str, Any] = {column.key: getattr(entry, column.key) for column in AuditEventRow.__table__.columns}
    if digest_of_entry(values) != entry.digest:
        text = f"The entry {entry.id} ({here}) is not what its digest was made of."
        yield Finding(_ENTRIES, entry.id, "changed", text)
    elif not missing and place.digest is not None and entry.previous != place.digest:
        yield _broken_link(entry, place, here, lane)
    if entry.sequence <= place.sequence:
        text = f"The entry {entry.id} ({here}) was numbered before the one that it follows."
        yield Finding(_ENTRIES, entry.id, "changed", text)


def _broken_link(entry: AuditEventRow, place: _Place, here: str, lane: int) -> Finding:
    if not place.name:
        text = f"The genesis of lane {lane} is not what its first entry, {entry.id}, follows."
        return Finding(_LANES, str(lane), "changed", text)
    text = (
        f"The entry {place.name} (lane {lane}, position {place.position}) is not the one that {entry.id} ({here}) "
        "follows: it was replaced."
    )
    return Finding(_ENTRIES, place.name, "changed", text)


def _check_head(row: AuditLaneRow | None, place: _Place) -> Iterator[Finding]:
    if row is None:
        return
    lane, name = row.lane, place.name or "the genesis"
    if row.position > place.position:
        text = (
            f"The last {row.position - place.position} entries of lane {lane} are missing: after {name}, at position "
            f"{place.position}, up to {row.position}, where the row of the lane says that it ends."
        )
        yield Finding(_LANES, str(lane), "disagrees", text)
        yield Finding(_ENTRIES, f"{lane}/{place.position + 1}", "removed", text)
    elif row.position < place.position:
        text = f"Lane {lane} ends at position {row.position}, but has entries up to {place.position}, {name}."
        yield Finding(_LANES, str(lane), "changed", text)
    elif place.digest is not None and row.head != place.digest:
        text = f"The head of lane {lane} is not the digest of its last entry, {name}: one of them was changed."
        yield Finding(_LANES, str(lane), "changed", text)
        if place.name:
            yield Finding(_ENTRIES, place.name, "changed", text)

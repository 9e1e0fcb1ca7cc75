"""Legal holds: an operator keeps a patient's ECGs, or one ECG, from expiring and from being deleted."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import uuid4

from fhir_ecg.fhir.search import parse_search
from fhir_ecg.service.application import Application, now
from fhir_ecg.service.patient_export import patient_named
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.tables import LegalHoldRow

_LONGEST_REASON = 4000


class HoldError(Exception):
    """A hold that cannot be placed or released; its text says why, and what to do."""


@dataclass(frozen=True)
class HoldView:
    """A hold as an operator sees it."""

    id: str
    patient: dict[str, Any] | None
    observation_id: str | None
    reason: str
    placed_at: datetime
    released_at: datetime | None
    release_reason: str | None

    @classmethod
    def of(cls, row: LegalHoldRow) -> Self:
        """Take it from its row."""
        values: dict[str, Any] = {name: getattr(row, name) for name in cls.__dataclass_fields__}
        return cls(**values)


def hold_patient(application: Application, name: str, reason: str, operator: str) -> tuple[HoldView, int]:
    """Place a hold on all ECGs of a patient, those to come too; gives it, and how many reports are about them now.

    Raises:
        HoldError: It is no patient, or there is no reason.
    """
    named = patient_named(name)
    if named.reference is None:
        raise HoldError(f"{name[:200]!r} names no patient; give Patient/123, an address, or system|value")
    with application.store.transaction(writes=False) as work:
        search = parse_search("DiagnosticReport", [named.query, ("_total", "accurate"), ("_count", "0")])
        reports = work.find(search).total or 0
    return _place(application, reason, operator, patient=named.reference), reports


def hold_observation(application: Application, identity: str, reason: str, operator: str) -> HoldView:
    """Place a hold on the ECG of which an Observation is a part.

    Raises:
        HoldError: No ECG was sent under this id, or there is no reason.
    """
    identity = identity.partition("/_history/")[0].rpartition("/")[2]
    with application.store.transaction(writes=False) as work:
        if not work.resources.was_sent("Observation", identity):
            raise HoldError(f"no ECG was sent that is Observation/{identity[:64]}; give the id that the sender got")
    return _place(application, reason, operator, observation_id=identity)


def _place(application: Application, reason: str, operator: str, **about: Any) -> HoldView:
    _check(reason)
    with application.store.transaction() as work:
        work.holds.wait_for_expiries()
        row = LegalHoldRow(id=str(uuid4()), reason=reason, placed_at=now(), released_at=None, **about)
        work.holds.add(row)
        work.audit.add(_entry("hold", row, operator), row.placed_at)
        return HoldView.of(row)


def release_hold(application: Application, identity: str, reason: str, operator: str) -> HoldView:
    """Release a hold; it stays listed, with why it was released.

    Raises:
        HoldError: There is none, it was released already, or there is no reason.
    """
    _check(reason)
    with application.store.transaction() as work:
        work.holds.wait_for_expiries()
        row = work.holds.get(identity)
        if row is None:
            raise HoldError(f"there is no hold {identity[:64]!r}; `fhir-ecg retention holds` lists them")
        if row.released_at is not None:
            raise HoldError(f"the hold {row.id} was released at {row.released_at.isoformat()} already")
        moment = now()
        work.holds.release(row, moment, reason)
        work.audit.add(_entry("release", row, operator), moment)
        return HoldView.of(row)


def list_holds(application: Application, *, every: bool) -> list[HoldView]:
    """List holds, the newest first; with `every` also those that were released."""
    with application.store.transaction(writes=False) as work:
        return [HoldView.of(row) for row in work.holds.recent(every=every)]


def _check(reason: str) -> None:
    if not 0 < len(reason.strip()) <= _LONGEST_REASON:
        raise HoldError(f"say why, in 1 to {_LONGEST_REASON} characters: --reason TEXT")


def _entry(action: str, row: LegalHoldRow, operator: str) -> AuditEntry:
    """Say what is held; why stands in the hold alone, since clients can read AuditEvents."""
    entities = (f"Observation/{row.observation_id}",) if row.observation_id else ()
    about = {"patients": [row.patient]} if row.patient else {}
    return AuditEntry(action, entities=entities, detail={"hold": row.id, "operator": operator} | about)

"""Letting an ECG in once: by the sender's own key, by a condition, or by its very bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from fhir_ecg.fhir.criteria_met import is_met
from fhir_ecg.fhir.outcome import MalformedError, Problem, RefusedError, UnprocessableError
from fhir_ecg.fhir.search import Search, parse_search
from fhir_ecg.service.application import Application, Caller
from fhir_ecg.store.admissions import AdmissionKey
from fhir_ecg.store.resources import StoredResource
from fhir_ecg.store.unit_of_work import UnitOfWork

_MOST_NAMED = 5


@dataclass(frozen=True)
class Condition:
    """Under what an ECG is to be let in; both may be absent."""

    idempotency_key: str | None = None
    """The sender's name for this attempt to send."""
    if_none_exist: tuple[tuple[str, str], ...] = ()
    """A search for Observations: where one matches, that is the ECG. https://hl7.org/fhir/R4/http.html#ccreate"""


class BusyError(RefusedError):
    """More than this service can take now; the same request is welcome later (HTTP 503)."""


class ConditionFailedError(RefusedError):
    """Several resources match a condition that one may (HTTP 412)."""


@dataclass(frozen=True)
class Found:
    """An ECG that is here already."""

    observation: StoredResource
    report: StoredResource
    replay: bool
    """Whether it is the answer to the same attempt to send, rather than to another."""


def require_room(application: Application, work: UnitOfWork, ecgs: int = 1) -> None:
    """Refuse ECGs that would wait behind too many others.

    Senders at the same moment may pass together: the limit is kept but for as many ECGs as there are web threads.

    Raises:
        BusyError: The queue is full.
    """
    limit = application.policy.queue_limit
    if work.jobs.unfinished(limit=limit) + ecgs > limit:
        text = f"{limit} ECGs wait to be read already. Nothing was stored; send it again later."
        raise BusyError(Problem("throttled", text))


def admission_keys(
    application: Application, body: bytes, condition: Condition, caller: Caller, moment: datetime
) -> list[AdmissionKey]:
    """List what the ECG must be the only one of."""
    keys = []
    if condition.idempotency_key is not None:
        keys.append(AdmissionKey("idempotency-key", f"{caller.client or ''} {condition.idempotency_key}"))
    if condition.if_none_exist:
        keys.append(AdmissionKey("if-none-exist", repr(sorted(condition.if_none_exist))))
    if (window := application.policy.same_bytes_within) > timedelta():
        keys.append(AdmissionKey("same-bytes", sha256(body).hexdigest(), moment + window))
    return keys


def find_admitted(
    work: UnitOfWork, keys: Sequence[AdmissionKey], body: bytes, condition: Condition, moment: datetime
) -> Found | None:
    """Find the ECG that was let in before, if one was.

    Of a condition the search decides. Its key only keeps two senders at the same moment from both finding nothing:
    where it leads to what matches no longer, it is given up.

    Raises:
        UnprocessableError: The sender's key belongs to other bytes.
        ConditionFailedError: Several Observations match.
    """
    # All keys are read before the search, which so sees whatever was let in under them.
    found_by_key = [(key, admitted) for key in keys if (admitted := work.admissions.find(key, moment))]
    for key, admitted in found_by_key:
        if key.scope == "if-none-exist":
            continue
        replay = key.scope == "idempotency-key"
        if replay and admitted.body_sha256 != sha256(body).hexdigest():
            text = "The Idempotency-Key was used for another Observation. Give each Observation a key of its own."
            raise UnprocessableError(Problem("conflict", text, "Observation"))
        if found := _existing(work, admitted.observation_id, replay=replay):
            return found
    if condition.if_none_exist and (identity := _matching(work, condition)):
        return _existing(work, identity, replay=False)
    for key, admitted in found_by_key:
        work.admissions.release(key, admitted)
    return None


def require_met(condition: Condition, observation: dict[str, Any]) -> None:
    """Refuse an ECG that its own condition would not find: sent again, it would be stored again.

    Raises:
        MalformedError: A criterion does not hold of it.
    """
    for name, value in condition.if_none_exist:
        [criterion] = _search("Observation", (name, value)).criteria
        if is_met(criterion, observation) is False:
            text = (
                f"The Observation does not itself have {name[:60]}={value[:120]}, which it is to be stored under once, "
                "so that it would be stored again each time. Name what it has, such as its identifier; or send it "
                "without that condition."
            )
            raise MalformedError(Problem("business-rule", text, "Observation"))


def _matching(work: UnitOfWork, condition: Condition) -> str | None:
    ids = work.find(_search("Observation", *condition.if_none_exist)).ids
    if len(ids) > 1:
        shown = ", ".join(f"Observation/{identity}" for identity in ids[:_MOST_NAMED])
        text = f"{len(ids)} Observations match If-None-Exist ({shown}); name one by its identifier."
        raise ConditionFailedError(Problem("conflict", text, "Observation"))
    return ids[0] if ids else None


def _existing(work: UnitOfWork, observation_id: str, *, replay: bool) -> Found | None:
    observation = work.resources.get("Observation", observation_id)
    reports = work.find(_search("DiagnosticReport", ("result", f"Observation/{observation_id}"))).ids
    report = work.resources.get("DiagnosticReport", reports[0]) if reports else None
    return Found(observation, report, replay) if observation and report else None


def _search(kind: str, *criteria: tuple[str, str]) -> Search:
    return parse_search(kind, criteria)

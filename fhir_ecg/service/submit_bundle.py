"""Carrying out a Bundle: a transaction all or nothing, the ECGs of a batch each by itself."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal
from uuid import uuid4

from fhir_ecg.fhir.bundle_requests import BundleRequests, EntryRequest, requests_of_bundle
from fhir_ecg.fhir.document import Form, check_r4_resource, check_release, read_document
from fhir_ecg.fhir.ecg_bundle import EcgEntries, in_entry
from fhir_ecg.fhir.ecg_groups import entry_root
from fhir_ecg.fhir.ecg_observation import read_joined
from fhir_ecg.fhir.outcome import Problem, RefusedError, UnprocessableError
from fhir_ecg.fhir.plausibility import check_plausibility
from fhir_ecg.fhir.release import r4_form
from fhir_ecg.service.admit import (
    BusyError,
    Condition,
    ConditionFailedError,
    Found,
    admission_keys,
    find_admitted,
    require_met,
    require_room,
)
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.service.change import Amendment, NotStoredError, amend_within, withdraw_within
from fhir_ecg.service.confirm import ReportUpdate, update_report_within
from fhir_ecg.service.submit import MOST_TRIES, record_refusal, refusal_entry, register, tell_accepted
from fhir_ecg.store.admissions import AdmissionKey, Admitted, AdmittedMeanwhileError
from fhir_ecg.store.resources import DeletedError, StoredResource, Version
from fhir_ecg.store.unit_of_work import JoinedStore, UnitOfWork

What = Literal["created", "existed", "updated", "deleted", "read", "refused"]


@dataclass(frozen=True)
class EntryOutcome:
    """What became of one entry: what it led to, or why nothing was done."""

    what: What
    stored: StoredResource | Version | None = None
    answer: dict[str, Any] | None = None
    """The entry that answers a read."""
    refusal: RefusedError | None = None


Outcomes = dict[int, EntryOutcome]
Read = Callable[[Application, EntryRequest], dict[str, Any]]
"""Answers a read of a transaction with an entry, by means of an application that sees what the transaction did.

Raises a RefusedError where there is no answer.
"""


@dataclass(frozen=True)
class _Sending:
    """A Bundle that is being carried out."""

    application: Application
    requests: BundleRequests
    body: bytes
    caller: Caller
    idempotency_key: str | None
    read: Read
    moment: datetime

    @property
    def is_transaction(self) -> bool:
        """Whether all is done or nothing."""
        return self.requests.kind == "transaction"


@dataclass(frozen=True)
class _Ecg:
    """An ECG of a Bundle: found, or with the ids that it is to be stored under."""

    entries: EcgEntries
    ids: list[str]
    found: list[Found]
    keys: list[list[AdmissionKey]]
    """For each entry, what lets it in once."""


def read_bundle(application: Application, body: bytes, form: Form, caller: Caller, base: str) -> BundleRequests:
    """Read and check what a Bundle asks for.

    Raises:
        RefusedError: It is no batch or transaction, or an entry of a transaction cannot be taken.
    """
    try:
        requests = requests_of_bundle(read_document(body, form, "Bundle"), form, base)
        for ecg in requests.ecgs:
            _check(application, ecg)
        problems = [p for ecg in requests.ecgs for p in ecg.problems]
        if requests.kind == "transaction" and problems:
            raise UnprocessableError(*problems)
    except RefusedError as error:
        record_refusal(application, error, caller)
        raise
    for refused in (ecg for ecg in requests.ecgs if ecg.problems):
        record_refusal(application, UnprocessableError(*refused.problems), caller)
    return requests


def submit_bundle(
    application: Application, requests: BundleRequests, body: bytes, caller: Caller, key: str | None, read: Read
) -> Outcomes:
    """Store the ECGs of a Bundle in one transaction; of a transaction, all that it asks for, in the standard's order.

    That is DELETE, POST, PUT, GET: https://hl7.org/fhir/R4/http.html#trules. Reads see what the others did.

    Args:
        application: The parts.
        requests: What the Bundle asks for.
        body: The Bundle's bytes as sent.
        caller: Who asks.
        key: The sender's name for this attempt to send.
        read: Answers a read.

    Returns:
        The outcomes by the entries' places: of a batch's creates, and of everything in a transaction.

    Raises:
        RefusedError: There is no room, or an entry of a transaction cannot be carried out; nothing is stored.
    """
    sending = _Sending(application, requests, body, caller, key, read, now())
    try:
        for _ in range(MOST_TRIES):
            with suppress(AdmittedMeanwhileError):  # the other's transaction has ended: now it is found
                return _carry_out(sending)
        text = "Others send the same ECGs at this moment. Nothing was stored of these; send them again."
        raise BusyError(Problem("throttled", text, "Bundle"))
    except RefusedError as error:
        record_refusal(application, error, caller)
        raise


def _check(application: Application, ecg: EcgEntries) -> None:
    if ecg.problems:
        return
    try:
        check_plausibility(read_joined(ecg.sent, application.policy.repairs), ecg.sent[0].root)
    except RefusedError as error:
        ecg.problems += error.problems


def _carry_out(sending: _Sending) -> Outcomes:
    requests = sending.requests
    refused = [ecg for ecg in requests.ecgs if ecg.problems]
    outcomes = {
        place: EntryOutcome("refused", refusal=UnprocessableError(*ecg.problems))
        for ecg in refused
        for place in ecg.entries
    }
    others = requests.others if sending.is_transaction else []
    accepted: list[tuple[str, StoredResource, StoredResource]] = []
    # What is refused altogether is not worth a write lock.
    if len(refused) < len(requests.ecgs) or others:
        with sending.application.store.transaction() as work:
            outcomes |= _change(sending, work, [each for each in others if each.method == "DELETE"])
            outcomes |= _create(sending, work, accepted)
            outcomes |= _change(sending, work, [each for each in others if each.method == "PUT"])
            within = replace(sending.application, store=JoinedStore(sending.application.store, work))
            reads = [each for each in others if each.method == "GET"]
            outcomes |= {each.place: EntryOutcome("read", answer=sending.read(within, each)) for each in reads}
    for job, observation, report in accepted:
        sending.application.wake(job)
        tell_accepted(job, observation, report)
    return outcomes


def _change(sending: _Sending, work: UnitOfWork, changes: list[EntryRequest]) -> Outcomes:
    outcomes = {}
    for change in changes:
        act: Callable[..., EntryOutcome] = _put if change.method == "PUT" else _delete
        try:
            outcomes[change.place] = act(sending, work, change)
        except RefusedError as error:
            raise type(error)(*(in_entry(problem, change.place) for problem in error.problems)) from error
        except (NotStoredError, DeletedError) as error:
            problem = Problem("not-found", f"{error}.".replace("..", "."), f"Bundle.entry[{change.place}].request.url")
            raise UnprocessableError(problem) from error
    return outcomes


def _put(sending: _Sending, work: UnitOfWork, change: EntryRequest) -> EntryOutcome:
    form = sending.requests.form
    if change.kind == "DiagnosticReport":
        check_r4_resource(change.resource, form, change.kind)
        update = ReportUpdate(change.identity, change.resource, change.if_match)
        policy = sending.application.policy
        return EntryOutcome("updated", update_report_within(work, policy, update, sending.caller, sending.moment))
    release = check_release(change.resource, form)
    amendment = Amendment(change.identity, change.resource, form.with_release(release), sending.body, change.if_match)
    return EntryOutcome("updated", amend_within(work, amendment, sending.caller, sending.moment))


def _delete(sending: _Sending, work: UnitOfWork, change: EntryRequest) -> EntryOutcome:
    try:
        deleted = withdraw_within(work, change.identity, sending.caller, sending.moment, change.if_match)
    except DeletedError as error:
        deleted = error.version
    return EntryOutcome("deleted", deleted)


def _create(
    sending: _Sending, work: UnitOfWork, accepted: list[tuple[str, StoredResource, StoredResource]]
) -> Outcomes:
    """Store what is not here already; the jobs of what was stored are added to `accepted`."""
    ecgs, outcomes = _found(sending, work)
    new = [ecg for ecg in ecgs if not ecg.found]
    outcomes |= {
        place: EntryOutcome("created" if found.replay else "existed", found.observation)
        for ecg in ecgs
        for place, found in zip(ecg.entries.entries, ecg.found, strict=False)
    }
    if not new:
        return outcomes
    require_room(sending.application, work, len(new))
    addresses = _addresses(sending, ecgs)
    form, client = sending.requests.form, sending.caller.client
    submission = work.add_submission(sending.body, form.media_type, client, sending.moment)
    for ecg in new:
        stored, report, job = _store(sending, work, ecg, addresses, submission)
        outcomes |= {place: EntryOutcome("created", s) for place, s in zip(ecg.entries.entries, stored, strict=True)}
        accepted.append((job, stored[0], report))
    return outcomes


def _found(sending: _Sending, work: UnitOfWork) -> tuple[list[_Ecg], Outcomes]:
    """Find which ECGs are here already; of a batch, those that cannot be taken are refused by themselves."""
    ecgs: list[_Ecg] = []
    outcomes: Outcomes = {}
    for ecg in sending.requests.ecgs:
        if ecg.problems:
            continue
        try:
            ecgs.append(_find(sending, work, ecg))
        except RefusedError as error:
            if sending.is_transaction:
                raise
            outcomes |= {place: EntryOutcome("refused", refusal=error) for place in ecg.entries}
            work.audit.add(refusal_entry(error, sending.caller), sending.moment)
    return ecgs, outcomes


def _find(sending: _Sending, work: UnitOfWork, ecg: EcgEntries) -> _Ecg:
    """Find the ECG that is here already, by the conditions of its entries.

    Raises:
        ConditionFailedError: Some of its Observations are here, and some are not.
        RefusedError: A condition does not hold of the Observation itself, or a key belongs to another.
    """
    keys, found = [], []
    for place, sent in zip(ecg.entries, ecg.sent, strict=True):
        key = f"{sending.idempotency_key}#{place}" if sending.idempotency_key else None
        condition = Condition(key, sending.requests.conditions.get(place, ()))
        # The bytes are the Bundle's: with its place they are an entry's.
        bytes_of_entry = sending.body + f"#{place}".encode()
        keys.append(admission_keys(sending.application, bytes_of_entry, condition, sending.caller, sending.moment))
        if not keys[-1]:
            continue
        try:
            found.append(find_admitted(work, keys[-1], bytes_of_entry, condition, sending.moment))
            if found[-1] is None:
                require_met(condition, r4_form(sent.resource))
        except RefusedError as error:
            raise type(error)(*(in_entry(problem, place) for problem in error.problems)) from error
    here = [each for each in found if each is not None]
    if here and len(here) < len(ecg.entries):
        text = f"Of the Observations of this ECG, {len(here)} are stored already, and the others are not."
        raise ConditionFailedError(Problem("conflict", text, entry_root(ecg.entries[0])))
    ids = [f.observation.content["id"] for f in here] or [str(uuid4()) for _ in ecg.entries]
    return _Ecg(ecg, ids, here, keys)


def _addresses(sending: _Sending, ecgs: list[_Ecg]) -> dict[str | None, str]:
    """Map the addresses under which the Bundle's entries name each other to where those are stored."""
    addresses: dict[str | None, str] = {}
    for ecg in ecgs:
        for place, sent, identity in zip(ecg.entries.entries, ecg.entries.sent, ecg.ids, strict=True):
            addresses[sending.requests.entries[place].get("fullUrl")] = f"Observation/{identity}"
            if "id" in sent.resource:
                addresses[f"Observation/{sent.resource['id']}"] = f"Observation/{identity}"
    return addresses


def _store(
    sending: _Sending, work: UnitOfWork, ecg: _Ecg, addresses: dict[str | None, str], submission: str
) -> tuple[list[StoredResource], StoredResource, str]:
    moment, caller = sending.moment, sending.caller
    stored = []
    for place, sent, identity, keys in zip(ecg.entries.entries, ecg.entries.sent, ecg.ids, ecg.keys, strict=True):
        digest = sha256(sending.body + f"#{place}".encode()).hexdigest()
        for key in keys:
            work.admissions.add(key, Admitted(identity, digest), moment)
        observation = _with_new_addresses(r4_form(sent.resource), addresses) | {"id": identity}
        stored.append(work.resources.put(observation, moment, submission_id=submission))
    report, job = register(sending.application, work, [each.content for each in stored], caller, moment)
    work.audit.add(caller.entry("create", [*stored, report]), moment)
    return stored, report, job


def _with_new_addresses(node: Any, addresses: dict[str | None, str]) -> Any:
    """Let references between the Bundle's entries lead to where those are stored."""
    if isinstance(node, list):
        return [_with_new_addresses(child, addresses) for child in node]
    if not isinstance(node, dict):
        return node
    rewritten = {name: _with_new_addresses(child, addresses) for name, child in node.items()}
    if isinstance(rewritten.get("reference"), str):
        rewritten["reference"] = addresses.get(rewritten["reference"], rewritten["reference"])
    return rewritten

"""Taking in the ECGs of a Bundle: a transaction all or none, a batch each by itself."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from fhir_ecg.fhir.document import Form, read_document
from fhir_ecg.fhir.ecg_bundle import EcgEntries, ecgs_of_bundle
from fhir_ecg.fhir.ecg_observation import read_joined
from fhir_ecg.fhir.outcome import Problem, RefusedError, UnprocessableError
from fhir_ecg.fhir.plausibility import check_plausibility
from fhir_ecg.fhir.release import r4_form
from fhir_ecg.service.admit import BusyError, require_room
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.service.submit import record_refusal, register, tell_accepted
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.resources import StoredResource
from fhir_ecg.store.unit_of_work import UnitOfWork

TYPES = ("transaction", "batch")


@dataclass(frozen=True)
class EntryOutcome:
    """What became of one entry: what was stored, or why nothing was."""

    stored: StoredResource | None
    problems: tuple[Problem, ...] = ()


def submit_bundle(application: Application, body: bytes, form: Form, caller: Caller) -> tuple[str, list[EntryOutcome]]:
    """Accept the ECGs of a transaction or batch.

    Returns:
        The Bundle's type, and the outcome of each entry in the Bundle's order.

    Raises:
        RefusedError: It is no such Bundle, or an entry of a transaction cannot be taken; nothing is stored.
    """
    try:
        bundle = read_document(body, form)
        ecgs = ecgs_of_bundle(bundle, form, TYPES)
        for ecg in ecgs:
            _check(application, ecg)
        if bundle["type"] == "transaction" and (problems := [p for ecg in ecgs for p in ecg.problems]):
            raise UnprocessableError(*problems)
    except RefusedError as error:
        record_refusal(application, error, caller)
        raise
    for refused in (ecg for ecg in ecgs if ecg.problems):
        record_refusal(application, UnprocessableError(*refused.problems), caller)
    try:
        return bundle["type"], _store(application, bundle, ecgs, (body, form), caller)
    except BusyError as error:
        record_refusal(application, error, caller)
        raise


def _check(application: Application, ecg: EcgEntries) -> None:
    if ecg.problems:
        return
    try:
        check_plausibility(read_joined(ecg.sent, application.policy.repairs), ecg.sent[0].root)
    except RefusedError as error:
        ecg.problems += error.problems


def _store(
    application: Application, bundle: dict[str, Any], ecgs: list[EcgEntries], sent: tuple[bytes, Form], caller: Caller
) -> list[EntryOutcome]:
    moment = now()
    outcomes = {place: EntryOutcome(None, tuple(ecg.problems)) for ecg in ecgs for place in ecg.entries}
    accepted = [ecg for ecg in ecgs if not ecg.problems]
    jobs = []
    if accepted:
        body, form = sent
        with application.store.transaction() as work:
            require_room(application, work, len(accepted))
            submission = work.add_submission(body, form.media_type, caller.client, moment)
            for ecg in accepted:
                stored, report, job = _store_ecg(application, work, bundle, ecg, submission, caller, moment)
                outcomes |= {place: EntryOutcome(each) for place, each in zip(ecg.entries, stored, strict=True)}
                jobs.append((job, stored[0], report))
    for job, observation, report in jobs:
        application.wake(job)
        tell_accepted(job, observation, report)
    return [outcomes[place] for place in sorted(outcomes)]


def _store_ecg(
    application: Application,
    work: UnitOfWork,
    bundle: dict[str, Any],
    ecg: EcgEntries,
    submission: str,
    caller: Caller,
    moment: datetime,
) -> tuple[list[StoredResource], StoredResource, str]:
    ids = [str(uuid4()) for _ in ecg.entries]
    addresses = {
        bundle["entry"][place].get("fullUrl"): f"Observation/{i}" for place, i in zip(ecg.entries, ids, strict=True)
    }
    addresses |= {
        f"Observation/{sent.resource['id']}": f"Observation/{i}"
        for sent, i in zip(ecg.sent, ids, strict=True)
        if "id" in sent.resource
    }
    observations = [
        _with_new_addresses(r4_form(sent.resource), addresses) | {"id": i}
        for sent, i in zip(ecg.sent, ids, strict=True)
    ]
    stored = [work.resources.put(each, moment, submission_id=submission) for each in observations]
    report, job = register(application, work, observations, caller, moment)
    entities = (*(each.versioned_reference for each in stored), report.versioned_reference)
    entry = AuditEntry("create", client=caller.client, request_id=caller.request_id, entities=entities)
    work.audit.add(entry, moment)
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

"""Changing an ECG that was taken in: its sender amends what it is about, or withdraws it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fhir_ecg.fhir.document import Form, read_observation
from fhir_ecg.fhir.ecg_observation import Sent, read_joined
from fhir_ecg.fhir.outcome import MalformedError, Problem, RefusedError, UnprocessableError
from fhir_ecg.fhir.plausibility import check_plausibility
from fhir_ecg.fhir.release import r4_form
from fhir_ecg.fhir.repairs import Repair
from fhir_ecg.fhir.report import registered_report
from fhir_ecg.fhir.report_changes import Reason, with_context_of, withdrawn_report
from fhir_ecg.fhir.search import parse_search
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.service.submit import record_refusal
from fhir_ecg.service.task import mirror
from fhir_ecg.store.resources import StoredResource, Version
from fhir_ecg.store.tables import JobRow
from fhir_ecg.store.unit_of_work import UnitOfWork

_VOID = ("entered-in-error", "cancelled")


class NotStoredError(LookupError):
    """There is no such resource; what is not there can be neither changed nor deleted."""


class VersionConflictError(RefusedError):
    """The resource has changed since the version that If-Match names (HTTP 412)."""


class NotTheSendersError(RefusedError):
    """The resource was written by this service, and only it may change it (HTTP 409)."""


class HeldError(RefusedError):
    """A legal hold keeps the ECG as it is (HTTP 409)."""


@dataclass(frozen=True)
class Amendment:
    """An Observation that is to replace one that was sent."""

    identity: str
    sent: dict[str, Any]
    form: Form
    body: bytes
    if_match: int | None = None
    root: str = "Observation"
    """FHIRPath of the Observation in what was sent."""


@dataclass(frozen=True)
class Ecg:
    """An ECG as it is stored."""

    observations: list[StoredResource]
    """Those that hold its leads; the first stands for it."""
    report: StoredResource
    scores: StoredResource | None
    """The Observation of probabilities, where it was read."""
    job: JobRow


def amend(
    application: Application, identity: str, body: bytes, form: Form, caller: Caller, if_match: int | None = None
) -> StoredResource:
    """Replace an Observation that was sent by one with the same waveform.

    Raises:
        NotStoredError: There is none of that id.
        DeletedError: It was deleted.
        VersionConflictError: `if_match` is not its version.
        RefusedError: The waveform is another, or the Observation is none that could be sent.
    """
    try:
        sent, form = read_observation(body, form)
        amendment = Amendment(identity, sent, form, body, if_match)
        with application.store.transaction() as work:
            return amend_within(work, amendment, caller, now())
    except RefusedError as error:
        record_refusal(application, error, caller)
        raise


def amend_within(work: UnitOfWork, amendment: Amendment, caller: Caller, moment: datetime) -> StoredResource:
    """Amend as a part of a transaction; see `amend`."""
    ecg, current = _sent_ecg(work, amendment.identity, amendment.if_match)
    new = r4_form(amendment.sent) | {"id": amendment.identity}
    if work.expiries.has_expired(amendment.identity):
        text = (
            f"The samples of Observation/{amendment.identity} were removed when their retention ended, so that none "
            "can be compared with them. Delete it to withdraw the ECG; its other elements stay as they are."
        )
        raise UnprocessableError(Problem("business-rule", text, amendment.root))
    _check(amendment, ecg, current, new)
    if _but_meta(new) == _but_meta(current.content):
        return current
    submission = work.add_submission(amendment.body, amendment.form.media_type, caller.client, moment)
    stored = work.resources.put(new, moment, submission_id=submission)
    observations = [stored if o.content["id"] == amendment.identity else o for o in ecg.observations]
    if new["status"] in _VOID:
        changed = _void(work, ecg, "entered-in-error", moment)
    else:
        changed = _carry_over(work, ecg, observations, moment)
    _audit(work, "update", caller, [stored, *changed], moment)
    return stored


def withdraw(application: Application, identity: str, caller: Caller, if_match: int | None = None) -> Version:
    """Delete an Observation that was sent, and end the report of its ECG.

    Raises:
        NotStoredError: There is none of that id.
        DeletedError: It was deleted already.
        VersionConflictError: `if_match` is not its version.
        NotTheSendersError: This service wrote it.
        HeldError: A legal hold keeps it.
    """
    try:
        with application.store.transaction() as work:
            return withdraw_within(work, identity, caller, now(), if_match)
    except RefusedError as error:
        record_refusal(application, error, caller)
        raise


def withdraw_within(
    work: UnitOfWork, identity: str, caller: Caller, moment: datetime, if_match: int | None = None
) -> Version:
    """Withdraw as a part of a transaction; see `withdraw`."""
    ecg, _ = _sent_ecg(work, identity, if_match)
    _require_release(work, ecg, identity)
    deletion = work.resources.delete("Observation", identity, moment)
    work.admissions.forget(identity)
    changed = _void(work, ecg, "withdrawn", moment)
    _audit(work, "delete", caller, [deletion, *changed], moment)
    return deletion


def _require_release(work: UnitOfWork, ecg: Ecg, identity: str) -> None:
    observations = [identity, *(each.content["id"] for each in ecg.observations)]
    if work.holds.active().keeping(observations, [ecg.report.content.get("subject", {})]):
        text = (
            f"A legal hold keeps Observation/{identity}, so that it cannot be deleted. Ask the operator to release the "
            "hold (`fhir-ecg retention holds` lists them), or PUT the Observation with status entered-in-error."
        )
        raise HeldError(Problem("business-rule", text, "Observation"))


def cancel(application: Application, job_id: str, caller: Caller) -> bool:
    """Cancel the reading of an ECG that stays stored; False where the reading has ended already."""
    moment = now()
    with application.store.transaction() as work:
        job = work.jobs.get(job_id)
        if job is None or not work.jobs.withdraw(job.id, moment):
            return False
        ecg = locked_ecg(work, job.report_id)
        changed = _void(work, ecg, "cancelled-on-request", moment)
        _audit(work, "cancel", caller, changed, moment)
    return True


def _sent_ecg(work: UnitOfWork, identity: str, if_match: int | None) -> tuple[Ecg, StoredResource]:
    current = work.resources.get("Observation", identity)
    if current is None:
        raise NotStoredError(f"Observation/{identity} is not stored here.")
    if not work.resources.was_sent("Observation", identity):
        text = (
            f"Observation/{identity} is what the model made of an ECG; this service alone changes it. Change or "
            "delete the Observation that it was derived from."
        )
        raise NotTheSendersError(Problem("business-rule", text, "Observation"))
    found = work.find(parse_search("DiagnosticReport", [("result", f"Observation/{identity}")])).ids
    if not found:
        raise NotStoredError(f"Observation/{identity} has no report.")
    ecg = locked_ecg(work, found[0])
    # Read again: until the report was locked, another may have changed it.
    current = work.resources.get("Observation", identity, for_update=True)
    if current is None or (if_match is not None and if_match != current.version):
        version = current.version if current else 0
        text = f"The version is {version}, not {if_match}. Read the Observation again, and change what you read."
        raise VersionConflictError(Problem("conflict", text, "Observation.meta.versionId"))
    return ecg, current


def locked_ecg(work: UnitOfWork, report_id: str) -> Ecg:
    """Load an ECG, and keep others from changing it: first its job, then its report, as a reading does."""
    job = work.jobs.lock(report_id)
    report = work.resources.get("DiagnosticReport", report_id, for_update=True)
    if job is None or report is None:
        raise NotStoredError(f"DiagnosticReport/{report_id} is not stored here.")
    ids = [result["reference"].removeprefix("Observation/") for result in report.content["result"]]
    results = work.resources.get_many("Observation", ids)
    sent = [each for each in results if work.resources.was_sent("Observation", each.content["id"])]
    written = [each for each in results if each not in sent]
    return Ecg(sent, report, written[0] if written else None, job)


def _check(amendment: Amendment, ecg: Ecg, current: StoredResource, new: dict[str, Any]) -> None:
    root = amendment.root
    if amendment.sent.get("id") != amendment.identity:
        text = f"The Observation's id is {str(amendment.sent.get('id'))[:64]!r}; the address says {amendment.identity}."
        raise MalformedError(Problem("value", text, f"{root}.id"))
    if current.content["status"] in _VOID and new["status"] not in _VOID:
        text = (
            f"The ECG was declared {current.content['status']}, and its report is void. Send it as a new Observation."
        )
        raise UnprocessableError(Problem("business-rule", text, f"{root}.status"))
    if new["status"] in _VOID:
        return
    allowed = frozenset(map(Repair, ecg.job.repairs))
    others = [o.content for o in ecg.observations if o.content["id"] != amendment.identity]
    recording = read_joined(_in_order(ecg, [*others, amendment.sent], root, amendment.identity), allowed)
    check_plausibility(recording, root)
    before = read_joined([Sent(o.content) for o in ecg.observations], allowed)
    if recording.sha256() != before.sha256():
        text = (
            "The samples, their rate, unit or leads are not those that were taken in, which were or will be read. "
            "Delete the Observation, and send the other waveform as a new one."
        )
        raise UnprocessableError(Problem("business-rule", text, f"{root}.component"))


def _in_order(ecg: Ecg, contents: Sequence[dict[str, Any]], root: str, identity: str) -> list[Sent]:
    by_id = {content["id"]: content for content in contents}
    ids = [each.content["id"] for each in ecg.observations]
    return [Sent(by_id[i], root if i == identity else f"Observation/{i}") for i in ids]


def _void(work: UnitOfWork, ecg: Ecg, reason: Reason, moment: datetime) -> list[StoredResource]:
    """End the reading and the report of an ECG that is not to be relied on; what was changed comes back."""
    work.jobs.withdraw(ecg.job.id, moment)
    changed = []
    if ecg.report.content["status"] not in _VOID:
        changed.append(work.resources.put(withdrawn_report(ecg.report.content, reason, moment), moment))
    if ecg.scores is not None and ecg.scores.content["status"] not in _VOID:
        changed.append(work.resources.put(ecg.scores.content | {"status": "entered-in-error"}, moment))
    mirror(work, ecg.job.id, "cancelled", moment)
    return changed


def _carry_over(
    work: UnitOfWork, ecg: Ecg, observations: Sequence[StoredResource], moment: datetime
) -> list[StoredResource]:
    """Let the report and the probabilities be about what the amended ECG is about."""
    first = observations[0].content
    registered = registered_report(first, first["id"], ecg.report.content["id"])
    changed = []
    for resource in (ecg.report, ecg.scores):
        if resource is None:
            continue
        new = with_context_of(resource.content, registered)
        if _but_meta(new) != _but_meta(resource.content):
            changed.append(work.resources.put(new, moment))
    return changed


def _but_meta(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name != "meta"}


def _audit(
    work: UnitOfWork, action: str, caller: Caller, changed: Sequence[StoredResource | Version], moment: datetime
) -> None:
    work.audit.add(caller.entry(action, changed), moment)

"""A person confirms, edits or rejects a report."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from fhir_ecg.fhir.confirmation import READ, Verdict, verdict_of_parameters, verdict_of_update
from fhir_ecg.fhir.confirmed_report import decided_report, decision_provenance
from fhir_ecg.fhir.document import Form, read_resource
from fhir_ecg.fhir.outcome import Problem, RefusedError
from fhir_ecg.service.application import Application, Caller, Policy, now
from fhir_ecg.service.change import Ecg, VersionConflictError, locked_ecg
from fhir_ecg.service.permission import require_permission
from fhir_ecg.service.submit import record_refusal
from fhir_ecg.service.task import mirror
from fhir_ecg.store.resources import StoredResource
from fhir_ecg.store.tables import ConfirmationRow
from fhir_ecg.store.unit_of_work import UnitOfWork

_TO_CONFIRM = ("confirm reports", "FHIR_ECG_CONFIRMING_CLIENTS")
_ReadVerdict = Callable[[dict[str, Any]], Verdict | None]


class VersionRequiredError(RefusedError):
    """The version that is to be changed must be named (HTTP 428)."""


@dataclass(frozen=True)
class ReportUpdate:
    """A report that is to replace a stored one."""

    identity: str
    sent: dict[str, Any]
    """Checked against R4's model."""
    if_match: int | None
    """The version that the person has read."""


def update_report(
    application: Application, identity: str, body: bytes, form: Form, caller: Caller, if_match: int | None
) -> StoredResource:
    """Replace a report by one that a person has confirmed, edited or rejected.

    Raises:
        NotStoredError: There is none of that id.
        NotAllowedError: The client may not confirm.
        VersionRequiredError: `if_match` is None.
        VersionConflictError: `if_match` is not its version.
        RefusedError: It is no report, or changes what may not be changed.
    """
    try:
        require_permission(caller, application.policy.confirming_clients, *_TO_CONFIRM)
        update = ReportUpdate(identity, read_resource(body, form, "DiagnosticReport"), if_match)
        with application.store.transaction() as work:
            return update_report_within(work, application.policy, update, caller, now())
    except RefusedError as error:
        record_refusal(application, error, caller)
        raise


def update_report_within(
    work: UnitOfWork, policy: Policy, update: ReportUpdate, caller: Caller, moment: datetime
) -> StoredResource:
    """Replace a report as a part of a transaction; see `update_report`."""

    def verdict(current: dict[str, Any]) -> Verdict | None:
        return verdict_of_update(current, update.sent, moment)

    require_permission(caller, policy.confirming_clients, *_TO_CONFIRM)
    if update.if_match is None:
        text = 'Send If-Match with the ETag of the report that the person has read, such as W/"2".'
        raise VersionRequiredError(Problem("required", text, "DiagnosticReport.meta.versionId"))
    return _decide(work, policy, update.identity, verdict, caller, moment, update.if_match)


def confirm(
    application: Application, identity: str, body: bytes, form: Form, caller: Caller, if_match: int | None
) -> StoredResource:
    """Carry out `$confirm`.

    Raises:
        NotStoredError: There is no report of that id.
        NotAllowedError: The client may not confirm.
        VersionConflictError: `if_match` is not its version.
        RefusedError: The parameters are wrong, or the report cannot be so decided.
    """

    def verdict(current: dict[str, Any]) -> Verdict | None:
        return verdict_of_parameters(current, document)

    try:
        require_permission(caller, application.policy.confirming_clients, *_TO_CONFIRM)
        document = read_resource(body, form, "Parameters")
        with application.store.transaction() as work:
            return _decide(work, application.policy, identity, verdict, caller, now(), if_match)
    except RefusedError as error:
        record_refusal(application, error, caller)
        raise


def _decide(
    work: UnitOfWork,
    policy: Policy,
    identity: str,
    read_verdict: _ReadVerdict,
    caller: Caller,
    moment: datetime,
    if_match: int | None,
) -> StoredResource:
    ecg = locked_ecg(work, identity)
    current = ecg.report
    if if_match is not None and if_match != current.version:
        text = f"The version is {current.version}, not {if_match}. Read the report again, and decide on what you read."
        raise VersionConflictError(Problem("conflict", text, "DiagnosticReport.meta.versionId"))
    verdict = read_verdict(current.content)
    if verdict is None:
        return current
    machine = _machine_version(work, current)
    written = machine.content if machine else None
    report = decided_report(current.content, verdict, machine=written, decided=moment, snomed=policy.snomed)
    stored = work.resources.put(report, moment)
    sources = dict.fromkeys(each.versioned_reference for each in (current, machine) if each)
    provenance = work.resources.put(
        decision_provenance(str(uuid4()), stored.versioned_reference, list(sources), verdict, moment), moment
    )
    if current.content["status"] == "registered":
        _end_reading(work, ecg, moment)
    work.confirmations.add(_record(verdict, stored, machine, caller, moment))
    detail = {"decision": verdict.decision, "from": current.version}
    work.audit.add(caller.entry("confirm", [stored, provenance], detail), moment)
    return stored


def _end_reading(work: UnitOfWork, ecg: Ecg, moment: datetime) -> None:
    """Keep the model from reading an ECG whose report is void."""
    work.jobs.withdraw(ecg.job.id, moment)
    mirror(work, ecg.job.id, "cancelled", moment)


def _machine_version(work: UnitOfWork, current: StoredResource) -> StoredResource | None:
    """Find the newest version that the model wrote; None where it wrote none."""
    for version in range(current.version, 0, -1):
        stored = work.resources.get("DiagnosticReport", current.content["id"], version)
        if stored is not None and stored.content["status"] in READ:
            return stored
    return None


def _record(
    verdict: Verdict, stored: StoredResource, machine: StoredResource | None, caller: Caller, moment: datetime
) -> ConfirmationRow:
    return ConfirmationRow(
        report_id=stored.content["id"],
        report_version=stored.version,
        decision=verdict.decision,
        interpreters=list(verdict.interpreters),
        client=caller.client,
        machine_version=machine.version if machine else None,
        read_at=machine.last_updated if machine else None,
        decided_at=moment,
    )

"""Reading the audit trail; that leaves its entries too, also where it is refused."""

from typing import Any

from fhir_ecg.fhir.audit_event import AuditRecord
from fhir_ecg.fhir.audit_search import AuditSearch
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.service.permission import NotAllowedError, require_permission
from fhir_ecg.store.audit_events import AuditPage


def read(application: Application, identity: str, caller: Caller, version: int | None = None) -> AuditRecord | None:
    """Read an entry; each has one version.

    Raises:
        NotAllowedError: The client may not, whether there is such an entry or not.
    """
    action = "read" if version is None else "vread"
    _require_auditor(application, caller, action, {"type": "AuditEvent", "id": identity})
    if version not in {None, 1}:
        return None
    with application.store.transaction() as work:
        record = work.audit_events.get(identity)
        if record is not None:
            work.audit.add(caller.audited(action, [record], {}), now())
    return record


def search(application: Application, wanted: AuditSearch, caller: Caller) -> AuditPage:
    """Find entries, the newest first.

    Raises:
        NotAllowedError: The client may not.
        MalformedError: What is asked for is too much.
    """
    detail = {"type": "AuditEvent", "query": [list(pair) for pair in wanted.search.applied]}
    _require_auditor(application, caller, "search", detail)
    with application.store.transaction() as work:
        page = work.audit_events.find(wanted)
        work.audit.add(caller.audited("search", page.records, detail), now())
    return page


def _require_auditor(application: Application, caller: Caller, action: str, detail: dict[str, Any]) -> None:
    try:
        require_permission(caller, application.policy.auditors, "read AuditEvents", "FHIR_ECG_AUDITORS")
    except NotAllowedError as error:
        problems = [{"code": problem.code, "expression": problem.expression} for problem in error.problems]
        with application.store.transaction() as work:
            work.audit.add(caller.entry(action, detail=detail | {"problems": problems}, outcome="failure"), now())
        raise

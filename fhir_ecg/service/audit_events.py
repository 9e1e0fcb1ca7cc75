"""Reading the audit trail; that leaves its entries too."""

from fhir_ecg.fhir.audit_event import AuditRecord
from fhir_ecg.fhir.audit_search import AuditSearch
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.store.audit_events import AuditPage


def read(application: Application, identity: str, caller: Caller, version: int | None = None) -> AuditRecord | None:
    """Read an entry; each has one version."""
    if version not in {None, 1}:
        return None
    with application.store.transaction() as work:
        record = work.audit_events.get(identity)
        if record is not None:
            action = "read" if version is None else "vread"
            work.audit.add(caller.audited(action, [record], {}), now())
    return record


def search(application: Application, wanted: AuditSearch, caller: Caller) -> AuditPage:
    """Find entries, the newest first.

    Raises:
        MalformedError: What is asked for is too much.
    """
    with application.store.transaction() as work:
        page = work.audit_events.find(wanted)
        detail = {"type": "AuditEvent", "query": [list(pair) for pair in wanted.search.applied]}
        work.audit.add(caller.audited("search", page.records, detail), now())
    return page

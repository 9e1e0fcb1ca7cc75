"""Reading and searching what is stored; each read leaves its audit entry."""

from dataclasses import dataclass

from fhir_ecg.fhir.search import Search
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.resources import StoredResource


@dataclass(frozen=True)
class SearchResult:
    """One page of matches."""

    resources: list[StoredResource]
    total: int
    next_cursor: str | None


def read(
    application: Application, kind: str, identity: str, caller: Caller, version: int | None = None
) -> StoredResource | None:
    """Read a resource's current version, or the one named."""
    action = "read" if version is None else "vread"
    with application.store.transaction() as work:
        stored = work.resources.get(kind, identity, version)
        if stored is not None:
            entry = AuditEntry(
                action,
                client=caller.client,
                request_id=caller.request_id,
                entities=(stored.versioned_reference,),
            )
            work.audit.add(entry, now())
    return stored


def search(application: Application, request: Search, caller: Caller) -> SearchResult:
    """Find resources, newest first."""
    with application.store.transaction() as work:
        page = work.find(request)
        found = [work.resources.get(request.resource_type, identity) for identity in page.ids]
        resources = [stored for stored in found if stored is not None]
        entry = AuditEntry(
            "search",
            client=caller.client,
            request_id=caller.request_id,
            entities=tuple(stored.versioned_reference for stored in resources),
            detail={"type": request.resource_type, "query": [list(pair) for pair in request.applied]},
        )
        work.audit.add(entry, now())
    return SearchResult(resources, page.total, page.next_cursor)

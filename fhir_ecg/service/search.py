"""Searching what is stored; each search leaves its audit entry."""

from dataclasses import dataclass

from fhir_ecg.fhir.search import Search, patients_asked_for
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.store.resources import StoredResource


@dataclass(frozen=True)
class SearchResult:
    """One page of matches, with what was to be given beside them."""

    resources: list[StoredResource]
    included: list[StoredResource]
    included_all: bool
    """False where more was to be given beside the matches than one page holds."""
    total: int | None
    next_cursor: str | None


def search(application: Application, request: Search, caller: Caller) -> SearchResult:
    """Find resources, in the order that is wanted.

    Raises:
        MalformedError: The cursor is none of this search.
    """
    with application.store.transaction() as work:
        page = work.find(request)
        resources = work.resources.get_many(request.resource_type, page.ids)
        included = work.include(resources, request.includes)
        detail = {"type": request.resource_type, "query": [list(pair) for pair in request.applied]}
        found = [*resources, *included.resources]
        work.audit.add(caller.entry("search", found, detail | patients_asked_for(request)), now())
    return SearchResult(resources, included.resources, included.complete, page.total, page.next_cursor)

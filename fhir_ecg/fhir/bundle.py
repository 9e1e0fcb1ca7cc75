"""Bundles that answer: of a search, a transaction, a batch. https://hl7.org/fhir/R4/bundle.html"""

from collections.abc import Iterable, Sequence
from typing import Any

from fhir_ecg.fhir.outcome import Problem, operation_outcome


def searchset(
    base: str,
    resources: Iterable[dict[str, Any]],
    total: int | None,
    self_url: str,
    next_url: str | None,
    *,
    first_url: str | None = None,
    included: Iterable[dict[str, Any]] = (),
    remarks: Sequence[Problem] = (),
) -> dict[str, Any]:
    """Build the answer to a search.

    Args:
        base: Address of the FHIR server.
        resources: What matches.
        total: How many match, on all pages; None where that is not told.
        self_url: Address of this page.
        next_url: Address of the next page, where there is one.
        first_url: Address of the first page.
        included: What stands beside the matches.
        remarks: What the client should know of how the search was done.
    """
    urls = {"self": self_url, "first": first_url, "next": next_url}
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    bundle |= {} if total is None else {"total": total}
    bundle["link"] = [{"relation": relation, "url": url} for relation, url in urls.items() if url]
    entries = [_found(base, resource, "match") for resource in resources]
    entries += [_found(base, resource, "include") for resource in included]
    if remarks:
        entries.append({"resource": operation_outcome(remarks), "search": {"mode": "outcome"}})
    return bundle | ({"entry": entries} if entries else {})


def _found(base: str, resource: dict[str, Any], mode: str) -> dict[str, Any]:
    address = f"{base}/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": address, "resource": resource, "search": {"mode": mode}}


def created_entry(location: str, version: int, last_updated: str) -> dict[str, Any]:
    """Build the answer to an entry that was stored."""
    return {
        "response": {
            "status": "201 Created",
            "location": location,
            "etag": f'W/"{version}"',
            "lastModified": last_updated,
        }
    }


def refused_entry(status: str, problems: Iterable[Problem]) -> dict[str, Any]:
    """Build the answer to an entry that was not; the status is HTTP's, with its phrase."""
    return {"response": {"status": status, "outcome": operation_outcome(problems)}}


def response_bundle(kind: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Build the answer to a Bundle of type transaction or batch."""
    return {"resourceType": "Bundle", "type": f"{kind}-response", "entry": entries}

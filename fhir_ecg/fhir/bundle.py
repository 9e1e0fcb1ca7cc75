"""Bundles that answer: of a search, a transaction, a batch. https://hl7.org/fhir/R4/bundle.html"""

from collections.abc import Iterable
from typing import Any

from fhir_ecg.fhir.outcome import Problem, operation_outcome


def searchset(
    base: str, resources: Iterable[dict[str, Any]], total: int, self_url: str, next_url: str | None
) -> dict[str, Any]:
    """Build the answer to a search; `base` is the address of the FHIR server."""
    link = [{"relation": "self", "url": self_url}]
    if next_url:
        link.append({"relation": "next", "url": next_url})
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": total, "link": link}
    entries = [
        {
            "fullUrl": f"{base}/{resource['resourceType']}/{resource['id']}",
            "resource": resource,
            "search": {"mode": "match"},
        }
        for resource in resources
    ]
    return bundle | ({"entry": entries} if entries else {})


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


def refused_entry(problems: Iterable[Problem]) -> dict[str, Any]:
    """Build the answer to an entry that was not."""
    return {"response": {"status": "422 Unprocessable Entity", "outcome": operation_outcome(problems)}}


def response_bundle(kind: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Build the answer to a Bundle of type transaction or batch."""
    return {"resourceType": "Bundle", "type": f"{kind}-response", "entry": entries}

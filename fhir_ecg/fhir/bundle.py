"""Searchset Bundles. https://hl7.org/fhir/R4/bundle.html"""

from collections.abc import Iterable
from typing import Any


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

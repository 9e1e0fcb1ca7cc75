"""What every definition of ours begins with."""

from typing import Any

from fhir_ecg.fhir.terminology import CANONICAL

VERSION = "1.0.0"
DATE = "2026-11-22"


def heading(kind: str, identity: str, name: str, title: str, description: str) -> dict[str, Any]:
    """Give the elements that every canonical resource has, up to its publisher and description."""
    return {
        "resourceType": kind,
        "id": identity,
        "url": f"{CANONICAL}/{kind}/{identity}",
        "version": VERSION,
        "name": name,
        "title": title,
        "status": "active",
        "experimental": False,
        "date": DATE,
        "publisher": "fhir-ecg",
        "description": description,
    }

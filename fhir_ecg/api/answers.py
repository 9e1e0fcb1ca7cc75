"""Resources as HTTP responses."""

from typing import Any

from flask import Response, current_app, request

from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.settings import Settings
from fhir_ecg.store.resources import StoredResource

FHIR_JSON = "application/fhir+json; fhirVersion=4.0"


def base_url() -> str:
    """Give the address of the FHIR base, as clients see it."""
    settings: Settings = current_app.extensions["fhir_ecg_settings"]
    return settings.base_url.rstrip("/") or f"{request.url_root.rstrip('/')}/fhir"


def fhir_response(resource: dict[str, Any] | None, status: int = 200) -> Response:
    """Answer with a resource, or with no body."""
    pretty = request.args.get("_pretty") == "true"
    body = b"" if resource is None else serialise(resource, pretty=pretty)
    return Response(body, status, content_type=FHIR_JSON)


def with_version(response: Response, stored: StoredResource) -> Response:
    """Add the ETag and Last-Modified of a stored version."""
    response.set_etag(str(stored.version), weak=True)
    response.last_modified = stored.last_updated
    return response

"""Resources as HTTP responses."""

from typing import Any

from flask import Response, current_app, request
from werkzeug.exceptions import NotAcceptable

from fhir_ecg.api.negotiation import answer_syntax
from fhir_ecg.fhir.outcome import UnprocessableError
from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.fhir.xml_form import serialise_xml
from fhir_ecg.settings import Settings
from fhir_ecg.store.resources import StoredResource


def base_url() -> str:
    """Give the address of the FHIR base, as clients see it."""
    settings: Settings = current_app.extensions["fhir_ecg_settings"]
    return settings.base_url.rstrip("/") or f"{request.url_root.rstrip('/')}/fhir"


def fhir_response(resource: dict[str, Any] | None, status: int = 200) -> Response:
    """Answer with a resource, or with no body."""
    if resource is None:
        return Response(b"", status, content_type=_media_type("json"))
    pretty = request.args.get("_pretty") == "true"
    try:
        if answer_syntax() == "xml":
            return Response(serialise_xml(resource, pretty=pretty), status, content_type=_media_type("xml"))
    except (NotAcceptable, UnprocessableError):
        # What refuses an unknown format, or cannot be written as XML, is still told, in JSON.
        pass
    return Response(serialise(resource, pretty=pretty), status, content_type=_media_type("json"))


def _media_type(syntax: str) -> str:
    return f"application/fhir+{syntax}; fhirVersion=4.0"


def with_version(response: Response, stored: StoredResource) -> Response:
    """Add the ETag and Last-Modified of a stored version."""
    response.set_etag(str(stored.version), weak=True)
    response.last_modified = stored.last_updated
    return response

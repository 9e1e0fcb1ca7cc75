"""Resources as HTTP responses."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from flask import Response, current_app, g, request
from werkzeug.exceptions import NotAcceptable

from fhir_ecg.api.negotiation import answer_form
from fhir_ecg.fhir.document import Form
from fhir_ecg.fhir.outcome import Problem, UnprocessableError, operation_outcome
from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.fhir.r5_form import NoR5FormError, r5_form
from fhir_ecg.fhir.release import Release
from fhir_ecg.fhir.xml_form import serialise_xml
from fhir_ecg.settings import Settings
from fhir_ecg.store.resources import StoredResource, Version

_PLAIN = Form("json", Release.R4)


def base_url() -> str:
    """Give the address of the FHIR base, as clients see it."""
    settings: Settings = current_app.extensions["fhir_ecg_settings"]
    return settings.base_url.rstrip("/") or f"{request.url_root.rstrip('/')}/fhir"


def fhir_response(resource: dict[str, Any] | None, status: int = 200) -> Response:
    """Answer with a resource in the form that is wanted, or with no body.

    Raises:
        NotAcceptable: What is read has no form in the release that is wanted.
    """
    body, form = _written(resource)
    response = Response(body, status, content_type=form.media_type)
    if resource is None:
        del response.headers["Content-Type"]  # a client that goes by it would parse nothing
    response.vary.add("Accept")
    return response


def told(text: str, status: int = 200) -> Response:
    """Answer with words alone, in an OperationOutcome."""
    return fhir_response(operation_outcome([Problem("informational", text, severity="information")]), status)


def with_query(address: str, query: Sequence[tuple[str, str]]) -> str:
    """Write parameters behind an address, where there are any."""
    return f"{address}?{urlencode(query)}" if query else address


def _written(resource: dict[str, Any] | None) -> tuple[bytes, Form]:
    """Write a resource in the form that is wanted, where that is known and can hold it; else as JSON, or as R4."""
    try:
        form = answer_form()
    except NotAcceptable:  # what refuses an unknown form is still told
        form = _PLAIN
    if resource is None:
        return b"", form
    pretty = request.args.get("_pretty") == "true"
    if form.release is Release.R5:
        try:
            resource = r5_form(resource)
        except NoR5FormError as error:
            if request.method in {"GET", "HEAD"}:
                raise NotAcceptable(str(error)) from error
            form = form.with_release(Release.R4)  # what was done is told in any form
    if form.syntax == "xml":
        try:
            return serialise_xml(resource, form.release or Release.R4, pretty=pretty), form
        except UnprocessableError:  # what cannot be written as XML is told in JSON
            form = replace(form, syntax="json")
    return serialise(resource, pretty=pretty), form


def with_version(response: Response, stored: StoredResource | Version) -> Response:
    """Add the ETag and Last-Modified of a stored version."""
    response.set_etag(str(stored.version), weak=True)
    response.last_modified = stored.last_updated
    g.last_updated = stored.last_updated  # to the millisecond, for an entry of a Bundle
    return response

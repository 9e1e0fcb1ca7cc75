"""The interactions with single resources. https://hl7.org/fhir/R4/http.html"""

from contextlib import suppress
from typing import Any

from flask import Response, g, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from fhir_ecg.api.accounting import web_metrics
from fhir_ecg.api.answers import base_url, fhir_response, told, with_version
from fhir_ecg.api.asynchronous import status_url
from fhir_ecg.api.blueprint import application, blueprint
from fhir_ecg.api.negotiation import preferences
from fhir_ecg.api.request_body import read_body, read_condition, version_to_match
from fhir_ecg.api.resource_id import ID, require_id
from fhir_ecg.fhir.search_parameters import SEARCHABLE_TYPES
from fhir_ecg.service import read as reading
from fhir_ecg.service.asynchronous import begin
from fhir_ecg.service.change import NotStoredError, amend, withdraw
from fhir_ecg.service.submit import Accepted, submit
from fhir_ecg.store.resources import DeletedError, Version

STORED_TYPES = ", ".join(SEARCHABLE_TYPES).replace(" ", "")


@blueprint.post("/Observation")
def create_observation() -> Response:
    """Take an ECG in."""
    body, form = read_body()
    accepted = submit(application(), body, form, g.caller, read_condition())
    if accepted.stored:
        web_metrics().accepted(form.syntax)
    if "respond-async" in preferences():
        return _polled(accepted)
    status = 200 if accepted.existed else 201
    report_url = f"{base_url()}/{accepted.report.reference}"
    text = f"The ECG {'was here already' if accepted.existed else 'is stored and will be read'}; poll {report_url}"
    response = as_preferred(accepted.observation.content, text, status)
    response.headers["Location"] = f"{base_url()}/{accepted.observation.versioned_reference}"
    response.headers["Link"] = f'<{report_url}>; rel="related"'
    return with_version(response, accepted.observation)


def _polled(accepted: Accepted) -> Response:
    """Answer a sender who will poll."""
    address = status_url(begin(application(), accepted.report.content["id"]))
    text = f"The ECG {'was here already' if accepted.existed else 'is stored and will be read'}; poll {address}"
    response = told(text, 202)
    response.headers["Content-Location"] = address
    response.headers["Location"] = f"{base_url()}/{accepted.observation.versioned_reference}"
    return response


@blueprint.put("/Observation/<identity>")
def update_observation(identity: str) -> Response:
    """Replace an Observation that was sent by one with the same waveform."""
    body, form = read_body()
    require_id("Observation", identity)
    try:
        stored = amend(application(), identity, body, form, g.caller, version_to_match())
    except NotStoredError as error:
        text = f"{error} Ids are given by this server: send a new ECG with POST to Observation."
        raise MethodNotAllowed(["GET", "HEAD", "OPTIONS"], text) from error
    return with_version(as_preferred(stored.content, "The Observation is stored."), stored)


@blueprint.delete("/Observation/<identity>")
def delete_observation(identity: str) -> Response:
    """Withdraw an ECG."""
    deletion = None
    if ID.fullmatch(identity):
        with suppress(NotStoredError):  # what is not there is as wanted
            deletion = _withdrawn(identity)
    if preferences().get("return") == "OperationOutcome":
        text = f"Observation/{identity[:64]} {'was deleted, and its report is void' if deletion else 'is not here'}."
        response = told(text)
    else:
        response = fhir_response(None, 204)
    return with_version(response, deletion) if deletion else response


def _withdrawn(identity: str) -> Version:
    if_match = version_to_match()
    try:
        return withdraw(application(), identity, g.caller, if_match)
    except DeletedError as error:
        return error.version


def as_preferred(content: dict[str, Any], text: str, status: int = 200) -> Response:
    """Answer with what `Prefer: return` asks for; with the resource where it asks for nothing."""
    wanted = preferences().get("return", "representation")
    if wanted == "minimal":
        return fhir_response(None, status)
    if wanted == "OperationOutcome":
        return told(text, status)
    return fhir_response(content, status)


@blueprint.get(f"/<any({STORED_TYPES}):kind>/<identity>")
@blueprint.get(f"/<any({STORED_TYPES}):kind>/<identity>/_history/<int(max=2147483647):version>")
def read(kind: str, identity: str, version: int | None = None) -> Response:
    """Read a resource, or one version of it."""
    known = ID.fullmatch(identity)
    stored = reading.read(application(), kind, identity, g.caller, version) if known else None
    if stored is None:
        shown = f"{kind}/{identity[:64]}" + (f"/_history/{version}" if version is not None else "")
        raise NotFound(f"{shown} is not stored here.")
    response = with_version(fhir_response(stored.content), stored)
    response.make_conditional(request)
    return response

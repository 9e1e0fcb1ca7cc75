"""Operations on Observations: `$classify`, `$validate`, `$lastn`. https://hl7.org/fhir/R4/operations.html"""

import re
from dataclasses import replace
from urllib.parse import urlencode

from flask import Response, current_app, g, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import NotFound

from fhir_ecg.api.accounting import web_metrics
from fhir_ecg.api.answers import base_url, fhir_response, with_version
from fhir_ecg.api.blueprint import application, blueprint
from fhir_ecg.api.negotiation import preferences
from fhir_ecg.api.operation_input import given_values, optional_body
from fhir_ecg.api.request_body import read_body, read_condition
from fhir_ecg.fhir.bundle import searchset
from fhir_ecg.fhir.outcome import operation_outcome
from fhir_ecg.service import read as reading
from fhir_ecg.service.classify_now import WaitingRoom, report_of
from fhir_ecg.service.last_n import last_n, parse_last_n
from fhir_ecg.service.submit import submit
from fhir_ecg.service.validate import read_question, validate
from fhir_ecg.settings import Settings

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_RETRY_SECONDS = 2
_WAITING_ROOM = "fhir_ecg_waiting_room"


@blueprint.record
def _open_waiting_room(state: BlueprintSetupState) -> None:
    settings: Settings = state.app.extensions["fhir_ecg_settings"]
    # The other half of the threads is left for requests that do not wait.
    places = max(1, settings.web_threads // 2)
    state.app.extensions[_WAITING_ROOM] = WaitingRoom(places, settings.classify_seconds)


@blueprint.post("/Observation/$classify")
def classify_observation() -> Response:
    """Take an ECG in, and answer with its report."""
    body, form = read_body()
    accepted = submit(application(), body, replace(form, parameter="observation"), g.caller, read_condition())
    if accepted.stored:
        web_metrics().accepted(form.syntax)
    return _report(accepted.report.content["id"], accepted.observation.content["id"])


@blueprint.route("/Observation/<identity>/$classify", methods=["GET", "POST"])
def classify_stored(identity: str) -> Response:
    """Answer with the report of an ECG that is stored."""
    report_id = report_of(application(), identity) if _ID.fullmatch(identity) else None
    if report_id is None:
        raise NotFound(f"No report is stored here of Observation/{identity[:64]}.")
    return _report(report_id, identity)


def _report(report_id: str, observation_id: str) -> Response:
    """Wait for the report; where it takes too long, answer with what there is."""
    waiting_room: WaitingRoom = current_app.extensions[_WAITING_ROOM]
    waiting_room.wait(application(), report_id)
    stored = reading.read(application(), "DiagnosticReport", report_id, g.caller)
    if stored is None:
        raise NotFound(f"DiagnosticReport/{report_id} is not stored here.")
    response = with_version(fhir_response(stored.content), stored)
    response.headers["Location"] = f"{base_url()}/{stored.reference}"
    response.headers["Content-Location"] = f"{base_url()}/{stored.versioned_reference}"
    response.headers["Link"] = f'<{base_url()}/Observation/{observation_id}>; rel="related"'
    if stored.content["status"] == "registered":
        response.headers["Retry-After"] = str(_RETRY_SECONDS)
    return response


@blueprint.post("/Observation/$validate")
@blueprint.post("/Observation/<identity>/$validate")
def validate_observation(identity: str | None = None) -> Response:
    """Say what would become of an Observation; nothing is stored."""
    if identity is not None and not _ID.fullmatch(identity):
        raise NotFound(f"Observation/{identity[:64]} is not stored here.")
    body, form = optional_body()
    query = {name: value for name, value in request.args.items() if name not in {"_format", "_pretty"}}
    question = read_question(body, form, query)
    return fhir_response(operation_outcome(validate(application(), question, g.caller, identity)))


@blueprint.route("/Observation/$lastn", methods=["GET", "POST"])
def newest_observations() -> Response:
    """Answer with the newest Observations of each code."""
    base = base_url()
    # A reference may be written with this server's address before it.
    query = [(name, value.replace(f"{base}/", "")) for name, value in given_values()]
    wanted = parse_last_n(query, lenient=preferences().get("handling") == "lenient")
    found = [stored.content for stored in last_n(application(), wanted, g.caller)]
    return fhir_response(
        searchset(base, found, len(found), f"{base}/Observation/$lastn?{urlencode(wanted.applied)}", None)
    )

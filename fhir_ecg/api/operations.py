"""Operations on Observations: `$classify`, `$validate`, `$lastn`. https://hl7.org/fhir/R4/operations.html"""

from dataclasses import replace

from flask import Response, current_app, g, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import NotFound

from fhir_ecg.api.accounting import web_metrics
from fhir_ecg.api.answers import base_url, fhir_response, with_query, with_version
from fhir_ecg.api.blueprint import application, blueprint
from fhir_ecg.api.negotiation import OF_THE_ANSWER, lenient
from fhir_ecg.api.operation_input import given_values, optional_body
from fhir_ecg.api.request_body import read_body, read_condition
from fhir_ecg.api.resource_id import ID, require_id
from fhir_ecg.fhir.bundle import searchset
from fhir_ecg.fhir.outcome import operation_outcome
from fhir_ecg.service import read as reading
from fhir_ecg.service.classify_now import WaitingRoom, report_of
from fhir_ecg.service.last_n import last_n, parse_last_n
from fhir_ecg.service.submit import submit
from fhir_ecg.service.validate import read_question, validate
from fhir_ecg.settings import Settings

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
    report_id = report_of(application(), identity) if ID.fullmatch(identity) else None
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
    if identity is not None:
        require_id("Observation", identity)
    body, form = optional_body()
    query = {name: value for name, value in request.args.items() if name not in OF_THE_ANSWER}
    question = read_question(body, form, query)
    return fhir_response(operation_outcome(validate(application(), question, g.caller, identity)))


@blueprint.route("/Observation/$lastn", methods=["GET", "POST"])
def newest_observations() -> Response:
    """Answer with the newest Observations of each code."""
    base = base_url()
    # A reference may be written with this server's address before it.
    query = [(name, value.replace(f"{base}/", "")) for name, value in given_values()]
    wanted = parse_last_n(query, lenient=lenient())
    found = [stored.content for stored in last_n(application(), wanted, g.caller)]
    own = with_query(f"{base}/Observation/$lastn", wanted.applied)
    return fhir_response(searchset(base, found, len(found), own, None))

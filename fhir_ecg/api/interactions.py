"""The FHIR interactions. https://hl7.org/fhir/R4/http.html"""

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Blueprint, Response, current_app, g, request
from werkzeug.exceptions import HTTPException, NotFound

from fhir_ecg.api.accounting import web_metrics
from fhir_ecg.api.answers import base_url, fhir_response, with_version
from fhir_ecg.api.negotiation import body_form, preferences, require_acceptable
from fhir_ecg.fhir.bundle import created_entry, refused_entry, response_bundle, searchset
from fhir_ecg.fhir.capability import capability_statement
from fhir_ecg.fhir.document import Form
from fhir_ecg.fhir.outcome import MalformedError, Problem, operation_outcome
from fhir_ecg.fhir.report import instant
from fhir_ecg.fhir.search import CURSOR, parse_search
from fhir_ecg.fhir.search_parameters import SEARCHABLE_TYPES
from fhir_ecg.fhir.terminology import code_systems
from fhir_ecg.service import read as reading
from fhir_ecg.service.admit import Condition
from fhir_ecg.service.application import Application, now
from fhir_ecg.service.submit import record_refusal, submit
from fhir_ecg.service.submit_bundle import EntryOutcome, submit_bundle

blueprint = Blueprint("fhir", __name__, url_prefix="/fhir")
blueprint.before_request(require_acceptable)

_STORED_TYPES = ", ".join(SEARCHABLE_TYPES).replace(" ", "")
_CODE_SYSTEMS = code_systems()
_STARTED = instant(now())
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def _application() -> Application:
    application: Application = current_app.extensions["fhir_ecg"]
    return application


@blueprint.get("/metadata")
def metadata() -> Response:
    """Declare what works."""
    secured = bool(current_app.extensions["fhir_ecg_settings"].clients)
    statement = capability_statement(base_url(), _application().software_version, _STARTED, secured=secured)
    return fhir_response(statement)


@blueprint.post("/")
def process_bundle() -> Response:
    """Take in the ECGs of a transaction or batch."""
    body, form = _read_body()
    kind, outcomes = submit_bundle(_application(), body, form, g.caller)
    web_metrics().accepted("bundle", sum(outcome.stored is not None for outcome in outcomes))
    return fhir_response(response_bundle(kind, [_entry_answer(outcome) for outcome in outcomes]))


def _entry_answer(outcome: EntryOutcome) -> dict[str, Any]:
    if outcome.stored is None:
        web_metrics().refused(outcome.problems[0].code)
        return refused_entry(outcome.problems)
    location = f"{base_url()}/{outcome.stored.versioned_reference}"
    return created_entry(location, outcome.stored.version, instant(outcome.stored.last_updated))


def _read_body() -> tuple[bytes, Form]:
    """Read the request's body, leaving a trace where it is refused unread."""
    try:
        form = body_form()
        return request.get_data(cache=False), form
    except HTTPException as error:
        refusal = MalformedError(Problem("processing", error.description or error.name))
        record_refusal(_application(), refusal, g.caller)
        raise


def _condition() -> Condition:
    """Read the headers that let an ECG in once."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        text = "An Idempotency-Key has 1 to 255 printable ASCII characters, such as a UUID."
        raise _refused(Problem("value", text, "Observation"))
    criteria = request.headers.get("If-None-Exist")
    if criteria is None:
        return Condition(key)
    query = parse_qsl(criteria.removeprefix("Observation?").removeprefix("?"), keep_blank_values=True)
    if not query:
        text = "If-None-Exist holds no search. Send such as identifier=http://hospital.example/ecg|123."
        raise _refused(Problem("value", text, "Observation"))
    try:
        return Condition(key, tuple(parse_search("Observation", query).applied))
    except MalformedError as error:
        raise _refused(*error.problems) from error


def _refused(*problems: Problem) -> MalformedError:
    error = MalformedError(*problems)
    record_refusal(_application(), error, g.caller)
    return error


@blueprint.post("/Observation")
def create_observation() -> Response:
    """Take an ECG in."""
    body, form = _read_body()
    accepted = submit(_application(), body, form, g.caller, _condition())
    if accepted.stored:
        web_metrics().accepted(form.syntax)
    status = 200 if accepted.existed else 201
    wanted = preferences().get("return", "representation")
    report_url = f"{base_url()}/{accepted.report.reference}"
    if wanted == "minimal":
        response = fhir_response(None, status)
    elif wanted == "OperationOutcome":
        text = f"The ECG {'was here already' if accepted.existed else 'is stored and will be read'}; poll {report_url}"
        response = fhir_response(operation_outcome([Problem("informational", text, severity="information")]), status)
    else:
        response = fhir_response(accepted.observation.content, status)
    response.headers["Location"] = f"{base_url()}/{accepted.observation.versioned_reference}"
    response.headers["Link"] = f'<{report_url}>; rel="related"'
    return with_version(response, accepted.observation)


@blueprint.get(f"/<any({_STORED_TYPES}):kind>/<identity>")
@blueprint.get(f"/<any({_STORED_TYPES}):kind>/<identity>/_history/<int(max=2147483647):version>")
def read(kind: str, identity: str, version: int | None = None) -> Response:
    """Read a resource, or one version of it."""
    known = _ID.fullmatch(identity)
    stored = reading.read(_application(), kind, identity, g.caller, version) if known else None
    if stored is None:
        shown = f"{kind}/{identity[:64]}" + (f"/_history/{version}" if version is not None else "")
        raise NotFound(f"{shown} is not stored here.")
    response = with_version(fhir_response(stored.content), stored)
    response.make_conditional(request)
    return response


@blueprint.get(f"/<any({_STORED_TYPES}):kind>")
def search(kind: str) -> Response:
    """Search resources of a type."""
    base = base_url()
    # A reference may be written with this server's address before it.
    query = [(name, value.replace(f"{base}/", "")) for name, value in request.args.items(multi=True)]
    lenient = preferences().get("handling") == "lenient"
    parsed = parse_search(kind, query, lenient=lenient)
    result = reading.search(_application(), parsed, g.caller)
    own = f"{base}/{kind}?{urlencode(parsed.applied)}" if parsed.applied else f"{base}/{kind}"
    following = None
    if result.next_cursor:
        following = f"{base}/{kind}?{urlencode([*parsed.applied, (CURSOR, result.next_cursor)])}"
    bundle = searchset(base, [stored.content for stored in result.resources], result.total, own, following)
    return fhir_response(bundle)


@blueprint.get("/CodeSystem/<identity>")
def read_code_system(identity: str) -> Response:
    """Read one of our code systems."""
    if identity not in _CODE_SYSTEMS:
        raise NotFound(f"CodeSystem/{identity[:64]} is not here; there are {', '.join(_CODE_SYSTEMS)}.")
    return fhir_response(_CODE_SYSTEMS[identity])

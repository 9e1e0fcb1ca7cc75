"""Every error as an OperationOutcome."""

import logging
from collections.abc import Sequence

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, Unauthorized

from fhir_ecg.api.accounting import web_metrics
from fhir_ecg.api.answers import fhir_response
from fhir_ecg.fhir.outcome import (
    IssueType,
    MalformedError,
    Problem,
    RefusedError,
    UnprocessableError,
    operation_outcome,
)
from fhir_ecg.service.admit import BusyError, ConditionFailedError
from fhir_ecg.service.change import HeldError, NotStoredError, NotTheSendersError, VersionConflictError
from fhir_ecg.service.confirm import VersionRequiredError
from fhir_ecg.service.permission import NotAllowedError
from fhir_ecg.store.engine import DatabaseAwayError
from fhir_ecg.store.resources import DeletedError, ExpiredError

logger = logging.getLogger(__name__)

_ISSUE_TYPES: dict[int, IssueType] = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    409: "conflict",
    410: "deleted",
    412: "conflict",
    413: "too-long",
    415: "not-supported",
    428: "required",
    429: "throttled",
}

_RETRY_SECONDS = 15

# Where ECGs come in.
_DOORS = ("fhir.create_observation", "fhir.process_bundle", "fhir.classify_observation")


def register(app: Flask) -> None:
    """Hang the handlers into the application."""
    app.register_error_handler(MalformedError, _malformed)
    app.register_error_handler(UnprocessableError, _unprocessable)
    app.register_error_handler(ConditionFailedError, _condition_failed)
    app.register_error_handler(VersionConflictError, _condition_failed)
    app.register_error_handler(NotTheSendersError, _conflict)
    app.register_error_handler(HeldError, _conflict)
    app.register_error_handler(NotAllowedError, _forbidden)
    app.register_error_handler(VersionRequiredError, _version_required)
    app.register_error_handler(NotStoredError, _not_stored)
    app.register_error_handler(DeletedError, _deleted)
    app.register_error_handler(BusyError, _busy)
    app.register_error_handler(DatabaseAwayError, _database_away)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _malformed(error: RefusedError) -> Response:
    return _told(error.problems, 400)


def _unprocessable(error: RefusedError) -> Response:
    return _told(error.problems, 422)


def _condition_failed(error: RefusedError) -> Response:
    return _told(error.problems, 412)


def _conflict(error: RefusedError) -> Response:
    return _told(error.problems, 409)


def _forbidden(error: RefusedError) -> Response:
    return _told(error.problems, 403)


def _version_required(error: RefusedError) -> Response:
    return _told(error.problems, 428)


def _not_stored(error: Exception) -> Response:
    return _told([Problem("not-found", str(error))], 404)


def _deleted(error: DeletedError) -> Response:
    last = error.version
    response = _told([Problem("deleted", _where_it_went(error))], 410)
    response.set_etag(str(last.version), weak=True)
    response.last_modified = last.last_updated
    return response


def _where_it_went(error: DeletedError) -> str:
    last = error.version
    resource = f"{last.kind}/{last.identity}"
    if not isinstance(error, ExpiredError):
        earlier = f"{resource}/_history/{max(1, last.version - 1)}"
        return f"{resource} was deleted by version {last.version}. Its earlier versions can be read, such as {earlier}."
    gone = f"its retention ended, and its content was removed on {last.expired_at:%Y-%m-%d}"
    if error.has_current:
        return f"{last.versioned_reference} has expired: {gone}. Read {resource} for what is kept."
    return f"{resource} has expired: {gone}."


def _busy(error: RefusedError) -> Response:
    return _later(error.problems)


def _database_away(error: Exception) -> Response:
    logger.error("the database is away", exc_info=error)
    text = (
        "This server cannot reach its data at this moment, and cannot tell whether the request was carried out. Send "
        "it again with the same Idempotency-Key or If-None-Exist, and it is carried out once."
    )
    return _later([Problem("transient", text)])


def _later(problems: Sequence[Problem]) -> Response:
    response = _told(problems, 503)
    response.headers["Retry-After"] = str(_RETRY_SECONDS)
    return response


def _told(problems: Sequence[Problem], status: int) -> Response:
    """Answer with an OperationOutcome, and count it where it turns an ECG away."""
    if request.endpoint in _DOORS:
        web_metrics().refused(problems[0].code)
    return fhir_response(operation_outcome(problems), status)


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    code: IssueType = _ISSUE_TYPES.get(status, "exception" if status >= 500 else "processing")
    # Of a body that is refused unread, the whole is at fault.
    expression = request.path.rstrip("/").rpartition("/")[2] if request.method == "POST" else None
    expression = {"fhir": "Bundle", "Observation": "Observation"}.get(expression or "")
    response = _told([Problem(code, _described(error), expression)], status)
    if status == 405:
        allowed = getattr(error, "valid_methods", None) or []
        response.headers["Allow"] = ", ".join(sorted(allowed))
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = 'Bearer realm="fhir-ecg"'
    return response


def _described(error: HTTPException) -> str:
    """Say what is wrong and what to do; werkzeug's own words know nothing of FHIR."""
    if error.description != type(error).description:
        return error.description or error.name
    if isinstance(error, NotFound):
        return "Nothing is served at this address. GET /fhir/metadata tells the types that are, and their interactions."
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or []))
        return f"{request.method} is not served at this address; {allowed or 'no method'} is."
    return error.description or error.name


def _unexpected(error: Exception) -> Response:
    logger.error("unexpected error", exc_info=error)
    text = f"This server failed. Its operator finds the cause in the log under request {g.caller.request_id}."
    return _told([Problem("exception", text, severity="fatal")], 500)

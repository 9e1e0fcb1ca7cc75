"""Every error as an OperationOutcome."""

import logging
from collections.abc import Sequence

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, Unauthorized

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
from fhir_ecg.store.engine import DatabaseAwayError

logger = logging.getLogger(__name__)

_ISSUE_TYPES: dict[int, IssueType] = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    413: "too-long",
    415: "not-supported",
    429: "throttled",
}

_RETRY_SECONDS = 15

# Where ECGs come in.
_DOORS = ("fhir.create_observation", "fhir.process_bundle")


def register(app: Flask) -> None:
    """Hang the handlers into the application."""
    app.register_error_handler(MalformedError, _malformed)
    app.register_error_handler(UnprocessableError, _unprocessable)
    app.register_error_handler(ConditionFailedError, _condition_failed)
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
    response = _told([Problem(code, error.description or error.name, expression)], status)
    if status == 405:
        allowed = getattr(error, "valid_methods", None) or []
        response.headers["Allow"] = ", ".join(sorted(allowed))
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = 'Bearer realm="fhir-ecg"'
    return response


def _unexpected(error: Exception) -> Response:
    logger.error("unexpected error", exc_info=error)
    text = f"This server failed. Its operator finds the cause in the log under request {g.caller.request_id}."
    return _told([Problem("exception", text, severity="fatal")], 500)

"""Every error as an OperationOutcome."""

import logging

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, Unauthorized

from fhir_ecg.api.answers import fhir_response
from fhir_ecg.fhir.outcome import (
    IssueType,
    MalformedError,
    Problem,
    RefusedError,
    UnprocessableError,
    operation_outcome,
)
from fhir_ecg.service.admit import ConditionFailedError

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

# A client that is still sending when we answer would see a reset connection instead of the answer.
_DRAINED_BYTES = 64 * 1024**2
_CHUNK = 64 * 1024


def register(app: Flask) -> None:
    """Hang the handlers into the application."""
    app.register_error_handler(MalformedError, _malformed)
    app.register_error_handler(UnprocessableError, _unprocessable)
    app.register_error_handler(ConditionFailedError, _condition_failed)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _malformed(error: RefusedError) -> Response:
    return fhir_response(operation_outcome(error.problems), 400)


def _unprocessable(error: RefusedError) -> Response:
    return fhir_response(operation_outcome(error.problems), 422)


def _condition_failed(error: RefusedError) -> Response:
    return fhir_response(operation_outcome(error.problems), 412)


def _http(error: HTTPException) -> Response:
    if isinstance(error, RequestEntityTooLarge):
        _drain()
    status = error.code or 500
    code: IssueType = _ISSUE_TYPES.get(status, "exception" if status >= 500 else "processing")
    # Of a body that is refused unread, the whole is at fault.
    expression = request.path.rstrip("/").rpartition("/")[2] if request.method == "POST" else None
    expression = {"fhir": "Bundle", "Observation": "Observation"}.get(expression or "")
    problem = Problem(code, error.description or error.name, expression)
    response = fhir_response(operation_outcome([problem]), status)
    if status == 405:
        allowed = getattr(error, "valid_methods", None) or []
        response.headers["Allow"] = ", ".join(sorted(allowed))
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = 'Bearer realm="fhir-ecg"'
    return response


def _unexpected(error: Exception) -> Response:
    logger.error("unexpected error", extra={"request": g.caller.request_id}, exc_info=error)
    text = f"This server failed. Its operator finds the cause in the log under request {g.caller.request_id}."
    return fhir_response(operation_outcome([Problem("exception", text, severity="fatal")]), 500)


def _drain() -> None:
    stream = request.environ["wsgi.input"]
    left = min(request.content_length or _DRAINED_BYTES, _DRAINED_BYTES)
    while left > 0 and (chunk := stream.read(min(_CHUNK, left))):
        left -= len(chunk)

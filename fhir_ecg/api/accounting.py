"""What each request leaves behind: its id on every log line, one access line, its share of the metrics."""

import logging
import re
from contextlib import ExitStack
from time import perf_counter
from uuid import uuid4

from flask import Flask, Response, current_app, g, request

from fhir_ecg.api.metrics import WebMetrics
from fhir_ecg.log_context import log_scope
from fhir_ecg.service.application import Caller

logger = logging.getLogger("fhir_ecg.api.access")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
# `<any(Observation,Device):kind>` of the router.
_PLACEHOLDER = re.compile(r"<(?:\w+(?:\([^)]*\))?:)?(\w+)>")
_NO_ROUTE = "none"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def register(app: Flask, metrics: WebMetrics) -> None:
    """Hang it into the application, around everything that is registered later."""
    app.extensions["fhir_ecg_metrics"] = metrics
    app.before_request(_begin)
    app.after_request(_tell)
    app.teardown_request(_end)


def tell_unread(app: Flask, status: int, why: str) -> None:
    """Account for a request that the HTTP server refused before it reached the application."""
    metrics: WebMetrics = app.extensions["fhir_ecg_metrics"]
    metrics.answered("other", _NO_ROUTE, status, 0)
    if status == 413:
        metrics.refused("too-long")
    logger.info("refused unread: %s", why, extra={"method": "other", "route": _NO_ROUTE, "status": status})


def web_metrics() -> WebMetrics:
    """Give the metrics of the application that answers."""
    metrics: WebMetrics = current_app.extensions["fhir_ecg_metrics"]
    return metrics


def _begin() -> None:
    given = request.headers.get("X-Request-Id", "")
    request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid4())
    g.caller = Caller(request_id=request_id, address=request.remote_addr)
    g.began = perf_counter()
    g.log_scope = ExitStack()
    g.log_scope.enter_context(log_scope(request_id=g.caller.request_id))


def _tell(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.caller.request_id
    route, seconds = _route(), perf_counter() - g.began
    method = request.method if request.method in _METHODS else "other"
    web_metrics().answered(method, route, response.status_code, seconds)
    fields = {
        "method": method,
        "route": route,
        "status": response.status_code,
        "duration_ms": round(seconds * 1000, 1),
        "bytes_in": request.content_length or 0,
        "bytes_out": response.content_length,
        "client": g.caller.client,
    }
    logger.info("answered", extra=fields)
    return response


def _end(_error: BaseException | None) -> None:
    if "log_scope" in g:
        g.log_scope.close()


def _route() -> str:
    """Give the template of the address: the address itself, and its query, can name a patient."""
    return _PLACEHOLDER.sub(r"{\1}", request.url_rule.rule) if request.url_rule else _NO_ROUTE

"""Whether this process is traced: where the extra `otel` is installed and a collector is named."""

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""OpenTelemetry's own variables; an empty one counts as not set."""


def trace_process(role: str, engine: Any, app: "Flask | None" = None) -> Callable[[], None]:
    """Trace requests of the application, or tasks where there is none; gives what sends the last spans at the end."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return _nothing
    try:
        from fhir_ecg.open_telemetry import start_tracing
    except ImportError:
        logger.warning("no traces are sent: install fhir-ecg[otel], or leave %s empty", ENDPOINTS[0])
        return _nothing
    return start_tracing(role, engine, app).shutdown


def _nothing() -> None:
    pass

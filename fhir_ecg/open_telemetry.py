"""Traces by OpenTelemetry; `fhir_ecg.tracing` says when. It needs the extra `otel`.

No span holds a patient's data. Instrumentations put addresses with their query and the texts of errors into spans,
so each span is sent with those attributes alone that are known to be harmless. What other services send along,
beside the ids of their trace, is dropped: it would travel on to the broker.
"""

import os
from collections.abc import Sequence
from typing import Any

from celery.signals import before_task_publish
from flask import Flask
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.propagate import inject, set_global_textmap
from opentelemetry.propagators.textmap import CarrierT, Getter, default_getter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanKind, Status
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fhir_ecg import __version__

HARMLESS = {
    "http.method", "http.request.method", "http.route", "http.status_code", "http.response.status_code",
    "db.system", "db.system.name", "db.name", "db.namespace", "db.operation.name",
    "celery.action", "celery.task_name", "celery.state", "messaging.message.id", "messaging.destination",
}  # fmt: skip
"""Attributes that spans are sent with. Neither `http.target` nor `db.statement` is among them."""


class HarmlessSpans(SpanExporter):
    """Sends spans without what could be a patient's data."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send copies of the spans."""
        return self._exporter.export([_harmless(span) for span in spans])

    def shutdown(self) -> None:
        """End the exporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits."""
        return self._exporter.force_flush(timeout_millis)


def _harmless(span: ReadableSpan) -> ReadableSpan:
    attributes = {name: value for name, value in (span.attributes or {}).items() if name in HARMLESS}
    # Events are exceptions with their text; a status can carry one too.
    return ReadableSpan(
        name=_name(span),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        links=[Link(link.context) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _name(span: ReadableSpan) -> str:
    """Give the span's name; that of a request without a route has the address in it."""
    attributes = span.attributes or {}
    if span.kind is SpanKind.SERVER and "http.route" not in attributes:
        return str(attributes.get("http.method", attributes.get("http.request.method", "HTTP")))
    return span.name


class IdsOnly(TraceContextTextMapPropagator):
    """Takes the ids of a trace from those who call, and nothing else that they wrote."""

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """Read `traceparent` and leave `tracestate`."""
        return super().extract(carrier, context, _TraceparentOnly(getter))


class _TraceparentOnly(Getter[Any]):
    def __init__(self, getter: Getter[Any]) -> None:
        self._getter = getter

    def get(self, carrier: Any, key: str) -> list[str] | None:
        """Read a header, if it is the one."""
        return self._getter.get(carrier, key) if key == "traceparent" else None

    def keys(self, carrier: Any) -> list[str]:
        """List the headers."""
        return [key for key in self._getter.keys(carrier) if key == "traceparent"]


def start_tracing(role: str, engine: Any, app: Flask | None = None) -> TracerProvider:
    """Trace this process: requests where it has an application, else tasks; and the database."""
    name = os.environ.get("OTEL_SERVICE_NAME") or f"fhir-ecg-{role}"
    resource = Resource.create({"service.name": name, "service.version": __version__})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(HarmlessSpans(OTLPSpanExporter())))
    # The usual one would also hand on baggage, which is whatever a caller wrote.
    set_global_textmap(IdsOnly())
    # It asks for SQLAlchemy before 2.1, and a test shows that it works with it.
    SQLAlchemyInstrumentor().instrument(skip_dep_check=True, engine=engine, tracer_provider=provider)
    if app is None:
        CeleryInstrumentor().instrument(tracer_provider=provider)  # type: ignore[no-untyped-call]
    else:
        FlaskInstrumentor.instrument_app(  # type: ignore[no-untyped-call]
            app, tracer_provider=provider, excluded_urls="livez,readyz,metrics", enable_commenter=False
        )
        # Not by Celery's instrumentation: the span of a task sent by its name is ended by the garbage collector alone.
        before_task_publish.connect(_hand_on_trace, weak=False)
    return provider


def _hand_on_trace(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None:
        inject(headers)

"""Traces: what leaves the process, and whether anything does."""

import logging
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, get_current_span

from fhir_ecg.open_telemetry import HarmlessSpans, IdsOnly
from fhir_ecg.tracing import ENDPOINTS, trace_process

MARKER = "Marker4711Schmidt"
TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def test_a_span_leaves_with_its_harmless_attributes_alone() -> None:
    sent = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(HarmlessSpans(sent)))
    tracer = provider.get_tracer("test")
    attributes = {"http.method": "GET", "http.target": f"/fhir/x?subject={MARKER}", "db.statement": MARKER}
    link = Link(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1)), {"x": MARKER})

    with tracer.start_as_current_span(
        f"GET /fhir/{MARKER}", attributes=attributes, kind=SpanKind.SERVER, links=[link]
    ) as span:
        span.record_exception(ValueError(MARKER))
        span.set_status(Status(StatusCode.ERROR, MARKER))
    provider.shutdown()

    (left,) = sent.get_finished_spans()
    assert MARKER not in left.to_json()
    assert (left.name, dict(left.attributes or {})) == ("GET", {"http.method": "GET"})
    assert left.status.status_code is StatusCode.ERROR
    assert left.context == span.get_span_context()


def test_of_a_caller_s_headers_the_ids_alone_travel_on() -> None:
    context = IdsOnly().extract({"traceparent": [TRACEPARENT], "tracestate": [f"m={MARKER}"], "baggage": [MARKER]})
    carrier: dict[str, str] = {}
    IdsOnly().inject(carrier, context)

    assert get_current_span(context).get_span_context().trace_state == {}
    assert carrier == {"traceparent": TRACEPARENT}


@pytest.mark.parametrize("named", [None, ""])
def test_without_a_collector_nothing_is_traced(named: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
        if named is not None:
            monkeypatch.setenv(name, named)
    monkeypatch.setitem(sys.modules, "fhir_ecg.open_telemetry", None)

    trace_process("web", engine=None)()


def test_without_the_extra_an_operator_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(ENDPOINTS[0], "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "fhir_ecg.open_telemetry", None)
    with caplog.at_level(logging.WARNING):
        trace_process("web", engine=None)()

    assert "fhir-ecg[otel]" in caplog.text

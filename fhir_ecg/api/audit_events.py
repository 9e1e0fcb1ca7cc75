"""AuditEvents, to be read and searched for; nobody writes one from outside. https://hl7.org/fhir/R4/auditevent.html"""

from typing import Any

from flask import Response, g, request
from werkzeug.exceptions import NotFound

from fhir_ecg.api.answers import base_url, fhir_response
from fhir_ecg.api.blueprint import application, blueprint
from fhir_ecg.api.negotiation import lenient
from fhir_ecg.api.searches import page_address, posted_query
from fhir_ecg.fhir.audit_event import audit_event
from fhir_ecg.fhir.audit_search import AuditSearch, parse_audit_search, write_cursor
from fhir_ecg.fhir.bundle import searchset
from fhir_ecg.fhir.outcome import Problem
from fhir_ecg.fhir.search import without_base
from fhir_ecg.fhir.subset import subset
from fhir_ecg.service import audit_events as auditing
from fhir_ecg.store.audit_events import AuditPage


@blueprint.get("/AuditEvent/<identity>")
@blueprint.get("/AuditEvent/<identity>/_history/<int(max=2147483647):version>")
def read_audit_event(identity: str, version: int | None = None) -> Response:
    """Read an AuditEvent; it never changes."""
    record = auditing.read(application(), identity[:64], g.caller, version)
    if record is None:
        shown = f"AuditEvent/{identity[:64]}" + (f"/_history/{version}" if version is not None else "")
        raise NotFound(f"{shown} is not stored here.")
    response = fhir_response(audit_event(record, base_url()))
    response.set_etag("1", weak=True)
    response.last_modified = record.recorded
    response.make_conditional(request)
    return response


@blueprint.get("/AuditEvent")
def search_audit_events() -> Response:
    """Search AuditEvents, the newest first."""
    return _search(list(request.args.items(multi=True)))


@blueprint.post("/AuditEvent/_search")
def search_audit_events_by_form() -> Response:
    """Search AuditEvents, by parameters that stand in no log of addresses."""
    return _search(posted_query())


def _search(query: list[tuple[str, str]]) -> Response:
    wanted = parse_audit_search(without_base(query, base_url()), lenient=lenient())
    return fhir_response(_bundle(wanted, auditing.search(application(), wanted, g.caller)))


def _bundle(wanted: AuditSearch, page: AuditPage) -> dict[str, Any]:
    search, base = wanted.search, base_url()
    events = (audit_event(record, base) for record in page.records)
    return searchset(
        base,
        [subset(event, search.summary, search.elements) for event in events],
        None,
        page_address(search, search.cursor),
        page_address(search, write_cursor(page.last)) if page.last else None,
        first_url=page_address(search, None),
        remarks=[Problem("not-supported", f"Left out: {text}", severity="warning") for text in search.ignored],
    )

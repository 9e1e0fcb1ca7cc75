"""Histories of one resource, of a type, of all. https://hl7.org/fhir/R4/http.html#history"""

from flask import Response, g, request
from werkzeug.exceptions import NotFound

from fhir_ecg.api.answers import base_url, fhir_response, with_query
from fhir_ecg.api.blueprint import application, blueprint
from fhir_ecg.api.interactions import STORED_TYPES
from fhir_ecg.api.negotiation import lenient
from fhir_ecg.fhir.history import CURSOR, history_bundle, history_entry, parse_history, write_cursor
from fhir_ecg.fhir.report import instant
from fhir_ecg.fhir.search_parameters import SEARCHABLE_TYPES
from fhir_ecg.service import read as reading
from fhir_ecg.store.resources import HistoryWanted


@blueprint.get("/_history")
def system_history() -> Response:
    """List the versions of everything."""
    return _history(None, None)


@blueprint.get(f"/<any({STORED_TYPES}):kind>/_history")
def type_history(kind: str) -> Response:
    """List the versions of all resources of a type."""
    return _history(kind, None)


@blueprint.get(f"/<any({STORED_TYPES}):kind>/<identity>/_history")
def instance_history(kind: str, identity: str) -> Response:
    """List the versions of one resource."""
    return _history(kind, identity)


def _history(kind: str | None, identity: str | None) -> Response:
    asked = parse_history(request.args.items(multi=True), lenient=lenient())
    kinds = (kind,) if kind else tuple(SEARCHABLE_TYPES)
    wanted = HistoryWanted(kinds, identity, asked.count, asked.since, asked.at, asked.before)
    page = reading.history(application(), wanted, asked.applied, g.caller)
    if page is None:
        raise NotFound(f"{kind}/{(identity or '')[:64]} is not stored here.")
    base = base_url()
    place = "/".join(part for part in (base, kind, identity, "_history") if part)
    own = with_query(place, asked.applied)
    following = with_query(place, [*asked.applied, (CURSOR, write_cursor(page.last))]) if page.last else None
    entries = [
        history_entry(base, v.kind, v.identity, v.version, instant(v.last_updated), v.content) for v in page.versions
    ]
    return fhir_response(history_bundle(entries, page.total, own, following))

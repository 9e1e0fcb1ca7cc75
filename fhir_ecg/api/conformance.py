"""What this server declares: its capabilities, and the resources that define its profiles, codes and operations."""

from typing import Any

from flask import Response, request
from werkzeug.exceptions import BadRequest, NotFound

from fhir_ecg.api.answers import base_url, fhir_response, with_query
from fhir_ecg.api.blueprint import application, blueprint, settings
from fhir_ecg.api.negotiation import lenient
from fhir_ecg.api.searches import posted_query
from fhir_ecg.fhir.bundle import searchset
from fhir_ecg.fhir.capability import Server, capability_statement, terminology_capabilities
from fhir_ecg.fhir.definitions import DEFINITION_TYPES, definitions
from fhir_ecg.fhir.definitions.search import find_definitions, wanted_part
from fhir_ecg.fhir.report import instant
from fhir_ecg.service.application import now

_STARTED = instant(now())
_TYPES = f"any({', '.join(DEFINITION_TYPES)})"


@blueprint.get("/metadata")
def metadata() -> Response:
    """Declare what works. https://hl7.org/fhir/R4/http.html#capabilities"""
    server = Server(
        base_url(),
        application().software_version,
        _STARTED,
        secured=bool(settings().clients),
        snomed=settings().snomed,
        cors=bool(settings().cors_origins),
    )
    mode = request.args.get("mode", "full")
    if mode == "terminology":
        return fhir_response(terminology_capabilities(server))
    if mode not in {"full", "normative"}:
        raise BadRequest(f"There is no mode {mode[:40]}; ask for full, normative or terminology.")
    statement = capability_statement(server, normative=mode == "normative")
    return fhir_response(wanted_part(request.args).of(statement))


@blueprint.get(f"/<{_TYPES}:kind>/<identity>")
def read_definition(kind: str, identity: str) -> Response:
    """Read one of our definitions."""
    found = _definitions(kind).get(identity)
    if found is None:
        raise NotFound(f"{kind}/{identity[:64]} is not here; there are {', '.join(_definitions(kind)) or 'none'}.")
    return fhir_response(wanted_part(request.args).of(found))


@blueprint.get(f"/<{_TYPES}:kind>")
def search_definitions(kind: str) -> Response:
    """Search our definitions of one type."""
    return _search(kind, list(request.args.items(multi=True)))


@blueprint.post(f"/<{_TYPES}:kind>/_search")
def search_definitions_by_form(kind: str) -> Response:
    """Search our definitions of one type."""
    return _search(kind, posted_query())


def _search(kind: str, query: list[tuple[str, str]]) -> Response:
    found = find_definitions(kind, _definitions(kind).values(), query, lenient=lenient())
    address = f"{base_url()}/{kind}"
    following = with_query(address, found.following) if found.following else None
    own = with_query(address, found.applied)
    return fhir_response(searchset(base_url(), found.resources, found.total, own, following))


def _definitions(kind: str) -> dict[str, dict[str, Any]]:
    return definitions(snomed=settings().snomed)[kind]

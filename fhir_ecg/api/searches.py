"""Searches. https://hl7.org/fhir/R4/search.html"""

from typing import Any
from urllib.parse import parse_qsl

from flask import Response, g, request
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from fhir_ecg.api.answers import base_url, fhir_response, with_query
from fhir_ecg.api.blueprint import application, blueprint
from fhir_ecg.api.interactions import STORED_TYPES
from fhir_ecg.api.negotiation import OF_THE_ANSWER, lenient
from fhir_ecg.fhir.bundle import searchset
from fhir_ecg.fhir.outcome import Problem
from fhir_ecg.fhir.search import CURSOR, Search, parse_search, without_base
from fhir_ecg.fhir.subset import subset
from fhir_ecg.service.search import SearchResult
from fhir_ecg.service.search import search as run_search

_FORM = "application/x-www-form-urlencoded"
_LONGEST_FORM = 64 * 1024


@blueprint.get(f"/<any({STORED_TYPES}):kind>")
def search(kind: str) -> Response:
    """Search resources of a type."""
    return _search(kind, list(request.args.items(multi=True)))


@blueprint.post(f"/<any({STORED_TYPES}):kind>/_search")
def search_by_form(kind: str) -> Response:
    """Search resources of a type, by parameters that stand in no log of addresses."""
    return _search(kind, posted_query())


def posted_query() -> list[tuple[str, str]]:
    """Read a search out of the address and a posted form.

    Raises:
        UnsupportedMediaType: The body is announced as no form.
        RequestEntityTooLarge: It is larger than any search is.
    """
    if request.mimetype != _FORM:
        raise UnsupportedMediaType(f"A search is posted as Content-Type: {_FORM}.")
    request.max_content_length = _LONGEST_FORM
    body = request.get_data(cache=False)
    if len(body) > _LONGEST_FORM:
        raise RequestEntityTooLarge(f"A search has {_LONGEST_FORM} bytes at the most.")
    form = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
    query = [*request.args.items(multi=True), *form]
    # What writes the answer looks for `_format` and `_pretty` in the address.
    request.args = ImmutableMultiDict(query)
    return query


def _search(kind: str, query: list[tuple[str, str]]) -> Response:
    wanted = parse_search(kind, without_base(query, base_url()), lenient=lenient())
    return fhir_response(_bundle(wanted, run_search(application(), wanted, g.caller)))


def _bundle(wanted: Search, result: SearchResult) -> dict[str, Any]:
    return searchset(
        base_url(),
        [subset(stored.content, wanted.summary, wanted.elements) for stored in result.resources],
        result.total,
        page_address(wanted, wanted.cursor),
        page_address(wanted, result.next_cursor) if result.next_cursor else None,
        first_url=page_address(wanted, None),
        included=[subset(stored.content, wanted.summary) for stored in result.included],
        remarks=_remarks(wanted, result),
    )


def page_address(wanted: Search, cursor: str | None) -> str:
    """Give the address of a page, written as this answer is; the first page has no cursor."""
    answer = [(name, request.args[name]) for name in OF_THE_ANSWER if name in request.args]
    query = [*wanted.applied, *answer, *([(CURSOR, cursor)] if cursor else [])]
    return with_query(f"{base_url()}/{wanted.resource_type}", query)


def _remarks(wanted: Search, result: SearchResult) -> list[Problem]:
    remarks = [Problem("not-supported", f"Left out: {text}", severity="warning") for text in wanted.ignored]
    if not result.included_all:
        text = "More stands beside these matches than was included; ask for smaller pages with _count."
        remarks.append(Problem("too-costly", text, severity="warning"))
    return remarks

"""Batch and transaction Bundles. https://hl7.org/fhir/R4/http.html#transaction"""

from typing import Any

from flask import Response, current_app, g, request
from werkzeug.test import EnvironBuilder

from fhir_ecg.api.accounting import web_metrics
from fhir_ecg.api.answers import base_url, fhir_response
from fhir_ecg.api.authorisation import USER_HEADER
from fhir_ecg.api.blueprint import application, blueprint
from fhir_ecg.api.request_body import read_body, read_condition
from fhir_ecg.fhir.bundle import refused_entry, response_bundle
from fhir_ecg.fhir.bundle_requests import BundleRequests, EntryRequest
from fhir_ecg.fhir.outcome import Problem, UnprocessableError
from fhir_ecg.fhir.parsing import parse_json, serialise
from fhir_ecg.fhir.report import instant
from fhir_ecg.service.submit_bundle import EntryOutcome, read_bundle, submit_bundle

_STATUSES = {"created": "201 Created", "existed": "200 OK", "updated": "200 OK", "deleted": "204 No Content"}
_CARRIED_HEADERS = ("Authorization", "X-Request-Id", USER_HEADER)


@blueprint.post("/")
def process_bundle() -> Response:
    """Carry out a batch or transaction."""
    body, form = read_body()
    key = read_condition().idempotency_key
    requests = read_bundle(application(), body, form, g.caller, base_url())
    reads = [each for each in requests.others if each.method == "GET"]
    if requests.kind == "transaction":
        for each in reads:
            _require_answer(each)
    deletions = _each_by_itself(requests, "DELETE")
    outcomes = submit_bundle(application(), requests, body, g.caller, key)
    web_metrics().accepted("bundle", sum(outcome.what == "created" for outcome in outcomes.values() if outcome.stored))
    entries = {place: _entry_answer(outcome) for place, outcome in outcomes.items()}
    entries |= deletions | _each_by_itself(requests, "PUT") | {each.place: _answer(each) for each in reads}
    return fhir_response(response_bundle(requests.kind, [entries[place] for place in sorted(entries)]))


def _each_by_itself(requests: BundleRequests, method: str) -> dict[int, dict[str, Any]]:
    """Carry out the changes of a batch; a transaction's are a part of it."""
    if requests.kind == "transaction":
        return {}
    return {each.place: _answer(each) for each in requests.others if each.method == method}


def _entry_answer(outcome: EntryOutcome) -> dict[str, Any]:
    if outcome.stored is None:
        web_metrics().refused(outcome.problems[0].code)
        return refused_entry(outcome.problems)
    response = {
        "status": _STATUSES[outcome.what],
        "etag": f'W/"{outcome.stored.version}"',
        "lastModified": instant(outcome.stored.last_updated),
    }
    if outcome.what != "deleted":
        response["location"] = f"{base_url()}/{outcome.stored.versioned_reference}"
    return {"response": response}


def _require_answer(asked: EntryRequest) -> None:
    """Refuse a transaction that asks for what is not there, before anything of it is done.

    Raises:
        UnprocessableError: It cannot be answered.
    """
    answer = _dispatched(asked)
    if answer.status_code >= 400:
        issue = parse_json(answer.get_data())["issue"][0]
        text = f"{answer.status_code}: {issue['diagnostics']}"
        raise UnprocessableError(Problem("processing", text, f"Bundle.entry[{asked.place}].request.url"))


def _answer(asked: EntryRequest) -> dict[str, Any]:
    """Let this application answer an entry as if it had come by itself."""
    answer = _dispatched(asked)
    response: dict[str, Any] = {"status": answer.status}
    for name, header in (("location", "Location"), ("etag", "ETag")):
        if header in answer.headers:
            response[name] = answer.headers[header]
    if answer.last_modified:
        response["lastModified"] = instant(answer.last_modified)
    content = parse_json(answer.get_data()) if answer.get_data() else None
    if content is None:
        return {"response": response}
    if content["resourceType"] == "OperationOutcome":
        return {"response": response | {"outcome": content}}
    return {"resource": content, "response": response}


def _dispatched(asked: EntryRequest) -> Response:
    headers = {name: request.headers[name] for name in _CARRIED_HEADERS if name in request.headers}
    headers |= {"Accept": "application/fhir+json", "X-Request-Id": g.caller.request_id}
    given = {
        "If-Match": f'W/"{asked.if_match}"' if asked.if_match is not None else None,
        "If-None-Match": asked.if_none_match,
        "If-Modified-Since": asked.if_modified_since,
    }
    headers |= {name: value for name, value in given.items() if value and value.isascii() and value.isprintable()}
    path, _, query = asked.url.partition("?")
    builder = EnvironBuilder(
        f"/fhir/{path}",
        request.url_root,
        query_string=query,
        method=asked.method,
        headers=[*headers.items()],
        data=serialise(asked.resource) if asked.resource else None,
        content_type="application/fhir+json" if asked.resource else None,
        environ_base={"REMOTE_ADDR": request.remote_addr} if request.remote_addr else None,
    )
    # A context of its own: what the request leaves in `g` is not this one's.
    with current_app.app_context(), current_app.request_context(builder.get_environ()):
        return current_app.full_dispatch_request()

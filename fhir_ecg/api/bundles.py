"""Batch and transaction Bundles. https://hl7.org/fhir/R4/http.html#transaction"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Response, current_app, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.test import EnvironBuilder

from fhir_ecg.api.accounting import web_metrics
from fhir_ecg.api.answers import base_url, fhir_response
from fhir_ecg.api.authorisation import USER_HEADER
from fhir_ecg.api.blueprint import application, blueprint
from fhir_ecg.api.negotiation import OF_THE_ANSWER
from fhir_ecg.api.request_body import read_body, read_condition
from fhir_ecg.fhir.bundle import refused_entry, response_bundle
from fhir_ecg.fhir.bundle_requests import BundleRequests, EntryRequest
from fhir_ecg.fhir.document import Form
from fhir_ecg.fhir.outcome import MalformedError, Problem, RefusedError, UnprocessableError
from fhir_ecg.fhir.parsing import parse_json, serialise
from fhir_ecg.fhir.report import instant
from fhir_ecg.service.admit import ConditionFailedError
from fhir_ecg.service.application import Application
from fhir_ecg.service.submit_bundle import EntryOutcome, read_bundle, submit_bundle
from fhir_ecg.store.resources import DeletedError

_STATUSES = {"created": "201 Created", "existed": "200 OK", "updated": "200 OK", "deleted": "204 No Content"}
_REFUSALS: dict[type[RefusedError], str] = {
    MalformedError: "400 Bad Request",
    ConditionFailedError: "412 Precondition Failed",
}
_UNPROCESSABLE = "422 Unprocessable Entity"
_CARRIED_HEADERS = ("Authorization", "X-Request-Id", USER_HEADER)


@blueprint.post("/")
def process_bundle() -> Response:
    """Carry out a batch or transaction."""
    body, form = read_body()
    key = read_condition().idempotency_key
    requests = read_bundle(application(), body, form, g.caller, base_url())
    deletions = _each_by_itself(requests, "DELETE")
    outcomes = submit_bundle(application(), requests, body, g.caller, key, _read_within)
    web_metrics().accepted("bundle", sum(outcome.what == "created" for outcome in outcomes.values()))
    entries = {place: _entry_answer(outcome) for place, outcome in outcomes.items()}
    entries |= deletions | _each_by_itself(requests, "PUT") | _each_by_itself(requests, "GET")
    return fhir_response(response_bundle(requests.kind, [entries[place] for place in sorted(entries)]))


def _entry_answer(outcome: EntryOutcome) -> dict[str, Any]:
    """Write the answer to an entry that a use case has carried out or refused."""
    if outcome.answer is not None:
        return outcome.answer
    if outcome.refusal is not None:
        problems = outcome.refusal.problems
        web_metrics().refused(problems[0].code)
        return refused_entry(_REFUSALS.get(type(outcome.refusal), _UNPROCESSABLE), problems)
    response = {"status": _STATUSES[outcome.what]}
    if outcome.stored is not None:
        response["etag"] = f'W/"{outcome.stored.version}"'
        response["lastModified"] = instant(outcome.stored.last_updated)
        if outcome.what != "deleted":
            response["location"] = f"{base_url()}/{outcome.stored.versioned_reference}"
    return {"response": response}


def _each_by_itself(requests: BundleRequests, method: str) -> dict[int, dict[str, Any]]:
    """Let this application answer each entry of a batch as if it had come by itself; a transaction's are one whole."""
    if requests.kind == "transaction":
        return {}
    answers = {}
    for asked in requests.others:
        if asked.method == method:
            with _request_of(asked, requests.form):
                answers[asked.place] = _entry_of(current_app.full_dispatch_request())
    return answers


def _read_within(joined: Application, asked: EntryRequest) -> dict[str, Any]:
    """Answer a read as a part of a transaction: with its caller, and with what it has done so far.

    Raises:
        UnprocessableError: There is no answer.
    """
    caller = g.caller
    with _request_of(asked, Form()):
        g.caller, g.application = caller, joined
        try:
            return _entry_of(current_app.make_response(current_app.dispatch_request()))
        except (RefusedError, DeletedError, HTTPException) as error:
            answer = current_app.make_response(current_app.handle_user_exception(error))
            issue = parse_json(answer.get_data())["issue"][0]
            text = f"{answer.status_code}: {issue['diagnostics']}"
            raise UnprocessableError(Problem("processing", text, f"Bundle.entry[{asked.place}].request.url")) from error


def _entry_of(answer: Response) -> dict[str, Any]:
    """Write the answer to a request of its own as an entry; called while that request lasts."""
    response: dict[str, Any] = {"status": answer.status}
    for name, header in (("location", "Location"), ("etag", "ETag")):
        if header in answer.headers:
            response[name] = answer.headers[header]
    if "last_updated" in g:
        response["lastModified"] = instant(g.last_updated)
    content = parse_json(answer.get_data()) if answer.get_data() else None
    if content is None:
        return {"response": response}
    if content["resourceType"] == "OperationOutcome":
        return {"response": response | {"outcome": content}}
    return {"resource": content, "response": response}


@contextmanager
def _request_of(asked: EntryRequest, form: Form) -> Iterator[None]:
    """Make an entry the request that is answered, in a context of its own: what it leaves in `g` is not the whole's."""
    headers = {name: request.headers[name] for name in _CARRIED_HEADERS if name in request.headers}
    headers |= {"Accept": "application/fhir+json", "X-Request-Id": g.caller.request_id}
    given = {
        "If-Match": f'W/"{asked.if_match}"' if asked.if_match is not None else None,
        "If-None-Match": asked.if_none_match,
        "If-Modified-Since": asked.if_modified_since,
    }
    headers |= {name: value for name, value in given.items() if value and value.isascii() and value.isprintable()}
    path, _, query = asked.url.partition("?")
    # Entries are answered in the form of the whole.
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in OF_THE_ANSWER]
    builder = EnvironBuilder(
        f"/fhir/{path}",
        request.url_root,
        query_string=urlencode(pairs),
        method=asked.method,
        headers=[*headers.items()],
        data=serialise(asked.resource) if asked.resource else None,
        content_type=replace(form, syntax="json").media_type if asked.resource else None,
        environ_base={"REMOTE_ADDR": request.remote_addr} if request.remote_addr else None,
    )
    with current_app.app_context(), current_app.request_context(builder.get_environ()):
        yield

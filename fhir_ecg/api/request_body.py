"""What a request brings: its body, and the conditions under which it is to be taken."""

import re
from urllib.parse import parse_qsl

from flask import current_app, g, request
from werkzeug.exceptions import HTTPException

from fhir_ecg.api.answers import base_url
from fhir_ecg.api.blueprint import application
from fhir_ecg.api.negotiation import OF_THE_ANSWER, body_form
from fhir_ecg.api.transfer import decompressed
from fhir_ecg.fhir.document import Form
from fhir_ecg.fhir.outcome import MalformedError, Problem
from fhir_ecg.fhir.search import parse_condition, without_base
from fhir_ecg.service.admit import Condition
from fhir_ecg.service.submit import record_refusal

_VERSION = re.compile(r'(?:W/)?"(\d{1,9})"', re.ASCII)
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def read_body() -> tuple[bytes, Form]:
    """Read the request's body, leaving a trace where it is refused unread."""
    try:
        form = body_form()
        limit: int = current_app.config["MAX_CONTENT_LENGTH"]
        return decompressed(request.get_data(cache=False), limit), form
    except HTTPException as error:
        refusal = MalformedError(Problem("processing", error.description or error.name))
        record_refusal(application(), refusal, g.caller)
        raise


def read_condition() -> Condition:
    """Read the headers that let an ECG in once."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        text = "An Idempotency-Key has 1 to 255 printable ASCII characters, such as a UUID."
        raise _refused(Problem("value", text, "Observation"))
    criteria = request.headers.get("If-None-Exist")
    if criteria is None:
        query = _condition_in_address()
    else:
        query = parse_qsl(criteria.removeprefix("Observation?").removeprefix("?"), keep_blank_values=True)
    if criteria is None and not query:
        return Condition(key)
    if not query:
        text = "If-None-Exist holds no search. Send such as identifier=http://hospital.example/ecg|123."
        raise _refused(Problem("value", text, "Observation"))
    try:
        return Condition(key, tuple(parse_condition("Observation", without_base(query, base_url())).applied))
    except MalformedError as error:
        raise _refused(*error.problems) from error


def _condition_in_address() -> list[tuple[str, str]]:
    """Read the condition of a create where fhirpy's `get_or_create` writes it: `POST Observation?identifier=...`."""
    if request.endpoint != "fhir.create_observation":
        return []
    return [(name, value) for name, value in request.args.items(multi=True) if name not in OF_THE_ANSWER]


def version_to_match(kind: str = "Observation") -> int | None:
    """Read the version that If-Match names; None where any will do.

    Raises:
        MalformedError: It names none.
    """
    header = request.headers.get("If-Match", "").strip()
    if header in {"", "*"}:
        return None
    if match := _VERSION.fullmatch(header):
        return int(match[1])
    text = 'If-Match holds the ETag of a read, such as W/"1".'
    raise _refused(Problem("value", text, kind))


def _refused(*problems: Problem) -> MalformedError:
    error = MalformedError(*problems)
    record_refusal(application(), error, g.caller)
    return error

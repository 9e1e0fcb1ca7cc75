"""What the entries of a batch or transaction ask for. https://hl7.org/fhir/R4/http.html#transaction"""

import re
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from urllib.parse import parse_qsl

from fhir_ecg.fhir.document import Form
from fhir_ecg.fhir.ecg_bundle import EcgEntries, bundle_entries, ecgs_of_entries
from fhir_ecg.fhir.outcome import IssueType, MalformedError, Problem
from fhir_ecg.fhir.search import parse_condition, without_base

TYPES = ("transaction", "batch")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_INSTANCE = re.compile(r"(Observation|DiagnosticReport)/([A-Za-z0-9\-.]{1,64})")
_CHANGES = {("PUT", "Observation"), ("PUT", "DiagnosticReport"), ("DELETE", "Observation")}
_READABLE = re.compile(r"(?:metadata|[A-Z][A-Za-z]{1,40}(?:/[A-Za-z0-9\-./_]{1,200})?)(?:\?.{0,4000})?")
_VERSION = re.compile(r'(?:W/)?"(\d{1,9})"', re.ASCII)

Criteria = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class EntryRequest:
    """What one entry asks for, if not to create an ECG."""

    place: int
    method: Literal["GET", "PUT", "DELETE"]
    url: str
    kind: str = ""
    """The resource type, of PUT and DELETE."""
    identity: str = ""
    """Its id, of PUT and DELETE."""
    resource: dict[str, Any] = field(default_factory=dict)
    if_match: int | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None


@dataclass
class BundleRequests:
    """Everything that a Bundle asks for."""

    kind: Literal["transaction", "batch"]
    form: Form
    entries: list[Any]
    ecgs: list[EcgEntries]
    """What is to be created, and what is refused."""
    others: list[EntryRequest]
    conditions: dict[int, Criteria] = field(default_factory=dict)
    """`ifNoneExist` of the entries that have one."""


def requests_of_bundle(bundle: dict[str, Any], form: Form, base: str) -> BundleRequests:
    """Read what the entries of a batch or transaction ask for; `base` is the address of this server.

    Raises:
        MalformedError: It is no such Bundle, or has no entry.
    """
    entries = bundle_entries(bundle, TYPES)
    found = BundleRequests(bundle["type"], form, entries, [], [])
    creates, refused = [], []
    named: dict[tuple[str, str] | Criteria, int] = {}
    for place, entry in enumerate(entries):
        try:
            if not isinstance(entry, dict):
                raise _refused(place, "resource", "The entry is no object with a resource and a request.")
            request = entry.get("request")
            asked = _read_request(place, entry, request if isinstance(request, dict) else {}, base)
            _require_once(found.kind, named, asked, place)
            if isinstance(asked, EntryRequest):
                found.others.append(asked)
            else:
                creates.append(place)
                if asked:
                    found.conditions[place] = asked
        except MalformedError as error:
            refused.append(EcgEntries([place], [], [*error.problems]))
    found.ecgs = sorted(refused + ecgs_of_entries(entries, creates, form), key=lambda ecg: ecg.entries)
    return found


def _require_once(kind: str, named: dict[Any, int], asked: EntryRequest | Criteria, place: int) -> None:
    """Refuse what only the order of entries would decide. https://hl7.org/fhir/R4/http.html#trules

    Raises:
        MalformedError: Another entry changes the same resource of a transaction, or creates on the same condition.
    """
    if isinstance(asked, EntryRequest):
        if kind != "transaction" or not asked.kind:
            return
        where, what = "request.url", f"changes {asked.kind}/{asked.identity}; a transaction changes a resource once."
    elif asked:
        where, what = "request.ifNoneExist", "has the same condition, which only one of them can be stored under."
    else:
        return
    key = (asked.kind, asked.identity) if isinstance(asked, EntryRequest) else tuple(sorted(asked))
    if (other := named.setdefault(key, place)) != place:
        raise _refused(place, where, f"Entry {other} also {what} Send this one by itself.", "duplicate")


def _read_request(place: int, entry: dict[str, Any], request: dict[str, Any], base: str) -> EntryRequest | Criteria:
    """Read one entry's request; what comes back for a create is its condition, empty where it has none."""
    method, url = request.get("method"), request.get("url")
    if not isinstance(url, str) or method not in _METHODS:
        raise _refused(place, "request", "State in request.method and request.url what is asked for.")
    url = url.removeprefix(base).removeprefix("/")
    if method == "POST" and url == "Observation":
        return _condition(place, request.get("ifNoneExist"), base)
    if method == "GET" and _READABLE.fullmatch(url):
        given = {name: _text(request.get(name)) for name in ("ifNoneMatch", "ifModifiedSince")}
        return EntryRequest(
            place, "GET", url, if_none_match=given["ifNoneMatch"], if_modified_since=given["ifModifiedSince"]
        )
    if (match := _INSTANCE.fullmatch(url)) and (method, match[1]) in _CHANGES:
        resource = entry.get("resource")
        if method == "PUT" and not isinstance(resource, dict):
            raise _refused(place, "resource", "The entry has no resource.")
        if_match = _if_match(place, request.get("ifMatch"))
        content = resource if method == "PUT" and isinstance(resource, dict) else {}
        changing = cast("Literal['PUT', 'DELETE']", method)
        return EntryRequest(place, changing, url, match[1], match[2], content, if_match)
    text = (
        "Taken here are POST Observation, PUT and DELETE of Observation/ID, PUT of DiagnosticReport/ID, and GET to "
        "read or search; in request.method and request.url."
    )
    raise _refused(place, "request", text, "not-supported")


def _condition(place: int, criteria: Any, base: str) -> Criteria:
    if criteria is None:
        return ()
    where = "request.ifNoneExist"
    query = parse_qsl(_text(criteria).removeprefix("Observation?").removeprefix("?"), keep_blank_values=True)
    if not query:
        raise _refused(
            place, where, "ifNoneExist holds no search. Send such as identifier=http://hospital.example/ecg|1."
        )
    try:
        return tuple(parse_condition("Observation", without_base(query, base)).applied)
    except MalformedError as error:
        raise _refused(place, where, error.problems[0].diagnostics) from error


def _if_match(place: int, header: Any) -> int | None:
    if header is None or header == "*":
        return None
    if match := _VERSION.fullmatch(_text(header)):
        return int(match[1])
    raise _refused(place, "request.ifMatch", 'ifMatch holds the ETag of a read, such as W/"1".')


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _refused(place: int, where: str, text: str, code: IssueType = "required") -> MalformedError:
    return MalformedError(Problem(code, text, f"Bundle.entry[{place}].{where}"))

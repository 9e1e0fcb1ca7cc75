"""What may stand in the address and the headers of a request."""

from typing import Any

from fhir_ecg.fhir.definitions import DEFINITION_TYPES
from fhir_ecg.fhir.definitions.search import DEFINITION_PARAMETERS
from fhir_ecg.fhir.search_parameters import SEARCH_PARAMETERS, parameters_of

Parameter = dict[str, Any]

_DATE = "A date or time, with a prefix such as ge"
_MEANINGS = {
    "date": _DATE,
    "reference": "A reference such as Patient/123, or an id",
    "string": "What it begins with",
    "token": "A code, or system|code",
    "uri": "The whole URI",
}


def _query(name: str, text: str, **schema: Any) -> Parameter:
    return {"name": name, "in": "query", "description": text, "schema": {"type": "string"} | schema}


def _header(name: str, text: str) -> Parameter:
    return {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}


QUERY: dict[str, Parameter] = {
    parameter["name"]: parameter
    for parameter in (
        _query("_format", "json or xml, or a MIME type, before Accept"),
        _query("_pretty", "Whether space is added for people", enum=["true", "false"]),
        _query("_count", "How many a page, at most 200", type="integer", minimum=0),
        _query("_since", "Only what was changed since this instant"),
        _query("_until", "Only what was changed before this instant"),
        _query("_at", "Only versions that were current then"),
        _query("_summary", "Which part", enum=["true", "text", "data", "count", "false"]),
        _query("_elements", "Only these elements, separated by commas"),
        _query("_outputFormat", "The format of the files", enum=["application/fhir+ndjson", "ndjson"]),
        _query("_type", "Only these types, separated by commas"),
        _query("mode", "What is asked of the server or the resource"),
        _query("profile", "The canonical of a profile"),
    )
}
HEADERS: dict[str, Parameter] = {
    parameter["name"]: parameter
    for parameter in (
        _header("Prefer", "return=minimal|representation|OperationOutcome, respond-async, handling=strict|lenient"),
        _header("Idempotency-Key", "A key of the sender's: the same request is carried out once"),
        _header("If-None-Exist", "A search; where something matches, nothing is created"),
        _header("If-Match", 'The version that is to be changed, such as W/"1"'),
        _header("If-None-Match", 'The version that is known, such as W/"1"'),
        _header("If-Modified-Since", "The time of the version that is known"),
    )
}
_OF_A_SEARCH = (
    QUERY["_count"],
    QUERY["_summary"],
    QUERY["_elements"],
    _query("_sort", "By what, separated by commas, - before it for the latest first"),
    _query("_total", "Whether the matches are counted", enum=["none", "estimate", "accurate"]),
    _query("_include", "What matches refer to, such as DiagnosticReport:result"),
    _query("_revinclude", "What refers to matches, such as Provenance:target"),
)


def query_parameters(kind: str, wanted: tuple[str, ...]) -> list[Parameter]:
    """Give the parameters of a search of a type, or of `$lastn`, where they are wanted."""
    if "lastn" in wanted:
        return [_query("max", "How many of each code", type="integer", minimum=1, maximum=100), *_of("Observation")]
    if "search" not in wanted:
        return []
    if kind in DEFINITION_TYPES:
        own = [_query(p.name, _MEANINGS[p.kind]) for p in DEFINITION_PARAMETERS.values()]
        return [*own, *_OF_A_SEARCH[:3]]
    if kind == "AuditEvent":
        return [*_of(kind), *_OF_A_SEARCH[:3]]
    return [*_of(kind), *_OF_A_SEARCH] if kind in SEARCH_PARAMETERS else []


def _of(kind: str) -> list[Parameter]:
    own = [_query(p.name, _MEANINGS[p.kind]) for p in parameters_of(kind).values()]
    return [*own, _query("_id", "The id"), _query("_lastUpdated", _DATE)]

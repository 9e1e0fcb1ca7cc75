"""What is known of each route beside its address: what it does, takes and answers."""

from dataclasses import dataclass
from typing import Literal

Body = Literal[
    "ECG", "ECG or Parameters", "Parameters", "DiagnosticReport", "Requests", "form", "form or Parameters", ""
]  # fmt: skip

# Why each status is answered; where it is an error, with an OperationOutcome.
MEANINGS = {
    200: "Done",
    201: "Created",
    202: "Accepted; poll the address in Content-Location, or ask again after Retry-After",
    204: "Done; there is nothing to tell",
    302: "Elsewhere",
    304: "Not changed since the version that is known",
    400: "What was sent, or a parameter, is not understood",
    401: "No known bearer token",
    403: "Not for this client",
    404: "Not here",
    405: "Not served with this method",
    406: "No format or release that is wanted is written here",
    409: "Not possible in this state",
    410: "Deleted",
    412: "A condition is not met",
    413: "Too large",
    415: "Of a format or encoding that is not read here",
    422: "Understood, and breaks a rule; each element at fault is named",
    428: "The version that is to be changed is not named in If-Match",
    429: "Too many at a time",
    503: "Not at this moment; send it again after Retry-After",
}


@dataclass(frozen=True)
class Route:
    """One endpoint."""

    summary: str
    answer: str = ""
    """The resource type, with {kind} for that in the address; a MIME type if it is none; empty for no body."""
    statuses: tuple[int, ...] = (200,)
    """Beside those that every route of its kind has."""
    body: Body = ""
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    bare: tuple[int, ...] = ()
    """Successful statuses without a body."""
    told: tuple[int, ...] = ()
    """Successful statuses with an OperationOutcome."""
    is_fhir: bool = True
    is_open: bool = False
    """Whether it is answered without a token."""


_CONDITIONS = ("If-None-Match", "If-Modified-Since")
_SENT = (400, 409, 412, 413, 415, 422)
_CREATED = ("Prefer", "Idempotency-Key", "If-None-Exist")
_HISTORY = ("_count", "_since", "_at")
_SUMMARY = ("_summary", "_elements")
_EXPORT = ("_outputFormat", "_since", "_until", "_type", "_elements")

ROUTES: dict[str, Route] = {
    "fhir.metadata": Route(
        "The CapabilityStatement", "CapabilityStatement", (200, 400), query=("mode", *_SUMMARY), is_open=True
    ),
    "fhir.create_observation": Route(
        "Send an ECG", "Observation", (200, 201, 202, *_SENT), "ECG", headers=_CREATED, told=(202,)
    ),
    "fhir.update_observation": Route(
        "Correct what was sent around a waveform", "Observation", (200, 404, 410, *_SENT), "ECG",
        headers=("Prefer", "If-Match"),
    ),
    "fhir.delete_observation": Route(
        "Withdraw an ECG", "OperationOutcome", (200, 204, 400, 404, 409, 412), headers=("Prefer", "If-Match"),
        bare=(204,),
    ),
    "fhir.update_diagnostic_report": Route(
        "Confirm, edit or reject a report", "DiagnosticReport", (200, 403, 404, 428, *_SENT), "DiagnosticReport",
        headers=("Prefer", "If-Match"),
    ),
    "fhir.confirm_diagnostic_report": Route(
        "Confirm, edit or reject a report", "DiagnosticReport", (200, 403, 404, *_SENT), "Parameters",
        headers=("Prefer", "If-Match"),
    ),
    "fhir.read": Route("Read", "{kind}", (200, 304, 404, 410), headers=_CONDITIONS, bare=(304,)),
    "fhir.search": Route("Search", "Bundle", (200, 400), query=("search",), headers=("Prefer",)),
    "fhir.search_by_form": Route("Search by a form", "Bundle", (200, 400, 413, 415), "form", headers=("Prefer",)),
    "fhir.instance_history": Route("Its versions", "Bundle", (200, 400, 404), query=_HISTORY, headers=("Prefer",)),
    "fhir.type_history": Route("Versions of all", "Bundle", (200, 400), query=_HISTORY, headers=("Prefer",)),
    "fhir.system_history": Route("Versions of everything", "Bundle", (200, 400), query=_HISTORY, headers=("Prefer",)),
    "fhir.process_bundle": Route(
        "A batch or transaction", "Bundle", (200, 403, 404, 410, 428, *_SENT), "Requests",
        headers=("Prefer", "Idempotency-Key"),
    ),
    "fhir.poll": Route("How far the reading of an ECG is", "Bundle", (200, 202, 404), bare=(202,)),
    "fhir.cancel_reading": Route("Cancel the reading of an ECG", "", (202, 404, 409), told=(202,)),
    "fhir.classify_observation": Route(
        "Send an ECG and wait for its report", "DiagnosticReport", (200, 404, *_SENT), "ECG or Parameters",
        headers=("Idempotency-Key", "If-None-Exist"),
    ),
    "fhir.classify_stored": Route(
        "Wait for the report of a stored ECG", "DiagnosticReport", (200, 400, 404, 410, 413, 415)
    ),
    "fhir.validate_observation": Route(
        "Say what would become of an ECG", "OperationOutcome", (200, 400, 404, 410, 413, 415, 422), "ECG or Parameters",
        query=("mode", "profile"),
    ),
    "fhir.newest_observations": Route(
        "The newest Observations of each code", "Bundle", (200, 400, 413, 415, 422), "form or Parameters",
        query=("lastn",), headers=("Prefer",),
    ),
    "fhir.export_all": Route(
        "Export everything", "", (202, 400, 413, 415, 422, 429), "form or Parameters", query=_EXPORT,
        headers=("Prefer",), told=(202,),
    ),
    "fhir.export_reports": Route(
        "Export reports", "", (202, 400, 413, 415, 422, 429), "form or Parameters", query=_EXPORT,
        headers=("Prefer",), told=(202,),
    ),
    "fhir.export_status": Route("The files of an export", "application/json", (200, 202, 404), told=(202,)),
    "fhir.give_export_up": Route("Give an export up", "", (202, 404), told=(202,)),
    "fhir.export_file": Route("A file of an export", "application/fhir+ndjson", (200, 404)),
    "fhir.read_audit_event": Route("Read", "AuditEvent", (200, 304, 403, 404), headers=_CONDITIONS, bare=(304,)),
    "fhir.search_audit_events": Route("Search", "Bundle", (200, 400, 403), query=("search",), headers=("Prefer",)),
    "fhir.search_audit_events_by_form": Route(
        "Search by a form", "Bundle", (200, 400, 403, 413, 415), "form", headers=("Prefer",)
    ),
    "fhir.read_definition": Route("Read", "{kind}", (200, 400, 404), query=_SUMMARY),
    "fhir.search_definitions": Route("Search", "Bundle", (200, 400), query=("search",), headers=("Prefer",)),
    "fhir.search_definitions_by_form": Route(
        "Search by a form", "Bundle", (200, 400, 413, 415), "form", headers=("Prefer",)
    ),
    "health.livez": Route("Whether the process answers", "application/json", is_fhir=False, is_open=True),
    "health.readyz": Route(
        "Whether what is needed is there", "application/json", (200, 503), is_fhir=False, is_open=True
    ),
    "health.metrics": Route("What Prometheus gathers", "text/plain", is_fhir=False, is_open=True),
    "openapi.description": Route("This description", "application/json", is_fhir=False, is_open=True),
    "openapi.page": Route("A page to try this", "text/html", is_fhir=False, is_open=True),
    "openapi.page_part": Route("A part of that page", "*/*", (200, 404), is_fhir=False, is_open=True),
    "root": Route("To the CapabilityStatement", "text/html", (302,), is_fhir=False, is_open=True),
}  # fmt: skip
"""By the name of the endpoint."""

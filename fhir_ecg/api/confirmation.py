"""A person confirms, edits or rejects a report: by PUT of the report, or by `$confirm`."""

from flask import Response, g
from werkzeug.exceptions import MethodNotAllowed

from fhir_ecg.api.answers import base_url, with_version
from fhir_ecg.api.blueprint import application, blueprint
from fhir_ecg.api.interactions import as_preferred
from fhir_ecg.api.request_body import read_body, version_to_match
from fhir_ecg.api.resource_id import require_id
from fhir_ecg.service.change import NotStoredError
from fhir_ecg.service.confirm import confirm, update_report


@blueprint.put("/DiagnosticReport/<identity>")
def update_diagnostic_report(identity: str) -> Response:
    """Replace a report by one that a person has confirmed, edited or rejected."""
    require_id("DiagnosticReport", identity)
    if_match = version_to_match("DiagnosticReport")
    body, form = read_body()
    try:
        stored = update_report(application(), identity, body, form, g.caller, if_match)
    except NotStoredError as error:
        text = f"{error} This server alone creates reports: send an ECG with POST to Observation."
        raise MethodNotAllowed(["GET", "HEAD", "OPTIONS"], text) from error
    return with_version(as_preferred(stored.content, "The report is stored."), stored)


@blueprint.post("/DiagnosticReport/<identity>/$confirm")
def confirm_diagnostic_report(identity: str) -> Response:
    """Confirm, edit or reject a report."""
    require_id("DiagnosticReport", identity)
    body, form = read_body()
    stored = confirm(application(), identity, body, form, g.caller, version_to_match("DiagnosticReport"))
    response = with_version(as_preferred(stored.content, "The report is stored."), stored)
    response.headers["Content-Location"] = f"{base_url()}/{stored.versioned_reference}"
    return response

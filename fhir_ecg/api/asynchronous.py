"""The asynchronous pattern: a sender who does not wait polls an address. https://hl7.org/fhir/R4/async.html"""

from uuid import UUID

from flask import Response, g
from werkzeug.exceptions import NotFound

from fhir_ecg.api.answers import base_url, fhir_response, told
from fhir_ecg.api.blueprint import application, blueprint
from fhir_ecg.fhir.bundle import created_entry, response_bundle
from fhir_ecg.fhir.report import instant
from fhir_ecg.service.asynchronous import Progress, forget, progress

_RETRY_SECONDS = 1


def status_url(job_id: str) -> str:
    """Give the address at which the reading of an ECG is polled."""
    return f"{base_url()}/_async/{job_id}"


@blueprint.get("/_async/<uuid:job_id>")
def poll(job_id: UUID) -> Response:
    """Tell how far the reading of an ECG is; when it has ended, what came of it."""
    found = progress(application(), str(job_id), g.caller)
    if found is None:
        raise _unknown(job_id)
    if found.report is None:
        response = fhir_response(None, 202)
        response.headers["X-Progress"] = found.text
        response.headers["Retry-After"] = str(_RETRY_SECONDS)
        return response
    return fhir_response(response_bundle("batch", _entries(found)))


@blueprint.delete("/_async/<uuid:job_id>")
def cancel_reading(job_id: UUID) -> Response:
    """Cancel the reading of an ECG, or forget how it ended; the ECG and its report stay stored."""
    if not forget(application(), str(job_id), g.caller):
        raise _unknown(job_id)
    text = "The reading is cancelled, where it had not ended. The ECG and its report stay stored."
    return told(text, 202)


def _unknown(job_id: UUID) -> NotFound:
    return NotFound(f"No reading is polled at _async/{job_id}: it never was, or its sender has deleted it.")


def _entries(found: Progress) -> list[dict[str, object]]:
    """Give the answers to what was asked for: that the ECG was created, and the report of its reading."""
    sent, report = found.observation, found.report
    entries = []
    if sent is not None:
        entries.append(
            created_entry(f"{base_url()}/{sent.versioned_reference}", sent.version, instant(sent.last_updated))
        )
    if report is not None:
        response = {
            "status": "200 OK",
            "location": f"{base_url()}/{report.versioned_reference}",
            "etag": f'W/"{report.version}"',
            "lastModified": instant(report.last_updated),
        }
        address = f"{base_url()}/{report.reference}"
        entries.append({"fullUrl": address, "resource": report.content, "response": response})
    return entries

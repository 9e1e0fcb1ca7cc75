"""What becomes of a report whose ECG is amended or withdrawn."""

from datetime import datetime
from typing import Any, Literal

from fhir_ecg.fhir.report import instant, narrative

Reason = Literal["withdrawn", "entered-in-error", "cancelled-on-request"]

_REASONS: dict[Reason, str] = {
    "withdrawn": "The ECG was withdrawn by its sender.",
    "entered-in-error": "The sender says that the ECG was entered in error.",
    "cancelled-on-request": "The reading was cancelled at the sender's request.",
}
# What a report, and the Observation of probabilities, take over from the ECG.
_FROM_ECG = ("basedOn", "subject", "encounter", "effectiveDateTime", "effectivePeriod")


def withdrawn_report(report: dict[str, Any], reason: Reason, issued: datetime) -> dict[str, Any]:
    """End a report whose ECG is not to be relied on: cancelled where it was never read, else void.

    A void report keeps no finding, lest a client that looks at none but the codes act on them; its earlier versions
    do. https://hl7.org/fhir/R4/valueset-diagnostic-report-status.html
    """
    text = _REASONS[reason]
    if report["status"] == "registered":
        lines = ["No reading was made of this ECG.", f"{text} [{reason}]"]
        status = "cancelled"
    else:
        version = report["meta"]["versionId"]
        lines = ["THIS REPORT IS VOID.", f"{text} [{reason}]", f"What it said stands in its version {version}."]
        status = "entered-in-error"
    kept = {name: value for name, value in report.items() if name != "conclusionCode"}
    return kept | {
        "text": narrative(lines),
        "status": status,
        "issued": instant(issued),
        "conclusion": "\n".join(lines),
    }


def with_context_of(resource: dict[str, Any], registered: dict[str, Any]) -> dict[str, Any]:
    """Let a report, or its Observation of probabilities, be about what an amended ECG is about.

    Args:
        resource: The report, or the Observation of probabilities.
        registered: The report that the amended ECG would be registered with.
    """
    names = (*_FROM_ECG, "identifier") if resource["resourceType"] == "DiagnosticReport" else _FROM_ECG[1:]
    taken = {name: registered[name] for name in names if name in registered}
    kept = {name: value for name, value in resource.items() if name in taken or name not in names}
    return kept | taken

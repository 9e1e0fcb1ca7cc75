"""The Task that mirrors the reading of an ECG for a sender who does not wait. https://hl7.org/fhir/R4/task.html"""

from datetime import datetime
from typing import Any, Literal

from fhir_ecg.fhir.report import instant
from fhir_ecg.fhir.terminology import READING_SYSTEM

TaskStatus = Literal["requested", "in-progress", "completed", "failed", "cancelled"]
_ENDED = ("completed", "failed", "cancelled")


def requested_task(task_id: str, report: dict[str, Any], authored: datetime) -> dict[str, Any]:
    """Build the Task of an ECG that was accepted and not yet read; it has the id of the job."""
    task: dict[str, Any] = {
        "resourceType": "Task",
        "id": task_id,
        "status": "requested",
        "intent": "order",
        "code": {
            "coding": [{"system": READING_SYSTEM, "code": "read-ecg", "display": "Read an ECG by machine"}],
            "text": "Read an ECG by machine",
        },
        "focus": {"reference": report["result"][0]["reference"]},
    }
    if "subject" in report:
        task["for"] = report["subject"]
    if "encounter" in report:
        task["encounter"] = report["encounter"]
    return task | {
        "authoredOn": instant(authored),
        "lastModified": instant(authored),
        "output": [{"type": {"text": "report"}, "valueReference": {"reference": f"DiagnosticReport/{report['id']}"}}],
    }


def task_in_status(
    task: dict[str, Any], status: TaskStatus, moment: datetime, reason: str | None = None
) -> dict[str, Any]:
    """Let a Task be in another status."""
    period = dict(task.get("executionPeriod", {}))
    if status == "in-progress":
        period = {"start": instant(moment)}
    elif status in _ENDED:
        period["end"] = instant(moment)
    kept = {name: value for name, value in task.items() if name != "statusReason"}
    return kept | {
        "status": status,
        **({"statusReason": {"text": reason}} if reason else {}),
        "executionPeriod": period,
        "lastModified": instant(moment),
    }

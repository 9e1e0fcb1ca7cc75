"""Prediction to DiagnosticReport, in every state of its life.

https://hl7.org/fhir/R4/diagnosticreport.html
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from html import escape
from itertools import groupby
from typing import Any, Literal, TypedDict

from fhir_ecg.ecg.contradictions import RULES
from fhir_ecg.ecg.prediction import Prediction, StatementScore
from fhir_ecg.ecg.quality import QualityFinding
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.ecg.statements import STATEMENT_BY_CODE
from fhir_ecg.fhir.terminology import (
    AI_ASSERTED,
    AI_CONFIDENCE,
    EKG_STUDY,
    ELECTROCARDIAC,
    REPORT_PROFILE,
    statement_concept,
)

UNCONFIRMED = (
    "UNCONFIRMED MACHINE READING of a 12-lead ECG. It supports a clinician and replaces none: "
    "a physician must confirm it before it is acted on."
)
_ITEM = "- "
ReadStatus = Literal["partial", "preliminary"]
MILLIONTH = Decimal("0.000001")
"""As exactly as probabilities are told."""


class Writing(TypedDict):
    """How the resources of one reading are written."""

    issued: datetime
    snomed: bool


def instant(moment: datetime) -> str:
    """Write a moment as a FHIR instant in UTC, with milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def registered_report(
    observation: dict[str, Any], observation_id: str, report_id: str, members: Sequence[str] = ()
) -> dict[str, Any]:
    """Build the report of an ECG that was accepted and not yet read.

    Args:
        observation: The Observation that stands for the ECG.
        observation_id: Its id.
        report_id: The report's id.
        members: Ids of further Observations that hold leads of the ECG.
    """
    report: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "id": report_id,
        "meta": {"profile": [REPORT_PROFILE]},
        "identifier": _identifiers(observation, report_id),
        "status": "registered",
        "category": [ELECTROCARDIAC],
        "code": EKG_STUDY,
    }
    orders = [carried_over(order, observation) for order in observation.get("basedOn", []) if not _is_for_device(order)]
    if orders := [order for order in orders if order]:
        report["basedOn"] = orders
    report |= context(observation) | effective(observation)
    display = "part of the ECG as sent" if members else "12-lead ECG as sent"
    report["result"] = [{"reference": f"Observation/{i}", "display": display} for i in (observation_id, *members)]
    return report


def read_report(
    registered: dict[str, Any],
    prediction: Prediction,
    recording: Recording,
    scores_id: str,
    *,
    status: ReadStatus,
    issued: datetime,
    snomed: bool,
    warnings: Sequence[QualityFinding] = (),
) -> dict[str, Any]:
    """Build the report of an ECG that the model has read; `warnings` are about the signal."""
    conclusion = _conclusion(prediction, recording, warnings)
    report = registered | {
        "meta": {"profile": [REPORT_PROFILE], "security": [AI_ASSERTED]},
        "text": narrative(conclusion),
        "status": status,
        "issued": instant(issued),
        "result": [
            *registered["result"],
            {"reference": f"Observation/{scores_id}", "display": "Probability of each statement"},
        ],
        "conclusion": "\n".join(conclusion),
    }
    if prediction.findings:
        report["conclusionCode"] = [_finding(finding, snomed=snomed) for finding in prediction.findings]
    return report


def _finding(finding: StatementScore, *, snomed: bool) -> dict[str, Any]:
    """Code a finding, with how sure the model is of it."""
    confidence = {"url": AI_CONFIDENCE, "valueDecimal": Decimal(finding.probability).quantize(MILLIONTH)}
    return {"extension": [confidence]} | statement_concept(finding.code, snomed=snomed)


def cancelled_report(
    registered: dict[str, Any], reasons: Sequence[QualityFinding], *, issued: datetime
) -> dict[str, Any]:
    """Build the report of an ECG that could not be read, with every reason."""
    lines = ["No reading was made of this ECG.", *(f"{reason.text} [{reason.code}]" for reason in reasons)]
    return registered | {
        "text": narrative(lines),
        "status": "cancelled",
        "issued": instant(issued),
        "conclusion": "\n".join(lines),
    }


def context(observation: dict[str, Any]) -> dict[str, Any]:
    """Take over whom and what an Observation is about."""
    named = {n: carried_over(observation[n], observation) for n in ("subject", "encounter") if n in observation}
    return {name: reference for name, reference in named.items() if reference}


def carried_over(reference: dict[str, Any], observation: dict[str, Any]) -> dict[str, Any]:
    """Write an Observation's reference for use in another resource.

    There, `#id` would point to nothing: the type and identifier of the contained resource take its place, or of
    a reference without even those nothing is left.
    """
    target = reference.get("reference", "")
    if not target.startswith("#"):
        return reference
    contained = {f"#{resource.get('id')}": resource for resource in observation.get("contained", [])}.get(target, {})
    identifier = contained.get("identifier")
    first = identifier[0] if isinstance(identifier, list) else identifier
    logical = ({"type": contained["resourceType"]} if contained else {}) | ({"identifier": first} if first else {})
    return logical | {name: value for name, value in reference.items() if name != "reference"}


def effective(observation: dict[str, Any]) -> dict[str, Any]:
    """Take over an Observation's time as far as a DiagnosticReport can hold it (no Timing)."""
    if "effectiveInstant" in observation:
        return {"effectiveDateTime": observation["effectiveInstant"]}
    return {name: observation[name] for name in ("effectiveDateTime", "effectivePeriod") if name in observation}


def _identifiers(observation: dict[str, Any], report_id: str) -> list[dict[str, Any]]:
    """Give the report its own identifier, and the ECG's as secondary ones, by which an EHR knows the case."""
    own = {"use": "official", "system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{report_id}"}
    return [own, *({**identifier, "use": "secondary"} for identifier in observation.get("identifier", []))]


def _is_for_device(order: dict[str, Any]) -> bool:
    """Whether it is the one kind of order that an Observation may be based on, but no DiagnosticReport in R4."""
    return order.get("type") == "DeviceRequest" or "DeviceRequest/" in order.get("reference", "")


def _conclusion(prediction: Prediction, recording: Recording, warnings: Sequence[QualityFinding]) -> list[str]:
    model = prediction.model
    findings = [
        f"{_ITEM}{STATEMENT_BY_CODE[f.code].display} ({f.code}): probability {f.probability:.2f}"
        for f in prediction.findings
    ]
    lines = [
        UNCONFIRMED,
        "Findings:" if findings else "Findings: no statement reached its threshold.",
        *findings,
        *(
            f"Withheld: {STATEMENT_BY_CODE[s.code].display} ({s.code}), probability {s.probability:.2f}: "
            f"{RULES[s.rule].text} [{s.rule}]."
            for s in prediction.withheld
            if s.rule
        ),
        *(f"Signal: {warning.text} [{warning.code}]" for warning in warnings),
        f"Model: {model.name} {model.version}, weights SHA-256 {model.weights_sha256}.",
    ]
    if recording.unread:
        lines.append(f"Leads beyond the twelve were sent and not read: {', '.join(recording.unread)}.")
    if recording.derived:
        lines.append(f"Leads computed from the other limb leads: {', '.join(recording.derived)}.")
    if recording.parts > 1:
        lines.append(f"Each lead was sent in {recording.parts} parts, which were joined in their order.")
    if recording.repairs:
        lines.append(f"Repairs applied to what was sent: {', '.join(recording.repairs)}.")
    return lines


def narrative(lines: Sequence[str]) -> dict[str, str]:
    """Write lines as the text of a resource: the first in bold, as it says what the rest is worth; "- " is an item."""
    first, *rest = (escape(line) for line in lines)
    parts = [f"<p><b>{first}</b></p>"]
    for listed, group in groupby(rest, key=lambda line: line.startswith(_ITEM)):
        if listed:
            parts.append(f"<ul>{''.join(f'<li>{line.removeprefix(_ITEM)}</li>' for line in group)}</ul>")
        else:
            parts.extend(f"<p>{line}</p>" for line in group)
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{"".join(parts)}</div>'}

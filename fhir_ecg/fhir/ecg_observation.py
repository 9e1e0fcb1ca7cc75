"""Observations with SampledData to a Recording, and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fhir_ecg.ecg.leads import TWELVE_LEADS
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.fhir.assembly import assemble
from fhir_ecg.fhir.effective import duration_problems, order_problems, simultaneity_problems
from fhir_ecg.fhir.lead_coding import lead_code
from fhir_ecg.fhir.outcome import Problem, UnprocessableError
from fhir_ecg.fhir.repairs import NONE, Repair
from fhir_ecg.fhir.sampled_data import encode_sampled_data
from fhir_ecg.fhir.waveforms import Found, find_waveforms

STATUSES = (
    "registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown",
)  # fmt: skip
_UNREADABLE_STATUSES = {
    "registered": "has no result yet",
    "cancelled": "was cancelled",
    "entered-in-error": "is void",
}


@dataclass(frozen=True)
class Sent:
    """An Observation, and where it stands in what was sent."""

    resource: dict[str, Any]
    root: str = "Observation"
    """FHIRPath of the Observation."""


def read_joined(sent: Sequence[Sent], allowed: frozenset[Repair] = NONE) -> Recording:
    """Decode the twelve leads of one ECG out of one Observation or several, such as one for each lead.

    Raises:
        UnprocessableError: Together they hold no 12-lead ECG that can be read without guessing; each problem is named.
    """
    problems: list[Problem] = []
    found: list[Found] = []
    for each in sent:
        ignored = Repair.EFFECTIVE_PERIOD_IGNORED in allowed
        problems += _status_problems(each) + ([] if ignored else order_problems(each.resource, each.root))
        found.append(find_waveforms(each.resource, each.root, allowed))
    if not any(each.waveforms or each.named or each.problems for each in found):
        raise UnprocessableError(*problems, _no_waveform(sent[0].root))
    recording = assemble(found, sent[0].root)
    if isinstance(recording, Recording):
        contradictions = [p for each in sent for p in duration_problems(each.resource, each.root, recording)]
        of_leads = [(each.resource, each.root) for each, part in zip(sent, found, strict=True) if part.waveforms]
        problems += simultaneity_problems(of_leads, recording)
        recording, contradictions = _without_period(sent, recording, contradictions, allowed)
        problems += contradictions
        if not problems:
            return recording
    else:
        problems += recording
    raise UnprocessableError(*problems)


def _without_period(
    sent: Sequence[Sent], recording: Recording, contradictions: list[Problem], allowed: frozenset[Repair]
) -> tuple[Recording, list[Problem]]:
    """Apply the repair of a time that contradicts the samples or itself, where it is allowed and needed."""
    needed = contradictions or [p for each in sent for p in order_problems(each.resource, each.root)]
    if not needed or Repair.EFFECTIVE_PERIOD_IGNORED not in allowed:
        return recording, contradictions
    return recording.with_repair(Repair.EFFECTIVE_PERIOD_IGNORED), []


def ecg_observation(
    recording: Recording, resolution: float, *, effective: str | None = None, subject: str | None = None
) -> dict[str, Any]:
    """Write a Recording as an R4 Observation with a component for each lead.

    Args:
        recording: The ECG.
        resolution: The step of the stored integers, in mV.
        effective: The dateTime of the recording.
        subject: A reference such as `Patient/123`.
    """
    observation: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "procedure",
                        "display": "Procedure",
                    }
                ]
            }
        ],
        "code": {
            "coding": [{"system": "http://loinc.org", "code": "11524-6", "display": "EKG study"}],
            "text": "12-lead ECG",
        },
    }
    if subject:
        observation["subject"] = {"reference": subject}
    if effective:
        observation["effectiveDateTime"] = effective
    observation["component"] = [
        {
            "code": lead_code(lead),
            "valueSampledData": encode_sampled_data(samples, recording.sampling_rate, resolution),
        }
        for lead, samples in zip(TWELVE_LEADS, recording.leads, strict=True)
    ]
    return observation


def _status_problems(sent: Sent) -> list[Problem]:
    status = sent.resource.get("status")
    if status not in STATUSES:
        text = f"The status {str(status)[:40]!r} is none of {', '.join(STATUSES)}."
        return [Problem("required" if status is None else "code-invalid", text, f"{sent.root}.status")]
    if status in _UNREADABLE_STATUSES:
        text = f"The Observation's status is {status}: it {_UNREADABLE_STATUSES[status]}. Send it when it is final."
        return [Problem("business-rule", text, f"{sent.root}.status")]
    return []


def _no_waveform(root: str) -> Problem:
    text = "No component holds a SampledData. Send each lead as a component with valueSampledData."
    if root.startswith("Bundle."):
        text += " What is no ECG, such as a heart rate, is taken only where hasMember or derivedFrom links it to one."
    return Problem("required", text, f"{root}.component")

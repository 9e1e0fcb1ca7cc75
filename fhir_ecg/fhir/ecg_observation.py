"""Observation with SampledData to Recording, and back."""

from typing import Any

import numpy as np

from fhir_ecg.ecg.leads import TWELVE_LEADS, Lead, complete_leads, missing_leads
from fhir_ecg.ecg.recording import MAXIMUM_RATE_HZ, MINIMUM_RATE_HZ, Recording
from fhir_ecg.fhir.dates import date_range
from fhir_ecg.fhir.lead_coding import identify_lead, lead_code
from fhir_ecg.fhir.outcome import Problem, UnprocessableError
from fhir_ecg.fhir.sampled_data import (
    SampledDataError,
    Samples,
    decode_sampled_data,
    encode_sampled_data,
)

STATUSES = (
    "registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown",
)  # fmt: skip
_UNREADABLE_STATUSES = {
    "registered": "has no result yet",
    "cancelled": "was cancelled",
    "entered-in-error": "is void",
}


def read_recording(observation: dict[str, Any]) -> Recording:
    """Decode the twelve leads of an Observation whose structure was checked.

    Raises:
        UnprocessableError: It holds no 12-lead ECG that can be read without guessing; every problem is named.
    """
    problems = _status_problems(observation) + _period_problems(observation)
    components = [
        (index, component)
        for index, component in enumerate(observation.get("component") or [])
        if "valueSampledData" in component
    ]
    if not components:
        problems.append(_no_waveform(observation))
        raise UnprocessableError(*problems)
    place: dict[Lead, int] = {}
    leads: dict[Lead, Samples] = {}
    for index, component in components:
        where = f"Observation.component[{index}]"
        if (lead := _read_lead(component, where, problems)) is None:
            continue
        if lead in place:
            text = f"Lead {lead} stands twice: in component {place[lead]} and in component {index}."
            problems.append(Problem("duplicate", text, where))
            continue
        place[lead] = index
        if (samples := _read_samples(component, where, problems)) is not None:
            leads[lead] = samples
    problems += _missing_lead_problems(set(place)) + _shape_problems(place, leads)
    if problems:
        raise UnprocessableError(*problems)
    twelve, derived = complete_leads({lead: samples.millivolts for lead, samples in leads.items()})
    rate = next(iter(leads.values())).sampling_rate
    return Recording(twelve, rate, derived)


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


def _status_problems(observation: dict[str, Any]) -> list[Problem]:
    status = observation.get("status")
    if status not in STATUSES:
        text = f"The status {str(status)[:40]!r} is none of {', '.join(STATUSES)}."
        return [Problem("required" if status is None else "code-invalid", text, "Observation.status")]
    if status in _UNREADABLE_STATUSES:
        text = f"The Observation's status is {status}: it {_UNREADABLE_STATUSES[status]}. Send it when it is final."
        return [Problem("business-rule", text, "Observation.status")]
    return []


def _period_problems(observation: dict[str, Any]) -> list[Problem]:
    period = observation.get("effectivePeriod", {})
    if "start" not in period or "end" not in period or date_range(period["start"])[0] < date_range(period["end"])[1]:
        return []
    text = f"The time of the ECG ends ({period['end']}) before it starts ({period['start']})."
    return [Problem("invariant", text, "Observation.effective.ofType(Period)")]


def _no_waveform(observation: dict[str, Any]) -> Problem:
    if "valueSampledData" in observation:
        text = "A single SampledData stands in value[x]; a 12-lead ECG needs a component for each lead."
        return Problem("business-rule", text, "Observation.value.ofType(SampledData)")
    text = "No component holds a SampledData. Send each lead as a component with valueSampledData."
    return Problem("required", text, "Observation.component")


def _read_lead(component: dict[str, Any], where: str, problems: list[Problem]) -> Lead | None:
    found = identify_lead(component.get("code") or {})
    if isinstance(found, Problem):
        problems.append(Problem(found.code, found.diagnostics, f"{where}.{found.expression}"))
        return None
    return found


def _read_samples(component: dict[str, Any], where: str, problems: list[Problem]) -> Samples | None:
    value = f"{where}.value.ofType(SampledData)"
    try:
        samples = decode_sampled_data(component["valueSampledData"])
    except SampledDataError as error:
        problems += [Problem(p.code, p.diagnostics, f"{value}.{p.expression}") for p in error.problems]
        return None
    if not MINIMUM_RATE_HZ <= samples.sampling_rate <= MAXIMUM_RATE_HZ:
        text = (
            f"The period means {samples.sampling_rate:.6g} samples a second; an ECG has {MINIMUM_RATE_HZ:g} to "
            f"{MAXIMUM_RATE_HZ:g}. period is the time between two samples in milliseconds."
        )
        problems.append(Problem("value", text, f"{value}.period"))
        return None
    return samples


def _missing_lead_problems(sent: set[Lead]) -> list[Problem]:
    if not (missing := missing_leads(sent)):
        return []
    named = ", ".join(lead for lead in TWELVE_LEADS if lead in sent) or "none"
    text = (
        f"Leads {', '.join(missing)} are missing (sent: {named}). Send all twelve, or at least two limb leads and "
        "V1 to V6."
    )
    return [Problem("required", text, "Observation.component")]


def _shape_problems(place: dict[Lead, int], leads: dict[Lead, Samples]) -> list[Problem]:
    problems: list[Problem] = []
    first_lead, first = next(iter(leads.items()), (None, None))
    if first is None:
        return problems
    for lead, samples in leads.items():
        value = f"Observation.component[{place[lead]}].value.ofType(SampledData)"
        if not np.isclose(samples.sampling_rate, first.sampling_rate, rtol=1e-9):
            text = f"Lead {lead} has {samples.sampling_rate:g} Hz, lead {first_lead} {first.sampling_rate:g} Hz."
            problems.append(Problem("value", text, f"{value}.period"))
        if len(samples.millivolts) != len(first.millivolts):
            text = f"Lead {lead} has {len(samples.millivolts)} samples, lead {first_lead} {len(first.millivolts)}."
            problems.append(Problem("value", text, f"{value}.data"))
    return problems

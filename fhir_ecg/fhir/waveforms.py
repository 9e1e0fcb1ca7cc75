"""Where the samples of each lead stand in an Observation, and what they are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.ecg.leads import Lead
from fhir_ecg.ecg.recording import MAXIMUM_RATE_HZ, MINIMUM_RATE_HZ
from fhir_ecg.fhir.lead_coding import AnyLead, identify_lead, leads_in_order
from fhir_ecg.fhir.outcome import Problem
from fhir_ecg.fhir.repairs import Repair
from fhir_ecg.fhir.sampled_data import DecodedSamples, SampledDataError, decode_dimensions

_INDEX = re.compile(r"component\[(\d+)\]$")


@dataclass(frozen=True, eq=False)
class Waveform:
    """The samples of one lead: a SampledData, or one dimension of it."""

    lead: Lead
    millivolts: NDArray[np.float64]
    """(samples,), nan for gaps."""
    sampling_rate: float
    element: str
    """FHIRPath of what holds the SampledData: a component, or the Observation."""
    value: str
    """FHIRPath of the SampledData."""
    spacing: str
    """Which element of the SampledData says the rate: `period`, `interval` or `offsets`."""
    repairs: tuple[Repair, ...]
    code: dict[str, Any]
    """The code of what holds the SampledData."""

    @property
    def name(self) -> str:
        """The element as people call it."""
        index = _INDEX.search(self.element)
        return f"component {index[1]}" if index else self.element


@dataclass
class Found:
    """The waveforms of an Observation, and what is wrong with the others."""

    waveforms: list[Waveform]
    named: set[AnyLead]
    """Leads that were sent, readable or not, those beyond the twelve among them."""
    problems: list[Problem]


def find_waveforms(observation: dict[str, Any], root: str, allowed: frozenset[Repair]) -> Found:
    """Decode every SampledData of an Observation.

    Args:
        observation: Its structure was checked.
        root: FHIRPath of the Observation.
        allowed: Repairs that the operator allows.
    """
    found = Found([], set(), [])
    for element, code, sampled in _sampled_data(observation, root):
        leads = _leads(observation, element, root, code, sampled, found.problems)
        found.named.update(leads)
        value = f"{element}.value.ofType(SampledData)"
        decoded = _decode(sampled, max(len(leads), 1), value, allowed, found.problems)
        if decoded is None:
            continue
        spacing = next((name for name in ("period", "interval", "offsets") if name in sampled), "period")
        found.waveforms += [
            Waveform(lead, millivolts, decoded.sampling_rate, element, value, spacing, decoded.repairs, code)
            for lead, millivolts in zip(leads, decoded.millivolts, strict=False)
            if isinstance(lead, Lead)
        ]
    return found


def _sampled_data(observation: dict[str, Any], root: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    if "valueSampledData" in observation:
        yield root, observation.get("code") or {}, observation["valueSampledData"]
    for index, component in enumerate(observation.get("component") or []):
        if "valueSampledData" in component:
            yield f"{root}.component[{index}]", component.get("code") or {}, component["valueSampledData"]


def _leads(
    observation: dict[str, Any],
    element: str,
    root: str,
    code: dict[str, Any],
    sampled: dict[str, Any],
    problems: list[Problem],
) -> tuple[AnyLead, ...]:
    dimensions = sampled.get("dimensions")
    if isinstance(dimensions, int) and dimensions > 1:
        concepts = [code, observation.get("method") or {}, observation.get("bodySite") or {}]
        declared = leads_in_order(concepts if element == root else [code])
        if len(declared) == dimensions:
            return declared
        text = (
            f"The SampledData has {dimensions} dimensions, but the text of its code declares "
            f"{len(declared) or 'no'} leads in order. Send each lead as a component, or name them: I, II, III, ... "
            "(an inverted one, such as -aVR, is none of them)."
        )
        problems.append(Problem("value", text, f"{element}.value.ofType(SampledData).dimensions"))
        return declared
    lead = identify_lead(code)
    if isinstance(lead, Problem) and element == root and lead.code == "code-invalid":
        text = "A single SampledData stands in value[x], and no code names its lead. Send a component for each lead."
        problems.append(Problem("business-rule", text, f"{root}.value.ofType(SampledData)"))
        return ()
    if isinstance(lead, Problem):
        problems.append(Problem(lead.code, lead.diagnostics, f"{element}.{lead.expression}"))
        return ()
    return (lead,)


def _decode(
    sampled: dict[str, Any], dimensions: int, value: str, allowed: frozenset[Repair], problems: list[Problem]
) -> DecodedSamples | None:
    try:
        decoded = decode_dimensions(sampled, dimensions, allowed)
    except SampledDataError as error:
        problems += [Problem(p.code, p.diagnostics, f"{value}.{p.expression}") for p in error.problems]
        return None
    if MINIMUM_RATE_HZ <= decoded.sampling_rate <= MAXIMUM_RATE_HZ:
        return decoded
    spacing = "interval" if "interval" in sampled else "offsets" if "offsets" in sampled else "period"
    text = (
        f"The {spacing} means {decoded.sampling_rate:.6g} samples a second; an ECG has {MINIMUM_RATE_HZ:g} to "
        f"{MAXIMUM_RATE_HZ:g}."
    )
    if spacing == "period":
        text += " period is the time between two samples in milliseconds."
    problems.append(Problem("value", text + decoded.offer, f"{value}.{spacing}"))
    return None

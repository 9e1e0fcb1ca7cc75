"""Where the samples of each lead stand in an Observation, and what they are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.ecg.leads import CHEST_LEADS, ExtraLead, Lead
from fhir_ecg.ecg.recording import MAXIMUM_RATE_HZ, MINIMUM_RATE_HZ
from fhir_ecg.fhir.lead_coding import AnyLead, identify_lead
from fhir_ecg.fhir.lead_names import says_right_sided, texts_of
from fhir_ecg.fhir.lead_order import DIMENSIONS, leads_in_order, several_leads
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
    untold: bool = False
    """Whether leads were sent interlaced, and nobody can tell which."""


def find_waveforms(observation: dict[str, Any], root: str, allowed: frozenset[Repair]) -> Found:
    """Decode every SampledData of an Observation.

    Args:
        observation: Its structure was checked.
        root: FHIRPath of the Observation.
        allowed: Repairs that the operator allows.
    """
    found = Found([], set(), [])
    for element, concepts, sampled in _sampled_data(observation, root):
        interlaced = _is_interlaced(concepts, sampled)
        leads = _leads(concepts, sampled, interlaced, at_root=element == root)
        if isinstance(leads, Problem):
            found.problems.append(Problem(leads.code, leads.diagnostics, f"{element}.{leads.expression}"))
            found.untold |= interlaced
            if interlaced:
                continue
            leads = ()
        found.named.update(leads)
        value = f"{element}.value.ofType(SampledData)"
        decoded = _decode(sampled, max(len(leads), 1), value, allowed, found.problems)
        if decoded is None:
            continue
        spacing = next((name for name in ("period", "interval", "offsets") if name in sampled), "period")
        found.waveforms += [
            Waveform(lead, millivolts, decoded.sampling_rate, element, value, spacing, decoded.repairs, concepts[0])
            for lead, millivolts in zip(leads, decoded.millivolts, strict=False)
            if isinstance(lead, Lead)
        ]
    found.problems += _right_side_problems(observation, root, found.named)
    return found


def _sampled_data(observation: dict[str, Any], root: str) -> Iterator[tuple[str, list[dict[str, Any]], dict[str, Any]]]:
    """Yield each SampledData with what holds it, and with the concepts that may say of which leads it is."""
    if "valueSampledData" in observation:
        concepts = [observation.get(name) or {} for name in ("code", "method", "bodySite")]
        yield root, concepts, observation["valueSampledData"]
    for index, component in enumerate(observation.get("component") or []):
        if "valueSampledData" in component:
            yield f"{root}.component[{index}]", [component.get("code") or {}], component["valueSampledData"]


def _is_interlaced(concepts: list[dict[str, Any]], sampled: dict[str, Any]) -> bool:
    """Tell whether a SampledData holds several leads, as its dimensions say, or texts alone where no code names one."""
    dimensions = sampled.get("dimensions")
    if dimensions == 1:
        unknown = isinstance(lead := identify_lead(concepts[0]), Problem) and lead.code == "code-invalid"
        return unknown and bool(several_leads(concepts))
    return isinstance(dimensions, int) and dimensions > 1


def _leads(
    concepts: list[dict[str, Any]], sampled: dict[str, Any], interlaced: bool, at_root: bool
) -> tuple[AnyLead, ...] | Problem:
    """Tell the leads of a SampledData; a problem's expression is relative to what holds it."""
    if interlaced and sampled["dimensions"] > 1:
        return leads_in_order(concepts, sampled["dimensions"])
    if interlaced:
        leads = several_leads(concepts)
        text = (
            f"The text lists {len(leads)} leads ({', '.join(leads)}), but dimensions is 1. dimensions is the number "
            "of leads whose points alternate in data; where it is one lead, the text is its name alone."
        )
        return Problem("value", text, DIMENSIONS)
    lead = identify_lead(concepts[0])
    if isinstance(lead, Problem) and at_root and lead.code == "code-invalid":
        text = "A single SampledData stands in value[x], and no code names its lead. Send a component for each lead."
        return Problem("business-rule", text, "value.ofType(SampledData)")
    return lead if isinstance(lead, Problem) else (lead,)


def _right_side_problems(observation: dict[str, Any], root: str, named: set[AnyLead]) -> list[Problem]:
    """Refuse plain chest leads of an ECG that is called one of the right side, where V3 is V3R."""
    if named and (not named & set(CHEST_LEADS[1:]) or any(isinstance(lead, ExtraLead) for lead in named)):
        return []  # V1 is right of the sternum; and where leads of the right side are sent too, it speaks of these
    elements = ("bodySite",) if "valueSampledData" in observation else ("code", "bodySite")
    text = "{!r} means leads of the right side, but they are sent as V1 to V6. Code them as such: V3R, V4R, ..."
    return [
        Problem("value", text.format(said[:80]), f"{root}.{element}")
        for element in elements
        for said in texts_of(observation.get(element) or {})
        if says_right_sided(said)
    ]


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

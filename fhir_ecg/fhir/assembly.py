"""From the waveforms of single leads to one Recording of twelve."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from fhir_ecg.ecg.leads import TWELVE_LEADS, ExtraLead, Lead, complete_leads, missing_leads
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.fhir.lead_coding import AnyLead
from fhir_ecg.fhir.outcome import Problem
from fhir_ecg.fhir.waveforms import Found, Waveform


def assemble(found: Sequence[Found], root: str) -> Recording | list[Problem]:
    """Join the waveforms of an ECG, deriving the limb leads that were not sent.

    A lead that stands several times was sent in consecutive parts, if every lead was, and alike, in one Observation.

    Args:
        found: The waveforms of each Observation.
        root: FHIRPath of the first of these.

    Returns:
        The Recording, or every problem that forbids one.
    """
    parts: dict[Lead, list[Waveform]] = {}
    for waveform in (waveform for each in found for waveform in each.waveforms):
        parts.setdefault(waveform.lead, []).append(waveform)
    named = {lead for each in found for lead in each.named}
    problems = [problem for each in found for problem in each.problems]
    problems += _sent_by_two(found) or _repeated_leads(parts)
    problems += [] if any(each.untold for each in found) else _missing_leads(named, root)
    problems += _unequal_leads(parts)
    if problems:
        return problems
    joined = {lead: np.concatenate([part.millivolts for part in waveforms]) for lead, waveforms in parts.items()}
    twelve, derived = complete_leads(joined)
    repairs = tuple(sorted({repair for each in parts.values() for waveform in each for repair in waveform.repairs}))
    first = next(iter(parts.values()))
    unread = tuple(lead for lead in ExtraLead if lead in named)
    return Recording(twelve, first[0].sampling_rate, derived, repairs, len(first), unread)


def _sent_by_two(found: Sequence[Found]) -> list[Problem]:
    """Refuse a lead that two Observations have: they are of two ECGs, or nobody knows which one comes first."""
    problems = []
    first: dict[Lead, Waveform] = {}
    for each in found:
        for waveform in each.waveforms:
            other = first.setdefault(waveform.lead, waveform)
            if other not in each.waveforms:
                text = (
                    f"Lead {waveform.lead} stands in two Observations of one ECG: in {other.name} and in "
                    f"{waveform.name}. Send two ECGs with times of their own, or all parts in one Observation."
                )
                problems.append(Problem("duplicate", text, waveform.element))
    return problems


def _repeated_leads(parts: dict[Lead, list[Waveform]]) -> list[Problem]:
    """Refuse a lead that stands several times, unless all do, as consecutive parts do."""
    if len({len(waveforms) for waveforms in parts.values()}) <= 1 and all(map(_are_parts, parts.values())):
        return []
    return [
        Problem(
            "duplicate",
            f"Lead {lead} stands twice: in {waveforms[0].name} and in {extra.name}. "
            "Parts that follow each other are joined where every lead has as many, under one and the same code, "
            "equally long but for a shorter last one of three or more, and all different.",
            extra.element,
        )
        for lead, waveforms in parts.items()
        for extra in waveforms[1:]
    ]


def _are_parts(waveforms: list[Waveform]) -> bool:
    """Tell whether these can be parts of one lead, and no median beats, copies or other kinds of it."""
    *full, last = (len(waveform.millivolts) for waveform in waveforms)
    alike = all(waveform.code == waveforms[0].code for waveform in waveforms)
    even = len(set(full)) <= 1 and (not full or last == full[0] or (len(full) > 1 and last < full[0]))
    pairs = combinations(waveforms, 2)
    return alike and even and not any(np.array_equal(a.millivolts, b.millivolts, equal_nan=True) for a, b in pairs)


def _missing_leads(named: set[AnyLead], root: str) -> list[Problem]:
    sent = {lead for lead in named if isinstance(lead, Lead)}
    if not (missing := missing_leads(sent)):
        return []
    listed = ", ".join(lead for lead in TWELVE_LEADS if lead in sent) or "none"
    text = (
        f"Leads {', '.join(missing)} are missing (sent: {listed}). Send all twelve, or at least two limb leads and "
        "V1 to V6."
    )
    return [Problem("required", text, f"{root}.component")]


def _unequal_leads(parts: dict[Lead, list[Waveform]]) -> list[Problem]:
    """Compare the rate and the length of each lead, part by part, with the first lead's."""
    problems: list[Problem] = []
    if not parts:
        return problems
    first = next(iter(parts.values()))
    for waveforms in parts.values():
        for waveform, model in zip(waveforms, first, strict=False):
            if not np.isclose(waveform.sampling_rate, first[0].sampling_rate, rtol=1e-9):
                text = (
                    f"Lead {waveform.lead} has {waveform.sampling_rate:g} Hz, lead {model.lead} "
                    f"{first[0].sampling_rate:g} Hz."
                )
                problems.append(Problem("value", text, f"{waveform.value}.{waveform.spacing}"))
            if len(waveform.millivolts) != len(model.millivolts):
                text = (
                    f"Lead {waveform.lead} has {len(waveform.millivolts)} samples, lead {model.lead} "
                    f"{len(model.millivolts)}."
                )
                problems.append(Problem("value", text, f"{waveform.value}.data"))
    return problems

"""From the waveforms of single leads to one Recording of twelve."""

from itertools import combinations

import numpy as np

from fhir_ecg.ecg.leads import TWELVE_LEADS, ExtraLead, Lead, complete_leads, missing_leads
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.fhir.outcome import Problem
from fhir_ecg.fhir.waveforms import Found, Waveform


def assemble(found: Found, root: str) -> Recording | list[Problem]:
    """Join the waveforms of an ECG, deriving the limb leads that were not sent.

    A lead that stands several times was sent in consecutive parts, if every lead was, and alike.

    Returns:
        The Recording, or every problem that forbids one.
    """
    parts: dict[Lead, list[Waveform]] = {}
    for waveform in found.waveforms:
        parts.setdefault(waveform.lead, []).append(waveform)
    problems = found.problems + _repeated_leads(parts) + _missing_leads(found, root)
    problems += _unequal_leads(parts)
    if problems:
        return problems
    joined = {lead: np.concatenate([part.millivolts for part in waveforms]) for lead, waveforms in parts.items()}
    twelve, derived = complete_leads(joined)
    repairs = tuple(sorted({repair for waveform in found.waveforms for repair in waveform.repairs}))
    first = found.waveforms[0]
    unread = tuple(lead for lead in ExtraLead if lead in found.named)
    return Recording(twelve, first.sampling_rate, derived, repairs, len(parts[first.lead]), unread)


def _repeated_leads(parts: dict[Lead, list[Waveform]]) -> list[Problem]:
    """Refuse a lead that stands several times, unless all do, equally often and never with the same samples."""
    if len({len(waveforms) for waveforms in parts.values()}) <= 1 and not any(map(_repeats_itself, parts.values())):
        return []
    return [
        Problem(
            "duplicate",
            f"Lead {lead} stands twice: in {waveforms[0].name} and in {extra.name}. "
            "Parts that follow each other are joined where every lead has as many, all different.",
            extra.element,
        )
        for lead, waveforms in parts.items()
        for extra in waveforms[1:]
    ]


def _repeats_itself(waveforms: list[Waveform]) -> bool:
    pairs = combinations(waveforms, 2)
    return any(np.array_equal(one.millivolts, other.millivolts, equal_nan=True) for one, other in pairs)


def _missing_leads(found: Found, root: str) -> list[Problem]:
    sent = {lead for lead in found.named if isinstance(lead, Lead)}
    if not (missing := missing_leads(sent)):
        return []
    named = ", ".join(lead for lead in TWELVE_LEADS if lead in sent) or "none"
    text = (
        f"Leads {', '.join(missing)} are missing (sent: {named}). Send all twelve, or at least two limb leads and "
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

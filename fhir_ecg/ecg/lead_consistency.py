"""Whether the limb leads that were sent obey Einthoven and Goldberger, and amplitudes are a heart's.

Six limb leads come from three electrodes, so any two give the rest and four are a check on what was sent: a
mislabelled, inverted or wrongly scaled lead breaks it. Electrodes that were exchanged on the patient do not:
every identity holds between leads from wrong places.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fhir_ecg.ecg.leads import CHEST_LEADS, LIMB_LEADS, TWELVE_LEADS, Lead, complete_leads
from fhir_ecg.ecg.recording import Recording

Matrix = NDArray[np.float64]

# The step of most electrocardiographs, where the sender does not state a finer or coarser one.
DEFAULT_RESOLUTION_MV = 0.005

# Root mean square misfit of the limb leads over their root mean square. Rounding to 10 microvolts reaches
# 0.04, one lead with a high-pass of its own (0.5 Hz against none) 0.20: docs/signal-quality.md.
TOLERATED_MISFIT = 0.20
# Below that, misfit is still a fault where one cause explains it.
SUSPECT_MISFIT = 0.02
_EXPLAINED_SHARE = 0.25
# Gains within this factor are a matter of calibration, and filters can look like them.
_TOLERATED_GAIN = 1.25
_SMOOTHED_SECONDS = 0.04
_DETRENDED_SECONDS = 1.0
# Explanations are told apart where one leaves this many times less misfit than the next.
_CLEARLY_BETTER = 3.0
# Correlation from which a lead is a multiple of what it should be.
_SAME_SHAPE = 0.9

# No heart reaches these; the largest of 19,601 PTB-XL records, artefacts included, are 20.9 and 9.2 mV.
LARGEST_SPAN_MV = 50.0
LARGEST_MEDIAN_SPAN_MV = 12.0
# The smallest of them shows 0.74 mV in its largest lead.
SMALLEST_SPAN_MV = 0.2
# How many times too large the values are where a unit was mistaken, and how.
_MISTAKEN_UNITS = (
    (1e3, "uV were sent as mV, or a factor is missing"),
    (1e6, "nV were sent as mV, or uV as V"),
    (1e-3, "V were sent as mV, or mV as uV"),
    (1e-6, "V were sent as uV, or mV as nV"),
)

# Columns: how much of I and of II each limb lead has; the unit vectors make `complete_leads` say so.
_UNIT_VECTORS = {Lead.I: np.array([1.0, 0.0]), Lead.II: np.array([0.0, 1.0])}
_OF_I_AND_II = complete_leads(_UNIT_VECTORS | dict.fromkeys(CHEST_LEADS, np.zeros(2)))[0][: len(LIMB_LEADS)]


@dataclass(frozen=True)
class IdentityViolation:
    """An identity that the limb leads break.

    Attributes:
        lead: The lead on its left side; which lead is at fault, `LimbLeadInconsistency.causes` says.
        identity: Such as `III = II - I`.
        residual_mv: Root mean square difference of its sides, in mV, without offset and baseline.
        relative: The same as a fraction of the root mean square of the limb leads that were sent.
    """

    lead: Lead
    identity: str
    residual_mv: float
    relative: float


@dataclass(frozen=True)
class LimbLeadFault:
    """A single cause that would explain every violation.

    Attributes:
        kind: Two leads stand in each other's place; a lead is upside down; a lead is `factor` times what it
            should be; or it disagrees with the others in no way known here.
        leads: Two where swapped, else one.
        factor: Of `gain`; negative where the lead is upside down as well.
    """

    kind: Literal["swapped", "inverted", "gain", "disagrees"]
    leads: tuple[Lead, ...]
    factor: float = 1.0

    def __str__(self) -> str:
        lead = self.leads[0]
        if self.kind == "swapped":
            return f"leads {lead} and {self.leads[1]} are swapped"
        if self.kind == "inverted":
            return f"lead {lead} is inverted" + (" (-aVR was sent as aVR)" if lead is Lead.AVR else "")
        if self.kind == "gain":
            return f"lead {lead} has {_number(self.factor)} times its amplitude{_unit_hint(abs(self.factor))}"
        return f"lead {lead} does not belong to the others"


@dataclass(frozen=True)
class LimbLeadInconsistency:
    """Limb leads that cannot all be what they are called.

    Attributes:
        violations: At least one.
        causes: Each explains all of them alone. Several where what was sent cannot tell them apart; none
            where more than one lead is at fault.
    """

    violations: tuple[IdentityViolation, ...]
    causes: tuple[LimbLeadFault, ...]

    @property
    def text(self) -> str:
        """The same for people, with what to do next."""
        broken = ", ".join(f"{v.identity} (by {v.residual_mv:.3f} mV, {v.relative:.0%})" for v in self.violations)
        if not self.causes:
            found = "No single swap, inversion or gain explains it."
        elif len(self.causes) == 1:
            found = f"Everything fits if {self.causes[0]}."
        else:
            found = f"Any one of these explains it: {'; '.join(map(str, self.causes))}."
        return (
            f"The limb leads contradict each other: {broken}. {found} "
            "Check the lead codes and the scale of each lead at the sender and send again."
        )


def limb_lead_inconsistency(
    recording: Recording, resolution_mv: float = DEFAULT_RESOLUTION_MV
) -> LimbLeadInconsistency | None:
    """Compare the limb leads that were sent with each other.

    Offsets, baseline, rounding and small differences in filtering are tolerated.

    Args:
        recording: Leads in `derived` fit by construction and are left out; samples in a gap too.
        resolution_mv: The coarsest step between values of a limb lead, in mV.

    Returns:
        What is broken and why, or None where nothing is, or where fewer than three were sent.
    """
    sent = tuple(lead for lead in LIMB_LEADS if lead not in recording.derived)
    if len(sent) < 3:  # two leads break no identity
        return None
    return _judged(_products(recording, sent), sent, resolution_mv)


def _judged(products: Matrix, sent: tuple[Lead, ...], resolution_mv: float) -> LimbLeadInconsistency | None:
    misfit, size = _misfit(products, sent), _size(products)
    if misfit <= max(SUSPECT_MISFIT * size, resolution_mv / 2):
        return None
    causes = _causes(products, sent, resolution_mv)
    if misfit <= TOLERATED_MISFIT * size and all(cause.kind == "disagrees" for cause in causes):
        return None
    return LimbLeadInconsistency(_violations(products, sent), causes)


def _products(recording: Recording, sent: tuple[Lead, ...]) -> Matrix:
    """Mean products in mV squared between leads without offset, baseline and what filters differ in."""
    leads = recording.leads[[TWELVE_LEADS.index(lead) for lead in sent]]
    leads = leads[:, np.isfinite(leads).all(axis=0)]
    if leads.shape[1] == 0:
        return np.zeros((len(sent), len(sent)))
    smoothed = _moving_mean(leads, _SMOOTHED_SECONDS * recording.sampling_rate)
    band = smoothed - _moving_mean(smoothed, _DETRENDED_SECONDS * recording.sampling_rate)
    products: Matrix = band @ band.T / band.shape[1]
    return products


def _moving_mean(leads: Matrix, width: float) -> Matrix:
    mean: Matrix = ndimage.uniform_filter1d(leads, max(1, round(width)), axis=-1, mode="nearest")
    return mean


@cache
def _projection(sent: tuple[Lead, ...]) -> Matrix:
    """What of leads in this order is not the image of any I and II."""
    weights = _OF_I_AND_II[[LIMB_LEADS.index(lead) for lead in sent]]
    projection: Matrix = np.eye(len(sent)) - weights @ np.linalg.pinv(weights)
    return projection


def _misfit(products: Matrix, sent: tuple[Lead, ...]) -> float:
    """Root mean square misfit in mV for each lead beyond the two that are free."""
    return float(np.sqrt(max(np.trace(_projection(sent) @ products), 0.0) / (len(sent) - 2)))


def _size(products: Matrix) -> float:
    return float(np.sqrt(np.trace(products) / len(products)))


def _causes(products: Matrix, sent: tuple[Lead, ...], resolution_mv: float) -> tuple[LimbLeadFault, ...]:
    """Find the single faults without which the leads agree, the best ones where they differ clearly."""
    before = _misfit(products, sent)
    left = []
    for fault, corrected in _corrections(products, sent):
        after = _misfit(corrected, sent)
        if after <= max(_EXPLAINED_SHARE * before, resolution_mv / 2) and after <= _EXPLAINED_SHARE * _size(corrected):
            left.append((after, fault))
    if not left:
        return _strangers(products, sent, resolution_mv)
    enough = _CLEARLY_BETTER * min(after for after, _ in left) + resolution_mv / 10
    return tuple(fault for after, fault in left if after <= enough)


def _corrections(products: Matrix, sent: tuple[Lead, ...]) -> Iterator[tuple[LimbLeadFault, Matrix]]:
    """Undo every fault that is thought of: the fault, and the products without it."""
    for i, j in combinations(range(len(sent)), 2):
        order = list(range(len(sent)))
        order[i], order[j] = j, i
        yield LimbLeadFault("swapped", (sent[i], sent[j])), products[np.ix_(order, order)]
    for i, lead in enumerate(sent):
        factor = _factor(products, sent, i)
        if factor is None or 1 / _TOLERATED_GAIN < factor < _TOLERATED_GAIN:
            continue
        inverted = 1 / _TOLERATED_GAIN < -factor < _TOLERATED_GAIN
        scale = np.ones(len(sent))
        scale[i] = -1.0 if inverted else 1 / factor
        fault = LimbLeadFault("inverted", (lead,)) if inverted else LimbLeadFault("gain", (lead,), factor)
        yield fault, products * np.outer(scale, scale)


def _factor(products: Matrix, sent: tuple[Lead, ...], i: int) -> float | None:
    """The factor of lead i over what the others say it is, or None where it has another shape."""
    weights = -_projection(sent)[i] / _projection(sent)[i, i]
    weights[i] = 0.0
    common = float(weights @ products[i])
    expected = float(weights @ products @ weights)
    if common**2 <= _SAME_SHAPE**2 * expected * products[i, i] or common == 0:
        return None
    return float(products[i, i]) / common


def _strangers(products: Matrix, sent: tuple[Lead, ...], resolution_mv: float) -> tuple[LimbLeadFault, ...]:
    """Name the leads without which the others agree."""
    if len(sent) < 4:
        return ()
    strangers = []
    for i, lead in enumerate(sent):
        rest = [k for k in range(len(sent)) if k != i]
        others, names = products[np.ix_(rest, rest)], tuple(sent[k] for k in rest)
        if _misfit(others, names) <= max(SUSPECT_MISFIT * _size(others), resolution_mv / 2):
            strangers.append(LimbLeadFault("disagrees", (lead,)))
    return tuple(strangers)


def _violations(products: Matrix, sent: tuple[Lead, ...]) -> tuple[IdentityViolation, ...]:
    """Express every lead in the first two and keep those that differ; the worst where all differ little."""
    weights = _OF_I_AND_II[[LIMB_LEADS.index(lead) for lead in sent]]
    in_first_two = weights @ np.linalg.inv(weights[:2])
    size = _size(products)
    found = []
    for i in range(2, len(sent)):
        difference = -in_first_two[i][[0, 1]]
        across = np.zeros(len(sent))
        across[:2], across[i] = difference, 1.0
        residual = float(np.sqrt(max(float(across @ products @ across), 0.0)))
        identity = f"{sent[i]} = {_sum_of(in_first_two[i], sent[:2])}"
        found.append(IdentityViolation(sent[i], identity, residual, residual / size))
    worst = max(violation.relative for violation in found)
    return tuple(v for v in found if v.relative > min(SUSPECT_MISFIT, worst / 2))


def _sum_of(weights: Matrix, leads: tuple[Lead, ...]) -> str:
    """Write a weighted sum such as `II - I / 2`, what is added before what is taken away."""
    terms = [(float(weight), lead) for weight, lead in zip(weights.round(9), leads, strict=True) if weight]
    added = [_multiple(weight, lead) for weight, lead in terms if weight > 0]
    taken = [_multiple(-weight, lead) for weight, lead in terms if weight < 0]
    return " - ".join([" + ".join(added), *taken]) if added else "-" + " - ".join(taken)


def _multiple(weight: float, lead: Lead) -> str:
    if weight == 1:
        return str(lead)
    return f"{lead} / {1 / weight:g}" if weight < 1 and (1 / weight).is_integer() else f"{weight:.4g} {lead}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _unit_hint(factor: float) -> str:
    for usual, _ in _MISTAKEN_UNITS:
        if abs(np.log(factor / usual)) < np.log(_TOLERATED_GAIN):
            return " (another unit than the others?)"
    return ""


def implausible_amplitude(recording: Recording) -> str | None:
    """Say what is wrong with amplitudes that no heart makes, and which unit would make sense of them.

    An offset does not matter, and one artefact is not enough: either most leads span more than 12 mV, or one
    more than 50 mV, or none 0.2 mV. Constant leads alone are left to `quality_findings`.

    Returns:
        A text for people with what to do next; None where the amplitudes may be a heart's.
    """
    spans = {
        lead: float(np.ptp(samples[np.isfinite(samples)]))
        for lead, samples in zip(TWELVE_LEADS, recording.leads, strict=True)
        if np.isfinite(samples).any()
    }
    values = np.array(list(spans.values()))
    if not len(values) or values.max() == 0 or _plausible(values):
        return None
    if np.median(values) > LARGEST_MEDIAN_SPAN_MV or values.max() < SMALLEST_SPAN_MV:
        found = f"The leads span {values.min():.4g} to {values.max():.4g} mV; a heart makes about 0.5 to 10 mV"
        return f"{found}. {_better_unit(values)}"
    wide = [lead for lead, span in spans.items() if span > LARGEST_SPAN_MV]
    found = f"Lead{'s' * (len(wide) > 1)} {', '.join(wide)} alone span{'s' * (len(wide) == 1)} {values.max():.4g} mV"
    return f"{found}. {_better_unit(np.array([spans[lead] for lead in wide]))}"


def _plausible(spans: Matrix) -> bool:
    sound = np.median(spans) <= LARGEST_MEDIAN_SPAN_MV and SMALLEST_SPAN_MV <= spans.max() <= LARGEST_SPAN_MV
    return bool(sound)


def _better_unit(spans: Matrix) -> str:
    for factor, mistake in _MISTAKEN_UNITS:
        if _plausible(spans / factor):
            change = f"{_number(factor)} times smaller" if factor > 1 else f"{_number(1 / factor)} times larger"
            return f"The values would be plausible {change}: as if {mistake}. Check unit and factor and send again."
    return "No usual mistake of unit explains it. Check unit and factor and send again."

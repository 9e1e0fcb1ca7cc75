"""Chest leads that are limb leads: what comes of MDC or SCP-ECG numbers that were counted on from lead to lead."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.ecg.contact import greatest_difference
from fhir_ecg.ecg.leads import CHEST_LEADS, LIMB_LEADS, TWELVE_LEADS, Lead
from fhir_ecg.ecg.recording import Recording

# Of 19,601 PTB-XL records no chest lead comes closer to a limb lead, as it is or inverted, than 0.0705 mV; where one is
# the other, steps of 25 microvolts make 0.013.
COPIED_WITHIN_MV = 0.025
# Smaller or shorter signals are alike by chance; leads that are flat are for `quality_findings`.
_LEAST_COPIED_MV = 0.1
_LEAST_COPIED_SECONDS = 1.0


@dataclass(frozen=True)
class ChestLeadCopy:
    """A chest lead that has the signal of a limb lead, which no electrode on a chest gives.

    Attributes:
        chest: The lead that was sent under another's name.
        limb: Whose signal it is; a derived one too.
        inverted: Whether it is that upside down.
        difference_mv: How far they are apart at most, in mV, whatever their offset.
    """

    chest: Lead
    limb: Lead
    inverted: bool
    difference_mv: float

    def __str__(self) -> str:
        return f"{self.chest} is the same signal as {'-' * self.inverted}{self.limb}"


def chest_lead_copies(recording: Recording) -> tuple[ChestLeadCopy, ...]:
    """Find chest leads that are limb leads, as where the codes were counted on from lead to lead.

    Offsets do not matter; samples in a gap, signals below 0.1 mV and what lasts less than 1 s are left out.

    Returns:
        For each such chest lead the limb lead that is closest.
    """
    copies = (list(_copies_of(chest, recording)) for chest in CHEST_LEADS)
    return tuple(min(found, key=lambda copy: copy.difference_mv) for found in copies if found)


def _copies_of(chest: Lead, recording: Recording) -> Iterator[ChestLeadCopy]:
    one = recording.leads[TWELVE_LEADS.index(chest)]
    for limb in LIMB_LEADS:
        other = recording.leads[TWELVE_LEADS.index(limb)]
        for inverted in (False, True):
            difference = greatest_difference(one, -other if inverted else other)
            if difference <= COPIED_WITHIN_MV and _can_be_told_apart(one, other, recording.sampling_rate):
                yield ChestLeadCopy(chest, limb, inverted, difference)


def _can_be_told_apart(one: NDArray[np.float64], other: NDArray[np.float64], rate: float) -> bool:
    known = np.isfinite(one) & np.isfinite(other)
    if np.count_nonzero(known) < _LEAST_COPIED_SECONDS * rate:
        return False
    return bool(min(np.ptp(one[known]), np.ptp(other[known])) >= _LEAST_COPIED_MV)

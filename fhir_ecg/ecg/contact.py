"""Leads that are no recording of the heart: constant, cut off at the amplifier's limit, or copies of another."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]
Leads = NDArray[np.float64]

# Values that were equal as numbers of a converter may differ in the last digits as mV.
_EQUAL_MV = 1e-6

_PLATEAU_SECONDS = 0.008
_FEWEST_PLATEAU_SAMPLES = 2
# A wave that is cut off stops at once; a round top comes to its plateau in the smallest steps there are.
_CUT_MV = 0.05
_CUT_STEPS = 8.0
# Share of its height that a cut-off wave keeps at least; the baseline can be an extreme too.
_OFF_BASELINE = 0.3


def longest_constant(samples: Samples) -> tuple[int, int]:
    """Find the longest run of equal samples: its start and its end, which is excluded."""
    starts, ends = _runs(np.abs(np.diff(samples)) < _EQUAL_MV)
    if not len(starts):
        return 0, 1
    longest = int(np.argmax(ends - starts))
    return int(starts[longest]), int(ends[longest]) + 1


def cut_off_waves(samples: Samples, rate: float) -> int:
    """Count the waves of one lead in mV that end in the same flat top (or bottom), as if cut off."""
    return max(_cut_off_tops(samples, rate), _cut_off_tops(-samples, rate))


def _cut_off_tops(samples: Samples, rate: float) -> int:
    top = samples.max()
    if top - np.median(samples) < _OFF_BASELINE * np.ptp(samples):
        return 0
    starts, ends = _runs(samples > top - _EQUAL_MV)
    long_enough = ends - starts >= max(_FEWEST_PLATEAU_SAMPLES, round(_PLATEAU_SECONDS * rate))
    # Where the recording begins or ends on the top, that side shows no wave.
    padded = np.concatenate(([top], samples, [top]))
    sides = 2 * top - padded[starts] - padded[ends + 1]
    steep = sides >= max(_CUT_MV, _CUT_STEPS * _smallest_step(samples))
    return int(np.count_nonzero(long_enough & steep))


def _smallest_step(samples: Samples) -> float:
    steps = np.abs(np.diff(samples))
    steps = steps[steps > _EQUAL_MV]
    return float(steps.min()) if len(steps) else 0.0


def identical_leads(leads: Leads, tolerance_mv: float) -> list[tuple[int, int]]:
    """Pairs of rows of (leads, samples) in mV that differ by no more than an offset and the tolerance."""
    return [
        (i, j) for i, j in combinations(range(len(leads)), 2) if greatest_difference(leads[i], leads[j]) <= tolerance_mv
    ]


def greatest_difference(one: Samples, other: Samples) -> float:
    """How far two leads in mV are apart at most, whatever their offset; nan where they have no sample in common."""
    difference = one - other
    return float(np.fmax.reduce(difference) - np.fmin.reduce(difference)) / 2


def _runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and excluded ends of the runs of True."""
    edges = np.diff(np.concatenate(([0], mask.astype(np.int8), [0])))
    return np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)

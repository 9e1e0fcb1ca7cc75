"""Change of sampling rate, with anti-aliasing."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from fhir_ecg.ecg.recording import Recording

# 1/5000 keeps the end of a 10 s window within 1 ms, a tenth of a 100 Hz sample, at any rate; most off are rates within
# 1/5000 of a round ratio, such as 100.01 Hz.
_LARGEST_DENOMINATOR = 5000

# Resampling looks past the end of the window it is asked for, so that its last samples are no edge.
_MARGIN_SECONDS = 1.0

HELD_SECONDS = 0.1
"""What a window may lack at its end: devices count one sample less, or round the time between samples."""


def resample(leads: NDArray[np.float64], rate: float, target: float) -> NDArray[np.float64]:
    """Bring (leads, samples) from one rate in Hz to another; sample 0 stays at time 0.

    A linear-phase FIR (Kaiser window, half power at the lower Nyquist frequency) removes what would alias.
    """
    ratio = Fraction(target / rate).limit_denominator(_LARGEST_DENOMINATOR)
    if ratio == 1:
        return leads
    resampled: NDArray[np.float64] = signal.resample_poly(
        leads, ratio.numerator, ratio.denominator, axis=-1, padtype="line"
    )
    return resampled


def samples_within(seconds: float, rate: float) -> int:
    """Count the samples of the first seconds; one at their very end belongs to what follows."""
    return int(np.ceil(seconds * rate - 1e-6))


def is_too_short(recording: Recording, seconds: float) -> bool:
    """Tell whether a Recording lacks more of its first seconds than may be filled."""
    return recording.samples < samples_within(seconds - HELD_SECONDS, recording.sampling_rate)


def window(recording: Recording, seconds: float, target: float) -> NDArray[np.float64] | None:
    """Take the first seconds of a Recording at the target rate.

    Up to HELD_SECONDS that a Recording lacks are filled with its last values.

    Returns:
        (12, seconds * target) in mV, or None where the recording is shorter or has a gap in that time.
    """
    rate = recording.sampling_rate
    wanted = samples_within(seconds, rate)
    leads = recording.leads[:, : wanted + round(_MARGIN_SECONDS * rate)]
    gaps = np.flatnonzero(np.isnan(leads).any(axis=0))
    if gaps.size:
        leads = leads[:, : gaps[0]]
    if leads.shape[1] < min(wanted, recording.samples) or is_too_short(recording, seconds):
        return None
    leads = np.pad(leads, ((0, 0), (0, max(0, wanted - leads.shape[1]))), mode="edge")
    return resample(leads, rate, target)[:, : round(seconds * target)]

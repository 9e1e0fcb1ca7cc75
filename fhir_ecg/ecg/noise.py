"""How much of each lead is no ECG: baseline wander, muscle, mains, and the spikes of pacemakers."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

Leads = NDArray[np.float64]

_WANDER_BELOW_HZ = 0.5
_MUSCLE_BAND_HZ = (25.0, 40.0)
_MUSCLE_WINDOW_SECONDS = 0.2
MAINS_HZ = (50.0, 60.0)
# A pacing pulse is shorter than this; a QRS complex has nothing that short.
_SPIKE_SECONDS = 0.01
SPIKES_FROM_RATE_HZ = 500.0
# A pulse is seen by several leads; an artefact of one electrode in the chest by one.
_SPIKE_LEADS = 3
_SPIKE_DISTANCE_SECONDS = 0.1


def baseline_wander(leads: Leads, rate: float) -> NDArray[np.float64]:
    """Peak-to-peak in mV, for each lead, of what is slower than 0.5 Hz."""
    low = signal.butter(2, _WANDER_BELOW_HZ, "lowpass", fs=rate, output="sos")
    wander: NDArray[np.float64] = np.ptp(signal.sosfiltfilt(low, leads, axis=-1), axis=-1)
    return wander


def muscle_noise(leads: Leads, rate: float) -> NDArray[np.float64]:
    """Root mean square in mV at 25-40 Hz of each lead in the typical fifth of a second.

    The median over windows leaves out QRS complexes, which fill less than half of the time.

    Args:
        leads: (leads, samples) in mV.
        rate: Samples a second, more than 80.
    """
    band = signal.butter(4, _MUSCLE_BAND_HZ, "bandpass", fs=rate, output="sos")
    filtered = signal.sosfiltfilt(band, leads, axis=-1)
    width = round(_MUSCLE_WINDOW_SECONDS * rate)
    count = leads.shape[-1] // width
    windows = filtered[:, : count * width].reshape(len(leads), count, width)
    noise: NDArray[np.float64] = np.median(np.sqrt(np.mean(windows**2, axis=-1)), axis=-1)
    return noise


def mains_hum(leads: Leads, rate: float, mains: float) -> NDArray[np.float64]:
    """Root mean square in mV, for each lead, of the line at the mains frequency above its surroundings.

    Args:
        leads: (leads, samples) in mV, several seconds.
        rate: Samples a second; nothing can be said, so 0 is, where it is not above twice `mains` + 3 Hz.
        mains: 50 or 60 Hz.
    """
    if rate <= 2 * (mains + 3):
        return np.zeros(len(leads))
    frequencies, density = signal.periodogram(leads, rate, window="hann", detrend="linear", axis=-1)
    distance = np.abs(frequencies - mains)
    step = frequencies[1]
    line = density[:, distance <= 0.5].sum(axis=-1) * step
    floor = density[:, (distance > 1) & (distance <= 3)].mean(axis=-1)
    hum: NDArray[np.float64] = np.sqrt(np.maximum(line - floor, 0.0))
    return hum


def pacing_spikes(leads: Leads, rate: float, height_mv: float) -> NDArray[np.int64]:
    """Find pulses shorter than 5 ms that three leads show at once.

    Args:
        leads: (leads, samples) in mV.
        rate: Samples a second; below 500 pulses are lost between samples, and none are found.
        height_mv: What a pulse has at least, in the third highest lead.

    Returns:
        Their sample numbers.
    """
    if rate < SPIKES_FROM_RATE_HZ:
        return np.zeros(0, np.int64)
    width = 2 * round(_SPIKE_SECONDS * rate / 2) + 1
    narrow = np.abs(leads - ndimage.median_filter(leads, (1, width), mode="nearest"))
    third = np.sort(narrow, axis=0)[-_SPIKE_LEADS]
    spikes, _ = signal.find_peaks(third, height=height_mv, distance=max(1, round(_SPIKE_DISTANCE_SECONDS * rate)))
    found: NDArray[np.int64] = spikes
    return found

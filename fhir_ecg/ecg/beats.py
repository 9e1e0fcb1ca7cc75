"""Where the beats are, and how clearly each lead shows them. For signal quality, not for diagnosis."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

Leads = NDArray[np.float64]

RATE_HZ = 100.0
"""Samples a second that every function here expects."""

# Most of the energy of QRS complexes, little of T waves, baseline and mains.
_QRS_BAND_HZ = (5.0, 25.0)
_QRS_FILTER = signal.butter(2, _QRS_BAND_HZ, "bandpass", fs=RATE_HZ, output="sos")
_SHORTEST_RR_SAMPLES = 25
_HALF_WINDOW = 6
# A complex is at least this share of the highest ones in what most leads show.
_PEAK_SHARE = 0.35
# Parts of an RR interval in which no lead has a QRS complex.
_BETWEEN_BEATS = (0.5, 0.6, 0.7, 0.8)


def qrs_envelope(leads: Leads) -> Leads:
    """Smoothed magnitude of (leads, samples) in the QRS band, in the unit of the leads."""
    band = signal.sosfiltfilt(_QRS_FILTER, leads, axis=-1)
    envelope: Leads = ndimage.uniform_filter1d(np.abs(signal.hilbert(band, axis=-1)), 5, axis=-1)
    return envelope


def beat_positions(envelope: Leads) -> NDArray[np.int64]:
    """Find the QRS complexes that most leads show, as sample numbers.

    Args:
        envelope: (leads, samples) from `qrs_envelope`. Its median over leads, each by its own size, decides:
            artefacts in a few leads are no beats.
    """
    sizes = np.quantile(envelope, 0.9, axis=-1, keepdims=True)
    common = np.median(envelope / np.maximum(sizes, 1e-12), axis=0)
    height = _PEAK_SHARE * np.quantile(common, 0.98)
    peaks, _ = signal.find_peaks(common, height=height, distance=_SHORTEST_RR_SAMPLES)
    positions: NDArray[np.int64] = peaks
    return positions


def beat_contrast(leads: Leads) -> NDArray[np.float64] | None:
    """How many times higher each lead is in a typical QRS complex than between beats; about 1 for noise.

    Args:
        leads: (leads, samples) in mV at 100 Hz.

    Returns:
        (leads,), or None where fewer than three beats with pauses between them are found.
    """
    envelope = qrs_envelope(leads)
    beats = beat_positions(envelope)
    highest = ndimage.maximum_filter1d(envelope, 2 * _HALF_WINDOW + 1, axis=-1)
    between = _between(beats)
    if len(beats) < 3 or len(between) < 3:
        return None
    contrast: NDArray[np.float64] = np.median(highest[:, beats], axis=1) / np.maximum(
        np.median(highest[:, between], axis=1), 1e-9
    )
    return contrast


def _between(beats: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sample numbers well between one beat and the next."""
    starts, ends = beats[:-1, np.newaxis], beats[1:, np.newaxis]
    places = (starts + np.array(_BETWEEN_BEATS) * (ends - starts)).astype(np.int64)
    clear = (places - starts > 2 * _HALF_WINDOW) & (ends - places > 2 * _HALF_WINDOW)
    between: NDArray[np.int64] = places[clear]
    return between

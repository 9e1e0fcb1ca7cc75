"""Where the beats are, and how clearly each lead shows them. For signal quality, not for diagnosis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

Leads = NDArray[np.float64]

RATE_HZ = 100.0
"""Samples a second that every function here expects."""

# Most of the energy of QRS complexes, little of T waves, baseline and mains.
_QRS_BAND_HZ = (5.0, 25.0)
_QRS_FILTER = signal.butter(2, _QRS_BAND_HZ, "bandpass", fs=RATE_HZ, output="sos")
# All waves of a beat, and where a beat begins and ends: samples from its QRS complex.
_BEAT_BAND_HZ = (1.0, 25.0)
_BEAT_FILTER = signal.butter(2, _BEAT_BAND_HZ, "bandpass", fs=RATE_HZ, output="sos")
_BEFORE, _AFTER = 25, 40
FEWEST_BEATS = 3
# 300 beats a minute.
_SHORTEST_RR_SAMPLES = 20
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


@dataclass(frozen=True, eq=False)
class BeatEvidence:
    """How the leads of an ECG show its beats.

    Attributes:
        beats: Sample numbers of the QRS complexes that most leads show.
        contrast: (leads,) how many times higher a lead is in its typical complex than between beats, about 1
            for noise; None where there are fewer than three beats, or no pauses between them.
        rest_mv: (leads,) the height between beats, in mV; None with contrast.
        similarity: (leads,) correlation of a lead's beat with one of the next three, about 0 for noise; None
            for fewer than four beats.
    """

    beats: NDArray[np.int64]
    contrast: NDArray[np.float64] | None
    rest_mv: NDArray[np.float64] | None
    similarity: NDArray[np.float64] | None


def beat_evidence(leads: Leads) -> BeatEvidence:
    """Find the common beats of (leads, samples) in mV at 100 Hz, and them in each lead."""
    envelope = qrs_envelope(leads)
    beats = beat_positions(envelope)
    contrast, rest = _contrast(envelope, beats)
    return BeatEvidence(beats, contrast, rest, _similarity(leads, beats))


def own_contrast(samples: Leads) -> float:
    """The contrast of one lead at the beats that it shows itself; 0 where there are too few."""
    envelope = qrs_envelope(samples[np.newaxis])
    beats = beat_positions(envelope)
    contrast, _ = _contrast(envelope, beats)
    return 0.0 if contrast is None else float(contrast[0])


def _contrast(
    envelope: Leads, beats: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | tuple[None, None]:
    """The contrast, and the height between beats that it compares with."""
    between = _between(beats)
    if len(beats) < FEWEST_BEATS or len(between) < FEWEST_BEATS:
        return None, None
    highest = ndimage.maximum_filter1d(envelope, 2 * _HALF_WINDOW + 1, axis=-1)
    rest = np.median(highest[:, between], axis=1)
    return np.median(highest[:, beats], axis=1) / np.maximum(rest, 1e-9), rest


def _between(beats: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sample numbers well between one beat and the next."""
    starts, ends = beats[:-1, np.newaxis], beats[1:, np.newaxis]
    places = (starts + np.array(_BETWEEN_BEATS) * (ends - starts)).astype(np.int64)
    clear = (places - starts > 2 * _HALF_WINDOW) & (ends - places > 2 * _HALF_WINDOW)
    between: NDArray[np.int64] = places[clear]
    return between


def _similarity(leads: Leads, beats: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Median correlation between beats one, two or three apart, whichever is highest: bigeminy alternates."""
    band = signal.sosfiltfilt(_BEAT_FILTER, leads, axis=-1)
    whole = beats[(beats >= _BEFORE) & (beats <= leads.shape[1] - _AFTER)]
    if len(whole) <= FEWEST_BEATS:
        return None
    segments = np.stack([band[:, beat - _BEFORE : beat + _AFTER] for beat in whole])
    segments -= segments.mean(axis=-1, keepdims=True)
    segments /= np.linalg.norm(segments, axis=-1, keepdims=True) + 1e-9
    apart = [np.median((segments[:-k] * segments[k:]).sum(axis=-1), axis=0) for k in (1, 2, 3)]
    similarity: NDArray[np.float64] = np.max(apart, axis=0)
    return similarity

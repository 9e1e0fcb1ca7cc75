"""Whether the right-arm electrode was exchanged with another limb's, from lead V6, which no limb electrode moves."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.ecg.beats import beat_positions, qrs_envelope
from fhir_ecg.ecg.leads import TWELVE_LEADS, Lead

Leads = NDArray[np.float64]

# Samples at 100 Hz from the QRS complex, and parts of the beat that begins there.
_BEFORE, _AFTER = 30, 40
_P = slice(6, 22)
_P_BASE = ((6, 8), (20, 22))
_QRS = slice(22, 39)
_FEWEST_BEATS = 3

# Leads I and V6 look at the heart from the left, II and V6 from the left and below. Chosen on PTB-XL.
_LEFT_ARM_CORRELATION = -0.5
_LEFT_LEG_CORRELATION = -0.7
_LEFT_LEG_CORRELATION_OF_I = 0.5
_NEGATIVE_P_MV = -0.02


def exchanged_with_right_arm(leads: Leads) -> Literal["left arm", "left leg"] | None:
    """Name the electrode that seems exchanged with the right arm's; None where neither does or too few beats are.

    With the left arm, I is mirrored: its beat runs against V6, and its QRS complex is mainly negative. With the
    left leg, II is, its P wave as well; and I, now -III, looks unlike V6.

    Args:
        leads: (12, samples) in mV at 100 Hz, in the order of TWELVE_LEADS.
    """
    beat = _median_beat(leads)
    if beat is None:
        return None
    one, two, v6 = (beat[TWELVE_LEADS.index(lead)] for lead in (Lead.I, Lead.II, Lead.V6))
    one_to_v6 = _correlation(one, v6)
    mirrored = _correlation(two, v6) < _LEFT_LEG_CORRELATION and _net_qrs(two) < 0 and _p_wave(two) < _NEGATIVE_P_MV
    if mirrored and one_to_v6 < _LEFT_LEG_CORRELATION_OF_I:
        return "left leg"
    if one_to_v6 < _LEFT_ARM_CORRELATION and _net_qrs(one) < 0:
        return "left arm"
    return None


def _median_beat(leads: Leads) -> Leads | None:
    """The median beat as (leads, 70) around zero, or None for fewer than three beats."""
    beats = beat_positions(qrs_envelope(leads))
    whole = beats[(beats >= _BEFORE) & (beats < leads.shape[1] - _AFTER)]
    if len(whole) < _FEWEST_BEATS:
        return None
    segments = np.stack([leads[:, beat - _BEFORE : beat + _AFTER] for beat in whole])
    beat = np.median(segments - np.median(segments, axis=-1, keepdims=True), axis=0)
    centred: Leads = beat - np.median(beat, axis=-1, keepdims=True)
    return centred


def _correlation(first: Leads, second: Leads) -> float:
    first, second = first - first.mean(), second - second.mean()
    norm = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / norm if norm > 0 else 0.0


def _net_qrs(beat: Leads) -> float:
    """Height of R less depth of Q or S, in mV."""
    return float(beat[_QRS].max() + beat[_QRS].min())


def _p_wave(beat: Leads) -> float:
    """Furthest of the P wave from the level at its sides, in mV."""
    level = np.mean([beat[start:end].mean() for start, end in _P_BASE])
    wave = beat[_P] - level
    return float(wave[np.abs(wave).argmax()])

"""From leads in mV at 100 Hz to the network's input. A model's manifest names the one it was trained with."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import signal

SAMPLING_RATE = 100.0
SAMPLES = 1000
BAND_HZ = (0.5, 40.0)
BAND_PASS_ORDER = 4

# The root mean square of band-passed PTB-XL leads (folds 1-8) is about 0.2 mV; one scale for every lead
# keeps the voltages that LVH, LVOLT and the atrial enlargements are read from.
GLOBAL_SCALE_MV = 0.19

PreprocessingName = Literal["band-pass, z-score per lead", "band-pass, global scale"]
Leads = NDArray[np.float64]

_B, _A = signal.butter(BAND_PASS_ORDER, BAND_HZ, btype="bandpass", fs=SAMPLING_RATE)


def band_pass(leads: Leads) -> Leads:
    """Filter (..., samples) at 100 Hz with a Butterworth band-pass 0.5-40 Hz, forward and backward."""
    filtered: Leads = signal.filtfilt(_B, _A, leads, axis=-1)
    return filtered


def z_score(leads: Leads) -> Leads:
    """Bring each lead of (..., samples) to mean 0 and population deviation 1; a flat lead keeps its scale."""
    deviation = leads.std(axis=-1, keepdims=True)
    centred: Leads = leads - leads.mean(axis=-1, keepdims=True)
    return np.where(deviation == 0, leads, centred / np.where(deviation == 0, 1.0, deviation))


def _reference(leads: Leads) -> Leads:
    return z_score(band_pass(leads))


def _global_scale(leads: Leads) -> Leads:
    return band_pass(leads) / GLOBAL_SCALE_MV


_PREPROCESSINGS: dict[PreprocessingName, Callable[[Leads], Leads]] = {
    "band-pass, z-score per lead": _reference,
    "band-pass, global scale": _global_scale,
}


def preprocess(leads: Leads, name: PreprocessingName) -> NDArray[np.float32]:
    """Turn (..., 12, samples) in mV at 100 Hz into the network's input of the same shape."""
    return _PREPROCESSINGS[name](leads).astype(np.float32)

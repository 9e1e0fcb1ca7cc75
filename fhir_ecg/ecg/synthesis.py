"""Synthetic 12-lead ECGs for the shipped examples: a moving heart dipole, seen by eight leads.

Each wave of a beat is a Gaussian in time with a direction in space (after McSharry PE et al., IEEE Trans
Biomed Eng 2003;50:289-294, with times in seconds instead of phases). The sum is a Frank vectorcardiogram,
which the transform of Dower GE et al. (Clin Cardiol 1980;3:87-95) turns into leads. The result is schematic:
for demonstration and tests, not for training a model or judging one.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.ecg.leads import Lead, complete_leads
from fhir_ecg.ecg.recording import Recording

Signal = NDArray[np.float64]

_DOWER: dict[Lead, tuple[float, float, float]] = {
    Lead.I: (0.632, -0.235, 0.059),
    Lead.II: (0.235, 1.066, -0.132),
    Lead.V1: (-0.515, 0.157, -0.917),
    Lead.V2: (0.044, 0.164, -1.387),
    Lead.V3: (0.882, 0.098, -1.277),
    Lead.V4: (1.213, 0.127, -0.601),
    Lead.V5: (1.125, 0.127, -0.086),
    Lead.V6: (0.831, 0.076, 0.230),
}

FIRST_BEAT_SECONDS = 0.4
RESPIRATION_HZ = 0.25
MUSCLE_NOISE_MV = 0.004
BASELINE_WANDER_MV = 0.02
# The shortest interval that a conducting AV node lets through, whatever the atria do.
_SHORTEST_RR_SECONDS = 0.36
_PREMATURE_COUPLING = 0.58


@dataclass(frozen=True)
class Wave:
    """A Gaussian deflection of the heart dipole.

    Attributes:
        peak: Seconds after the start of the P wave (atria) or after the R peak (ventricles).
        rise: Standard deviation before the peak, in seconds.
        fall: Standard deviation after the peak, in seconds.
        dipole: Frank X (to the left), Y (to the feet) and Z (to the back) at the peak, in mV.
    """

    peak: float
    rise: float
    fall: float
    dipole: tuple[float, float, float]


@dataclass(frozen=True)
class Ventricles:
    """How the ventricles depolarise and repolarise.

    Attributes:
        onset: Start of the QRS complex, in seconds after the R peak (so below 0).
        depolarisation: The waves of the QRS complex.
        repolarisation: The waves of ST and T at 60 beats a minute.
    """

    onset: float
    depolarisation: tuple[Wave, ...]
    repolarisation: tuple[Wave, ...]


_P_WAVE = (
    Wave(0.038, 0.017, 0.017, (0.05, 0.070, -0.06)),
    Wave(0.064, 0.017, 0.016, (0.09, 0.065, 0.03)),
)

# The normal complex and the two bundle branch blocks follow the median vectorcardiograms of PTB-XL records
# with NORM, CLBBB and CRBBB, smoothed to a few waves and made a little clearer.
NORMAL_CONDUCTION = Ventricles(
    onset=-0.040,
    depolarisation=(
        Wave(-0.014, 0.011, 0.011, (-0.08, -0.06, -0.30)),
        Wave(0.000, 0.0105, 0.0105, (1.28, 0.76, 0.40)),
        Wave(0.016, 0.0105, 0.0120, (-0.30, -0.08, 0.50)),
    ),
    repolarisation=(
        Wave(0.200, 0.060, 0.040, (0.00, 0.00, -0.05)),
        Wave(0.278, 0.052, 0.041, (0.25, 0.15, -0.15)),
    ),
)
LEFT_BUNDLE_BRANCH_BLOCK = Ventricles(
    onset=-0.055,
    depolarisation=(
        Wave(-0.024, 0.014, 0.016, (0.50, 0.16, 0.30)),
        Wave(0.006, 0.020, 0.020, (0.26, 0.42, 1.40)),
        Wave(0.044, 0.018, 0.018, (0.58, -0.02, 1.08)),
        Wave(0.068, 0.012, 0.013, (0.12, -0.14, 0.35)),
    ),
    repolarisation=(Wave(0.300, 0.085, 0.040, (-0.17, -0.04, -0.40)),),
)
RIGHT_BUNDLE_BRANCH_BLOCK = Ventricles(
    onset=-0.040,
    depolarisation=(
        Wave(-0.014, 0.011, 0.011, (-0.08, -0.06, -0.26)),
        Wave(0.000, 0.0100, 0.0105, (1.22, 0.55, 0.00)),
        Wave(0.016, 0.0090, 0.0100, (-0.22, 0.00, 0.28)),
        Wave(0.056, 0.020, 0.022, (-0.50, -0.02, -0.48)),
    ),
    repolarisation=(Wave(0.290, 0.058, 0.042, (0.24, 0.14, 0.13)),),
)
STRAIN = replace(NORMAL_CONDUCTION, repolarisation=(Wave(0.265, 0.075, 0.036, (-0.22, -0.08, -0.22)),))
# From the right ventricular outflow tract: as left bundle branch block, with an axis downwards.
_PREMATURE = Ventricles(
    onset=-0.070,
    depolarisation=(
        Wave(-0.032, 0.018, 0.020, (0.10, 0.40, 0.25)),
        Wave(0.005, 0.022, 0.024, (0.90, 1.45, 1.15)),
        Wave(0.052, 0.018, 0.018, (0.10, 0.15, 0.50)),
    ),
    repolarisation=(Wave(0.290, 0.080, 0.045, (-0.34, -0.45, -0.50)),),
)


@dataclass(frozen=True)
class EcgParameters:
    """What a synthetic ECG shows.

    Attributes:
        heart_rate: Mean rate of the basic rhythm, in beats a minute.
        respiratory_arrhythmia: Amplitude of the change of RR with breathing, as a fraction of RR.
        pr_interval: From the start of P to the start of QRS, in seconds.
        atria: `sinus` gives P waves and regular beats; `fibrillating` fibrillatory waves and irregular beats;
            `silent` neither waves nor irregular beats, as in a junctional rhythm.
        premature_beats: Which beats, counted from 0 at the first R peak, are ventricular and premature.
        ventricles: How the beats of the basic rhythm are conducted and repolarise.
        voltage: Factor on the QRS complex of the basic rhythm.
        axis_degrees: Turn of the dipole in the frontal plane, clockwise as the ECG counts its axis.
    """

    heart_rate: float = 70.0
    respiratory_arrhythmia: float = 0.02
    pr_interval: float = 0.16
    atria: Literal["sinus", "fibrillating", "silent"] = "sinus"
    premature_beats: frozenset[int] = frozenset()
    ventricles: Ventricles = NORMAL_CONDUCTION
    voltage: float = 1.0
    axis_degrees: float = 0.0


EXAMPLES: dict[str, EcgParameters] = {
    "normal-sinus-rhythm": EcgParameters(),
    "sinus-bradycardia": EcgParameters(heart_rate=45, pr_interval=0.17),
    "sinus-tachycardia": EcgParameters(heart_rate=125, respiratory_arrhythmia=0.005, pr_interval=0.13),
    "atrial-fibrillation": EcgParameters(heart_rate=88, atria="fibrillating"),
    "first-degree-av-block": EcgParameters(heart_rate=72, pr_interval=0.28, axis_degrees=-12),
    "ventricular-premature-beats": EcgParameters(premature_beats=frozenset({3, 7, 10})),
    "left-bundle-branch-block": EcgParameters(ventricles=LEFT_BUNDLE_BRANCH_BLOCK),
    "right-bundle-branch-block": EcgParameters(ventricles=RIGHT_BUNDLE_BRANCH_BLOCK),
    "left-ventricular-hypertrophy": EcgParameters(ventricles=STRAIN, voltage=1.8, axis_degrees=-20),
}
"""Parameters of the shipped examples, by name."""


@dataclass(frozen=True)
class _Beat:
    seconds: float
    """Time of the R peak."""
    interval: float
    """RR that the basic rhythm would have had before it, in seconds."""
    premature: bool


def synthesise(parameters: EcgParameters, seconds: float, sampling_rate: float, seed: int) -> Recording:
    """Make a synthetic ECG; the same arguments give the same samples.

    Args:
        parameters: What it shows.
        seconds: Duration.
        sampling_rate: Samples a second, 50 to 2000.
        seed: Of everything that varies from beat to beat and of the noise.

    Returns:
        Twelve leads in mV that obey Einthoven and Goldberger up to rounding, with slow baseline wander and
        muscle noise.

    Raises:
        ValueError: The sampling rate is out of range, or the duration holds no sample.
    """
    generator = np.random.default_rng(seed)
    times = np.arange(round(seconds * sampling_rate)) / sampling_rate
    beats = _beats(parameters, seconds, generator)
    dipole = _ventricular_dipole(parameters, beats, times)
    if parameters.atria == "fibrillating":
        dipole += _fibrillatory_waves(times, generator)
    elif parameters.atria == "sinus":
        dipole += _p_waves(parameters, beats, times)
    leads = np.array(list(_DOWER.values())) @ _turned(dipole, parameters.axis_degrees)
    leads += _noise(times, len(leads), generator)
    twelve, _ = complete_leads(dict(zip(_DOWER, leads, strict=True)))
    return Recording(twelve, sampling_rate)


def _beats(parameters: EcgParameters, seconds: float, generator: np.random.Generator) -> list[_Beat]:
    """Time the beats from one before the recording to one after it."""
    mean = 60 / parameters.heart_rate
    count = int(2 * seconds / mean) + 4
    if parameters.atria == "fibrillating":
        intervals = np.maximum(mean * generator.gamma(16, 1 / 16, count), _SHORTEST_RR_SECONDS)
    else:
        breath = np.sin(2 * np.pi * (RESPIRATION_HZ * mean * np.arange(count) + generator.random()))
        jitter = generator.normal(0, 0.004, count)
        intervals = mean * (1 + parameters.respiratory_arrhythmia * breath + jitter)
    peaks = FIRST_BEAT_SECONDS + np.cumsum(intervals) - intervals[:2].sum()
    beats = []
    for number, (peak, interval) in enumerate(zip(peaks, intervals, strict=True), start=-1):
        premature = number in parameters.premature_beats
        # The sinus node keeps its time, so the pause after a premature beat makes up for its coming early.
        early = (1 - _PREMATURE_COUPLING) * interval if premature else 0.0
        beats.append(_Beat(peak - early, interval, premature))
    return [beat for beat in beats if beat.seconds < seconds + mean]


def _ventricular_dipole(parameters: EcgParameters, beats: list[_Beat], times: Signal) -> Signal:
    dipole = np.zeros((3, len(times)))
    for beat in beats:
        ventricles = _PREMATURE if beat.premature else parameters.ventricles
        voltage = 1.0 if beat.premature else parameters.voltage
        for wave in ventricles.depolarisation:
            dipole += voltage * _shape(wave, times - beat.seconds)
        stretch = _qt_factor(parameters, beat)
        for wave in ventricles.repolarisation:
            dipole += _shape(wave, (times - beat.seconds) / stretch)
    return dipole


def _qt_factor(parameters: EcgParameters, beat: _Beat) -> float:
    """Fridericia's cube root of RR; QT follows a single irregular interval only half."""
    rr = (beat.interval + 60 / parameters.heart_rate) / 2
    return float(np.cbrt(rr))


def _p_waves(parameters: EcgParameters, beats: list[_Beat], times: Signal) -> Signal:
    dipole = np.zeros((3, len(times)))
    for beat in beats:
        if not beat.premature:
            start = beat.seconds + parameters.ventricles.onset - parameters.pr_interval
            dipole += sum(_shape(wave, times - start) for wave in _P_WAVE)
    return dipole


def _shape(wave: Wave, times: Signal) -> Signal:
    """Sample a wave as (3, samples) in mV at times in seconds from its reference."""
    late = times - wave.peak
    course = np.exp(-0.5 * (late / np.where(late < 0, wave.rise, wave.fall)) ** 2)
    shape: Signal = np.outer(wave.dipole, course)
    return shape


def _fibrillatory_waves(times: Signal, generator: np.random.Generator) -> Signal:
    """Sum drifting atrial oscillations of 4-9 Hz, largest in V1 and II, as (3, samples) in mV."""
    dipole = np.zeros((3, len(times)))
    for hertz, share in ((5.8, 1.0), (6.9, 0.6), (4.7, 0.5)):
        drift = 0.3 * np.sin(2 * np.pi * (generator.uniform(0.3, 0.6) * times + generator.random()))
        phase = 2 * np.pi * (hertz * times + drift + generator.random())
        direction = np.array([-0.015, 0.030, -0.045]) + generator.normal(0, 0.006, 3)
        # Fibrillatory waves are saw-toothed: a second harmonic steepens one flank.
        dipole += share * np.outer(direction, np.sin(phase) + 0.3 * np.sin(2 * phase))
    return dipole


def _turned(dipole: Signal, degrees: float) -> Signal:
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    turned: Signal = rotation @ dipole
    return turned


def _noise(times: Signal, leads: int, generator: np.random.Generator) -> Signal:
    """Make baseline wander with the breath and muscle noise, each lead its own, as (leads, samples) in mV."""
    noise: Signal = generator.normal(0, MUSCLE_NOISE_MV, (leads, len(times)))
    for hertz in (RESPIRATION_HZ, 0.11):
        sizes = generator.normal(0, BASELINE_WANDER_MV, (leads, 1))
        noise += sizes * np.sin(2 * np.pi * (hertz * times + generator.random()))
    return noise

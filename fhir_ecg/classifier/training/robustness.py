"""How much the AUC falls when the same ECGs arrive otherwise: resampled, shifted, noisy, with other gains."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fhir_ecg.classifier.inference import Classifier
from fhir_ecg.classifier.preprocessing import SAMPLES, SAMPLING_RATE, preprocess
from fhir_ecg.classifier.training.bootstrap import paired_difference
from fhir_ecg.classifier.training.evaluation import FIGURE_DIGITS, Measured, rounded, rounded_interval
from fhir_ecg.classifier.training.metrics import macro_auc
from fhir_ecg.ecg.leads import CHEST_LEADS, TWELVE_LEADS, Lead, complete_leads
from fhir_ecg.ecg.quality import CLASSIFIED_SECONDS
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.ecg.resampling import resample, window

Leads = NDArray[np.float64]

_SENT_LEADS = (Lead.I, Lead.II, *CHEST_LEADS)
_MOST_SHIFTED = round(SAMPLING_RATE)
_NOISE_MV = 0.02
_HUM_MV = 0.1
_HUM_HZ = 50
_HUM_SAMPLING_RATE = 500.0
_GAINS = (0.95, 1.05)


@dataclass(frozen=True)
class Change:
    """What is done to an ECG (12, 1000) in mV at 100 Hz before the model sees it."""

    name: str
    apply: Callable[[Leads, np.random.Generator], Leads]


def logits_of_changed(
    classifier: Classifier, millivolts: NDArray[np.float32], change: Change, size: int = 128, seed: int = 1
) -> NDArray[np.float64]:
    """Compute the logits (records, statements) of changed ECGs (records, 12, 1000); each draws numbers of its own."""
    parts = []
    for start in tqdm(range(0, len(millivolts), size), desc=change.name, unit="batch"):
        changed = [
            change.apply(leads.astype(np.float64), np.random.default_rng([seed, start + i]))
            for i, leads in enumerate(millivolts[start : start + size])
        ]
        parts.append(classifier.logits(preprocess(np.stack(changed), classifier.manifest.preprocessing)))
    return np.concatenate(parts)


def robustness(classifier: Classifier, millivolts: NDArray[np.float32], measured: Measured) -> list[dict[str, Any]]:
    """Measure the macro AUC of each change and its difference from the ECGs as they were recorded."""
    rows = []
    for change in CHANGES:
        probabilities = classifier.calibrated(logits_of_changed(classifier, millivolts, change))
        compared = paired_difference(measured.labels, probabilities, measured.probabilities)
        rows.append({
            "change": change.name,
            "macro_auc": rounded(macro_auc(measured.labels, probabilities), FIGURE_DIGITS),
            "difference": rounded(compared.difference, FIGURE_DIGITS),
            "difference_interval": rounded_interval(compared.interval, FIGURE_DIGITS),
        })  # fmt: skip
    return rows


def _as_recorded(leads: Leads, _: np.random.Generator) -> Leads:
    return leads


def _through_the_service(leads: Leads, rate: float) -> Leads:
    at_100_hz = window(Recording(leads, rate), CLASSIFIED_SECONDS, SAMPLING_RATE)
    if at_100_hz is None:
        raise ValueError("an ECG of PTB-XL has 10 s without a gap")
    return at_100_hz


def _resampled(leads: Leads, _: np.random.Generator, rate: float) -> Leads:
    return _through_the_service(resample(leads, SAMPLING_RATE, rate), rate)


def _shifted(leads: Leads, generator: np.random.Generator) -> Leads:
    # The moved end is mirrored: to roll it would put a jump, and beats of the other end, into the signal.
    mirrored = np.pad(leads, ((0, 0), (_MOST_SHIFTED, _MOST_SHIFTED)), mode="reflect")
    start = generator.integers(0, 2 * _MOST_SHIFTED + 1)
    return mirrored[:, start : start + SAMPLES]


def _with_noise(leads: Leads, generator: np.random.Generator) -> Leads:
    return leads + generator.normal(0, _NOISE_MV, leads.shape)


def _with_hum(leads: Leads, generator: np.random.Generator) -> Leads:
    # 50 Hz is what 100 samples a second just cannot show: the hum is added at 500 Hz, as a device would send it.
    sent = resample(leads, SAMPLING_RATE, _HUM_SAMPLING_RATE)
    turns = _HUM_HZ * np.arange(sent.shape[1]) / _HUM_SAMPLING_RATE + generator.uniform(size=(len(leads), 1))
    return _through_the_service(sent + _HUM_MV * np.sin(2 * np.pi * turns), _HUM_SAMPLING_RATE)


def _with_derived_leads(leads: Leads, _: np.random.Generator) -> Leads:
    derived, _names = complete_leads({lead: leads[TWELVE_LEADS.index(lead)] for lead in _SENT_LEADS})
    return derived


def _with_other_gains(leads: Leads, generator: np.random.Generator) -> Leads:
    result: Leads = leads * generator.choice(_GAINS, (len(leads), 1))
    return result


AS_RECORDED = Change("as recorded", _as_recorded)
CHANGES = (
    Change("resampled to 250 Hz and back", partial(_resampled, rate=250.0)),
    Change("resampled to 500 Hz and back", partial(_resampled, rate=500.0)),
    Change("shifted in time by up to 1 s", _shifted),
    Change("white noise of 20 uV RMS", _with_noise),
    Change("mains hum: 50 Hz, amplitude 100 uV, sent at 500 Hz", _with_hum),
    Change("III, aVR, aVL and aVF derived from I and II", _with_derived_leads),
    Change("each lead 5 % too large or too small", _with_other_gains),
)

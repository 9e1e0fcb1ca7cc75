"""Preprocessing equals the reference's, written here a second time from its description."""

import numpy as np
import pytest
from scipy.signal import butter, filtfilt

from fhir_ecg.classifier.preprocessing import GLOBAL_SCALE_MV, preprocess
from fhir_ecg.ecg.synthesis import EXAMPLES, synthesise


def reference(leads: np.ndarray) -> np.ndarray:
    """4th-order Butterworth 0.5-40 Hz at 100 Hz, filtfilt along time; z-score per lead, flat leads left alone."""
    nyquist = 50.0
    b, a = butter(4, [0.5 / nyquist, 40.0 / nyquist], btype="band")
    samples = filtfilt(b, a, leads.T, axis=0)
    for lead in range(samples.shape[1]):
        if (deviation := np.std(samples[:, lead])) > 0:
            samples[:, lead] = (samples[:, lead] - np.mean(samples[:, lead])) / deviation
    return samples.T


@pytest.mark.parametrize("name", EXAMPLES)
def test_equals_the_reference(name: str) -> None:
    leads = synthesise(EXAMPLES[name], 10, 100, seed=1).leads

    np.testing.assert_allclose(preprocess(leads, "band-pass, z-score per lead"), reference(leads), atol=1e-5)


def test_a_flat_lead_stays_flat() -> None:
    leads = synthesise(EXAMPLES["normal-sinus-rhythm"], 10, 100, seed=1).leads
    leads[3] = 0

    prepared = preprocess(leads, "band-pass, z-score per lead")

    assert np.isfinite(prepared).all()
    assert (prepared[3] == 0).all()


def test_global_scale_keeps_the_voltages_between_leads_and_records() -> None:
    leads = synthesise(EXAMPLES["normal-sinus-rhythm"], 10, 100, seed=1).leads

    once, twice = (preprocess(gain * leads, "band-pass, global scale") for gain in (1, 2))

    np.testing.assert_allclose(twice, 2 * once, rtol=1e-5)
    assert np.ptp(once[10]) * GLOBAL_SCALE_MV == pytest.approx(np.ptp(leads[10]), rel=0.25)


def test_baseline_wander_and_mains_hum_are_removed() -> None:
    times = np.arange(1000) / 100
    leads = np.tile(np.sin(2 * np.pi * 0.05 * times) + np.sin(2 * np.pi * 49 * times), (12, 1))

    assert np.abs(preprocess(leads, "band-pass, global scale")[:, 200:800]).max() * GLOBAL_SCALE_MV < 0.05

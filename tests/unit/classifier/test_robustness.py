"""Each change does to an ECG what its name says, and nothing else."""

import numpy as np
import pytest

from fhir_ecg.classifier.training.robustness import AS_RECORDED, CHANGES, Change
from fhir_ecg.ecg.leads import TWELVE_LEADS, Lead
from fhir_ecg.ecg.synthesis import EXAMPLES, synthesise

LEADS = synthesise(EXAMPLES["normal-sinus-rhythm"], 10, 100, seed=1).leads


def changed(word: str, leads: np.ndarray = LEADS, seed: int = 1) -> np.ndarray:
    (change,) = [change for change in CHANGES if word in change.name]
    return change.apply(leads, np.random.default_rng(seed))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_shape_and_seed_are_kept(change: Change) -> None:
    one, other = (change.apply(LEADS, np.random.default_rng(3)) for _ in range(2))

    assert one.shape == LEADS.shape
    assert (one == other).all()


def test_as_recorded_changes_nothing() -> None:
    assert AS_RECORDED.apply(LEADS, np.random.default_rng(1)) is LEADS


@pytest.mark.parametrize("rate", ["250 Hz", "500 Hz and back"])
def test_resampling_there_and_back_keeps_the_signal(rate: str) -> None:
    seconds = np.arange(1000) / 100
    slow = np.tile(np.sin(2 * np.pi * 8 * seconds), (12, 1))

    np.testing.assert_allclose(changed(rate, slow)[:, 50:-50], slow[:, 50:-50], atol=0.01)


def test_a_shift_keeps_what_is_not_moved_out() -> None:
    moved = changed("shifted")

    shifts = [by for by in range(-100, 101) if np.array_equal(moved[:, 100:900], LEADS[:, 100 + by : 900 + by])]
    assert len(shifts) == 1
    assert np.abs(np.diff(moved)).max() <= np.abs(np.diff(LEADS)).max()  # no jump where the ends meet


def test_noise_has_20_microvolts() -> None:
    assert np.std(changed("noise") - LEADS) == pytest.approx(0.02, rel=0.02)


def test_hum_is_removed_by_the_services_resampling() -> None:
    flat = np.zeros((12, 1000))

    assert np.abs(changed("hum", flat)[:, 50:-50]).max() < 0.06  # half the amplitude is left at the Nyquist frequency


def test_derived_leads_follow_from_i_and_ii() -> None:
    broken = LEADS.copy()
    broken[TWELVE_LEADS.index(Lead.AVF)] = 5

    np.testing.assert_allclose(changed("derived", broken), LEADS, atol=0.01)


def test_gains_differ_by_lead() -> None:
    gains = (changed("5 %") / LEADS)[:, 500]

    assert set(np.round(gains, 6)) == {0.95, 1.05}

"""Resampling keeps what the model reads, removes what would alias, and shifts nothing in time."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fhir_ecg.ecg.recording import Recording
from fhir_ecg.ecg.resampling import resample, window

TARGET = 100.0
# The filter rings where a recording begins and ends; between, it must be faithful.
MIDDLE = slice(50, -50)

rates = st.floats(50, 2000, allow_nan=False)


def sine(hertz: float, rate: float, seconds: float = 10.0, phase: float = 0.0) -> NDArray[np.float64]:
    times = np.arange(round(seconds * rate)) / rate
    return np.sin(2 * np.pi * hertz * times + phase)[np.newaxis]


def recording(rate: float, samples: int) -> Recording:
    """Twelve leads, each a slow ramp of its own."""
    return Recording(ramps(np.arange(samples) / rate), rate)


def ramps(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """0.1 mV a second, lead k from k / 10 mV on."""
    return (times + np.arange(12)[:, np.newaxis]) / 10


@given(rate=rates)
@example(rate=50.0)
@example(rate=1000 / 3.88)
@example(rate=2000.0)
@example(rate=100.0099)  # where the ratio is furthest from the true one
@settings(max_examples=40)
def test_a_sine_of_7_hz_survives_from_any_rate_in_its_place(rate: float) -> None:
    """Within a millisecond, in which it goes by 0.044 at most."""
    resampled = resample(sine(7, rate), rate, TARGET)
    expected = np.sin(2 * np.pi * 7 * np.arange(resampled.shape[1]) / TARGET)
    np.testing.assert_allclose(resampled[0, MIDDLE], expected[MIDDLE], atol=0.045)


@pytest.mark.parametrize("hertz", [70.0, 93.0, 130.0, 210.0])
def test_what_would_alias_is_removed_by_at_least_40_decibels(hertz: float) -> None:
    resampled = resample(sine(hertz, 500.0), 500.0, TARGET)
    assert np.abs(resampled[0, MIDDLE]).max() < 10 ** (-40 / 20)
    # Without a filter, every fifth sample of it would be a sine of full height at a false frequency.
    assert np.abs(sine(hertz, 500.0)[0, ::5]).max() > 0.9


@pytest.mark.parametrize("rate", [100 / 3, 128.0, 250.0, 257.73, 500.0, 1000.0])
def test_a_beat_stays_at_its_time(rate: float) -> None:
    times = np.arange(round(10 * rate)) / rate
    beat = np.exp(-(((times - 4.2) / 0.08) ** 2))[np.newaxis]
    resampled = resample(beat, rate, TARGET)
    expected = np.exp(-(((np.arange(resampled.shape[1]) / TARGET - 4.2) / 0.08) ** 2))
    np.testing.assert_allclose(resampled[0], expected, atol=0.01)


def test_the_same_rate_leaves_every_sample() -> None:
    leads = sine(40, TARGET)
    np.testing.assert_array_equal(resample(leads, TARGET, TARGET), leads)


def test_a_constant_offset_does_not_sag_at_the_ends() -> None:
    np.testing.assert_allclose(resample(np.full((2, 5000), 1.5), 500.0, TARGET), 1.5, atol=1e-9)


@given(rate=rates, surplus=st.sampled_from([0, 1, 700]))
@example(rate=1000 / 3.88, surplus=0)
@example(rate=1000 / 3.9, surplus=0)
@example(rate=50.0, surplus=0)
@settings(max_examples=60)
def test_a_window_of_10_s_has_1000_samples_at_any_rate(rate: float, surplus: int) -> None:
    enough = int(np.ceil(10 * rate - 1e-6)) + surplus
    taken = window(recording(rate, enough), 10.0, TARGET)
    assert taken is not None
    assert taken.shape == (12, 1000)
    expected = ramps(np.arange(1000) / TARGET)
    np.testing.assert_allclose(taken[:, 20:-20], expected[:, 20:-20], atol=0.002)


@pytest.mark.parametrize("rate", [50.0, 100.0, 1000 / 3.88, 500.0, 2000.0])
def test_a_window_holds_the_last_values_for_a_tenth_of_a_second_at_most(rate: float) -> None:
    fewest = int(np.ceil(9.9 * rate - 1e-6))
    taken = window(recording(rate, fewest), 10.0, TARGET)
    assert taken is not None
    assert taken.shape == (12, 1000)
    expected = np.minimum(ramps(np.arange(1000) / TARGET), ramps(np.array([fewest - 1]) / rate))
    np.testing.assert_allclose(taken[:, 20:], expected[:, 20:], atol=0.002)
    assert window(recording(rate, fewest - 1), 10.0, TARGET) is None


@pytest.mark.parametrize("gap_at", [4960, 4995])
def test_a_gap_before_an_early_end_is_not_held_over(gap_at: int) -> None:
    leads = recording(500.0, 4999).leads.copy()
    leads[7, gap_at:] = np.nan
    assert window(Recording(leads, 500.0), 10.0, TARGET) is None


def test_a_window_is_the_first_10_s_and_nothing_of_what_follows() -> None:
    short = recording(500.0, 5500)
    later = Recording(np.hstack([short.leads, np.full((12, 20000), 99.0)]), 500.0)
    np.testing.assert_array_equal(window(short, 10.0, TARGET), window(later, 10.0, TARGET))


def test_where_a_recording_goes_on_the_end_of_the_window_is_no_edge() -> None:
    times = np.arange(6000) / 500.0
    taken = window(Recording(np.tile(np.sin(2 * np.pi * 7 * times), (12, 1)), 500.0), 10.0, TARGET)
    assert taken is not None
    expected = np.sin(2 * np.pi * 7 * np.arange(1000) / TARGET)
    np.testing.assert_allclose(taken[0, MIDDLE.start :], expected[MIDDLE.start :], atol=0.005)


@pytest.mark.parametrize("gap_at", [5000, 5001, 5499, 6000])
def test_a_gap_after_10_s_is_ignored(gap_at: int) -> None:
    whole = recording(500.0, 7000)
    leads = whole.leads.copy()
    leads[7, gap_at:] = np.nan
    taken = window(Recording(leads, 500.0), 10.0, TARGET)
    assert taken is not None
    assert taken.shape == (12, 1000)
    np.testing.assert_allclose(taken[:, 20:-20], window(whole, 10.0, TARGET)[:, 20:-20], atol=1e-3)


@pytest.mark.parametrize("gap_at", [0, 2500, 4999])
def test_a_gap_of_one_sample_of_one_lead_within_10_s_gives_no_window(gap_at: int) -> None:
    leads = recording(500.0, 7000).leads.copy()
    leads[7, gap_at] = np.nan
    assert window(Recording(leads, 500.0), 10.0, TARGET) is None

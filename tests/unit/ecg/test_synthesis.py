"""The synthetic ECGs show what their parameters say."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from fhir_ecg.ecg.leads import TWELVE_LEADS, Lead
from fhir_ecg.ecg.quality import quality_findings
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.ecg.synthesis import EXAMPLES, EcgParameters, synthesise

RATE = 500.0
BEFORE, AFTER = 0.45, 0.5

Signal = NDArray[np.float64]


def example(name: str, seed: int = 1, seconds: float = 10.0) -> Recording:
    return synthesise(EXAMPLES[name], seconds, RATE, seed)


def lead(recording: Recording, name: Lead) -> Signal:
    samples: Signal = recording.leads[TWELVE_LEADS.index(name)]
    return samples


def r_peaks(recording: Recording) -> Signal:
    """Times in seconds of the R peaks in V6, which has a tall R in every example."""
    peaks, _ = signal.find_peaks(lead(recording, Lead.V6), height=0.5, distance=int(0.25 * RATE))
    times: Signal = peaks / RATE
    return times


def median_beat(recording: Recording, name: Lead) -> Signal:
    """The median beat of a lead from BEFORE to AFTER its R peak, above the level between T and P."""
    samples = lead(recording, name)
    whole = [t for t in r_peaks(recording) if t > BEFORE and t + AFTER < recording.seconds]
    beats = [samples[round((t - BEFORE) * RATE) : round((t + AFTER) * RATE)] for t in whole]
    beat = np.median(beats, axis=0)
    level: Signal = beat - np.median(at(beat, -0.30, -0.26))
    return level


def at(beat: Signal, start: float, end: float) -> Signal:
    """The part of a median beat between two times in seconds after R."""
    return beat[round((start + BEFORE) * RATE) : round((end + BEFORE) * RATE)]


def p_onset(recording: Recording) -> float:
    """Seconds from the R peak to where P in lead II first exceeds a tenth of its height."""
    early = at(median_beat(recording, Lead.II), -0.38, -0.06)
    early = early - np.median(early[:10])
    peak = int(np.argmax(early))
    return float(np.flatnonzero(early[:peak] < 0.1 * early[peak])[-1] / RATE - 0.38)


@pytest.mark.parametrize("name", EXAMPLES)
class TestEveryExample:
    def test_is_a_finite_recording_of_good_quality(self, name: str) -> None:
        recording = example(name)
        assert recording.leads.shape == (12, 5000)
        assert np.isfinite(recording.leads).all()
        assert quality_findings(recording) == []

    def test_obeys_einthoven_and_goldberger(self, name: str) -> None:
        one, two, three, avr, avl, avf = example(name).leads[:6]
        np.testing.assert_allclose(three, two - one, atol=1e-12)
        np.testing.assert_allclose(avr, -(one + two) / 2, atol=1e-12)
        np.testing.assert_allclose(avl, one - two / 2, atol=1e-12)
        np.testing.assert_allclose(avf, two - one / 2, atol=1e-12)

    def test_has_its_heart_rate(self, name: str) -> None:
        peaks = r_peaks(example(name, seconds=60))
        assert 60 / np.diff(peaks).mean() == pytest.approx(EXAMPLES[name].heart_rate, rel=0.05)

    def test_stays_within_the_voltages_of_a_human_heart(self, name: str) -> None:
        assert 0.8 < np.abs(example(name).leads).max() < 3.5

    def test_is_the_same_for_the_same_seed_only(self, name: str) -> None:
        assert example(name, seed=3).sha256() == example(name, seed=3).sha256()
        assert example(name, seed=3).sha256() != example(name, seed=4).sha256()

    def test_beats_at_the_same_times_at_any_sampling_rate(self, name: str) -> None:
        fast, slow = example(name), synthesise(EXAMPLES[name], 10, 250, 1)
        # What is left is the noise, which has samples of its own at each rate.
        assert np.abs(fast.leads[:, ::2] - slow.leads).max() < 0.25


class TestNormalSinusRhythm:
    recording = example("normal-sinus-rhythm")

    @pytest.mark.parametrize(
        ("name", "low", "high"),
        [
            (Lead.I, 0.4, 0.8),
            (Lead.II, 0.8, 1.2),
            (Lead.V1, 0.05, 0.3),
            (Lead.V5, 1.0, 1.5),
            (Lead.V6, 0.8, 1.3),
        ],
    )
    def test_r_waves(self, name: Lead, low: float, high: float) -> None:
        assert low < at(median_beat(self.recording, name), -0.05, 0.05).max() < high

    def test_r_grows_from_v1_to_v5_and_v1_is_mostly_negative(self) -> None:
        chest = [median_beat(self.recording, name) for name in TWELVE_LEADS[6:11]]
        heights = [at(beat, -0.05, 0.05).max() for beat in chest]
        assert heights == sorted(heights)
        assert at(chest[0], -0.05, 0.05).min() < -0.6

    def test_p_is_upright_in_ii_and_biphasic_in_v1(self) -> None:
        assert 0.08 < at(median_beat(self.recording, Lead.II), -0.22, -0.08).max() < 0.18
        p = at(median_beat(self.recording, Lead.V1), -0.22, -0.08)
        assert p.max() > 0.02
        assert p.min() < -0.02
        assert p.argmax() < p.argmin()

    @pytest.mark.parametrize("name", [Lead.II, Lead.V3, Lead.V4, Lead.V5])
    def test_t_is_upright_after_an_isoelectric_st(self, name: Lead) -> None:
        beat = median_beat(self.recording, name)
        assert 0.2 < at(beat, 0.15, 0.4).max() < 0.5
        assert np.abs(at(beat, 0.06, 0.09)).max() < 0.05

    def test_avr_is_negative(self) -> None:
        beat = median_beat(self.recording, Lead.AVR)
        assert beat[np.abs(beat).argmax()] < -0.5

    def test_r_intervals_vary_a_little(self) -> None:
        intervals = np.diff(r_peaks(example("normal-sinus-rhythm", seconds=60)))
        assert 0.005 < intervals.std() / intervals.mean() < 0.04

    def test_noise_is_a_few_microvolts(self) -> None:
        quiet = np.diff(at(lead(self.recording, Lead.V5)[: round(RATE)], -0.44, -0.30))
        assert 0.002 < quiet.std() / np.sqrt(2) < 0.008


@pytest.mark.parametrize("pr", [0.14, 0.16, 0.20, 0.28])
def test_pr_interval_is_as_asked(pr: float) -> None:
    recording = synthesise(EcgParameters(heart_rate=60, pr_interval=pr), 10, RATE, 1)
    qrs_onset = -0.040
    assert qrs_onset - p_onset(recording) == pytest.approx(pr, abs=0.015)


@pytest.mark.parametrize(("heart_rate", "qt"), [(45, 0.44), (60, 0.40), (100, 0.34)])
def test_qt_follows_the_rate(heart_rate: float, qt: float) -> None:
    recording = synthesise(EcgParameters(heart_rate=heart_rate, respiratory_arrhythmia=0), 20, RATE, 1)
    beat = signal.savgol_filter(median_beat(recording, Lead.V5), 21, 3)
    t_peak = 0.15 + at(beat, 0.15, 0.45).argmax() / RATE
    falling = at(beat, t_peak, t_peak + 0.12)
    slope = np.gradient(falling, 1 / RATE)
    steepest = int(slope.argmin())
    # T ends where the steepest tangent meets the base line.
    end = t_peak + steepest / RATE - falling[steepest] / slope[steepest]
    assert end + 0.040 == pytest.approx(qt, abs=0.03)


class TestAtrialFibrillation:
    recording = example("atrial-fibrillation", seconds=60)

    def test_is_irregular_but_within_what_the_av_node_conducts(self) -> None:
        intervals = np.diff(r_peaks(self.recording))
        assert intervals.std() / intervals.mean() > 0.15
        assert intervals.min() > 0.33
        assert abs(np.corrcoef(intervals[:-1], intervals[1:])[0, 1]) < 0.3

    def test_has_no_p_wave(self) -> None:
        p = np.ptp(at(median_beat(self.recording, Lead.II), -0.25, -0.06))
        assert p < 0.5 * np.ptp(at(median_beat(example("normal-sinus-rhythm"), Lead.II), -0.25, -0.06))

    def test_v1_has_more_power_at_4_to_9_hz_than_the_same_beats_without_it(self) -> None:
        silent = synthesise(replace(EXAMPLES["normal-sinus-rhythm"], atria="silent"), 60, RATE, 1)
        assert fibrillatory_power(self.recording) > 2 * fibrillatory_power(silent)


def fibrillatory_power(recording: Recording) -> float:
    """Median power at 4-9 Hz of V1 in the 0.2 s before each QRS, so that the beats themselves add little."""
    band = signal.butter(2, (4, 9), "bandpass", fs=RATE, output="sos")
    samples = signal.sosfiltfilt(band, lead(recording, Lead.V1))
    spans = [samples[round((t - 0.25) * RATE) : round((t - 0.08) * RATE)] for t in r_peaks(recording)[1:]]
    return float(np.median([np.mean(span**2) for span in spans]))


class TestVentricularPrematureBeats:
    recording = example("ventricular-premature-beats")

    def test_come_early_and_are_followed_by_a_compensatory_pause(self) -> None:
        intervals = np.diff(r_peaks(self.recording))
        basic = np.median(intervals)
        for number in sorted(EXAMPLES["ventricular-premature-beats"].premature_beats):
            assert intervals[number - 1] < 0.7 * basic
            assert intervals[number - 1] + intervals[number] == pytest.approx(2 * basic, rel=0.05)

    def test_are_wide_without_p_and_with_discordant_t(self) -> None:
        two, peaks = lead(self.recording, Lead.II), r_peaks(self.recording)
        sinus, premature = (two[round((t - BEFORE) * RATE) :] for t in (peaks[2], peaks[3]))
        assert width(premature) > 2 * width(sinus)
        assert np.ptp(at(premature, -0.14, -0.1)) < 0.05 < np.ptp(at(sinus, -0.14, -0.1))
        assert at(premature, 0.15, 0.4).min() < -0.3


def width(beat: Signal) -> float:
    """Seconds that a beat spends above half of its R."""
    qrs = at(beat, -0.1, 0.1)
    return float(np.count_nonzero(qrs > qrs.max() / 2) / RATE)


def test_left_bundle_branch_block_is_broad_notched_and_discordant() -> None:
    recording = example("left-bundle-branch-block")
    v6, v1 = median_beat(recording, Lead.V6), median_beat(recording, Lead.V1)
    assert width(v6) > 0.08
    assert len(signal.find_peaks(signal.savgol_filter(at(v6, -0.1, 0.1), 9, 3), prominence=0.02)[0]) == 2
    assert at(v6, 0.15, 0.4).min() < -0.1
    assert v1.min() < -1
    assert at(v1, 0.15, 0.4).max() > 0.2


def test_right_bundle_branch_block_has_a_late_r_in_v1_and_a_broad_s_in_i() -> None:
    recording = example("right-bundle-branch-block")
    v1 = at(median_beat(recording, Lead.V1), -0.05, 0.12)
    assert v1.argmax() > v1.argmin()
    assert v1.max() > 0.4
    assert at(median_beat(recording, Lead.I), 0.03, 0.08).min() < -0.2


def test_left_ventricular_hypertrophy_meets_sokolow_and_lyon() -> None:
    recording = example("left-ventricular-hypertrophy")
    s_v1 = -at(median_beat(recording, Lead.V1), -0.05, 0.05).min()
    r_v5 = at(median_beat(recording, Lead.V5), -0.05, 0.05).max()
    assert s_v1 + r_v5 > 3.5


def test_turning_the_axis_to_the_left_lifts_lead_i_over_ii() -> None:
    turned = synthesise(EcgParameters(axis_degrees=-60), 10, RATE, 1)
    assert lead(turned, Lead.I).max() > 0.8
    assert lead(turned, Lead.III).min() < -0.5


@pytest.mark.parametrize(("seconds", "rate"), [(0.0, 500.0), (10.0, 20.0), (10.0, 4000.0)])
def test_refuses_what_is_no_recording(seconds: float, rate: float) -> None:
    with pytest.raises(ValueError, match="a Recording has"):
        synthesise(EcgParameters(), seconds, rate, 1)

"""What forbids a reading and what only goes with it, by code, and that nothing after 10 s does either."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from fhir_ecg.ecg.leads import LIMB_LEADS, TWELVE_LEADS, Lead, complete_leads
from fhir_ecg.ecg.quality import QualityFinding, quality_findings, quality_warnings
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.ecg.synthesis import EXAMPLES, EcgParameters, synthesise
from fhir_ecg.ecg.wfdb_record import read_wfdb

RATE = 250.0

Leads = NDArray[np.float64]


@cache
def _example(seconds: float, rate: float) -> Recording:
    return synthesise(EcgParameters(), seconds, rate, seed=1)


def leads(seconds: float = 11.0, rate: float = RATE) -> Leads:
    return _example(seconds, rate).leads.copy()


def row(lead: Lead) -> int:
    return TWELVE_LEADS.index(lead)


def changed(lead: Lead, start: float, end: float, value: float) -> Recording:
    samples = leads()
    samples[row(lead), round(start * RATE) : round(end * RATE)] = value
    return Recording(samples, RATE)


def with_lead(lead: Lead, samples: Leads, rate: float = RATE) -> Recording:
    """The good recording with other samples in one lead."""
    replaced = leads(rate=rate)
    replaced[row(lead)] = samples
    return Recording(replaced, rate)


def with_limb_leads(one: Leads, two: Leads) -> Recording:
    """The good recording with limb leads from other I and II."""
    chest = dict(zip(TWELVE_LEADS[6:], leads()[6:], strict=True))
    return Recording(complete_leads({Lead.I: one, Lead.II: two} | chest)[0], RATE)


def noise(size: float, count: int = 1) -> Leads:
    return np.random.default_rng(5).normal(0, size, (count, round(11 * RATE)))


def codes(found: list[QualityFinding]) -> list[str]:
    return [finding.code for finding in found]


GOOD = Recording(leads(), RATE)
TWO_FAULTS = changed(Lead.V2, 0, 11, 0.3)
TWO_FAULTS.leads[row(Lead.I), 250] = np.nan
ONE, TWO = GOOD.leads[:2]
COLUMNS = Recording(GOOD.leads.copy(), RATE)
for place in range(12):  # 3 x 4: each column of three leads has a time of its own
    COLUMNS.leads[place, np.arange(COLUMNS.samples) * 4 // COLUMNS.samples != place // 3] = np.nan

TABLE = [
    pytest.param(GOOD, [], id="good"),
    pytest.param(Recording(leads(10.0), RATE), [], id="exactly 10 s"),
    pytest.param(Recording(leads(10.0)[:, :-1], RATE), [], id="a sample short"),
    pytest.param(Recording(leads(9.9), RATE), [], id="a tenth of a second short"),
    pytest.param(Recording(leads(9.9)[:, :-1], RATE), [("too-short", "9.896 s")], id="a sample more than that"),
    pytest.param(Recording(leads(3.0), RATE), [("too-short", "3.000 s")], id="3 s"),
    pytest.param(Recording(leads(10.0, 1000 / 3.88), 1000 / 3.88), [], id="rounded down to 2577"),
    pytest.param(
        Recording(changed(Lead.V6, 9.92, 9.93, np.nan).leads[:, : round(9.96 * RATE)], RATE),
        [("gap", "V6 has a gap at 9.92 s")],
        id="a gap before an early end",
    ),
    pytest.param(changed(Lead.V3, 0, 11, 0.0), [("flat-lead", "V3")], id="a lead of zeros"),
    pytest.param(changed(Lead.AVL, 0, 11, -4.2), [("flat-lead", "aVL")], id="a lead stuck at a level"),
    pytest.param(
        changed(Lead.V3, 5, 11, 0.0),
        [("lost-contact", "V3 is constant from 5.00 s to 10.00 s")],
        id="contact lost midway",
    ),
    pytest.param(changed(Lead.V3, 5, 6.9, 0.0), [], id="constant for less than 2 s"),
    pytest.param(changed(Lead.V3, 8.5, 11, 0.0), [], id="contact lost at the end of 10 s"),
    pytest.param(changed(Lead.V6, 4.0, 4.02, np.nan), [("gap", "V6 has a gap at 4.00 s")], id="a gap"),
    pytest.param(changed(Lead.V6, 0, 11, np.nan), [("gap", "V6 has a gap at 0.00 s")], id="no contact at all"),
    pytest.param(changed(Lead.V6, 10.0, 11, np.nan), [], id="a gap after 10 s"),
    pytest.param(COLUMNS, [("gap", "not recorded together")], id="3 x 4 columns"),
    pytest.param(TWO_FAULTS, [("gap", "Lead I has a gap at 1.00 s"), ("flat-lead", "V2")], id="two faults"),
    pytest.param(
        with_lead(Lead.V5, GOOD.leads[row(Lead.V4)]), [("identical-leads", "V4 and V5 are the same")], id="a lead twice"
    ),
    pytest.param(
        with_lead(Lead.V5, GOOD.leads[row(Lead.V4)] + 120.0), [("identical-leads", "")], id="twice, with an offset"
    ),
    pytest.param(
        with_lead(Lead.V4, np.minimum(GOOD.leads[row(Lead.V4)], 0.6)), [("clipped-lead", "V4")], id="R waves cut off"
    ),
    pytest.param(
        with_lead(Lead.V2, np.maximum(GOOD.leads[row(Lead.V2)], -0.6)), [("clipped-lead", "V2")], id="S waves cut off"
    ),
    pytest.param(with_lead(Lead.V2, noise(0.1)[0]), [("lead-without-beats", "V2 shows no beats")], id="only noise"),
    pytest.param(
        with_lead(Lead.V2, np.sin(np.arange(2750) / RATE * 2 * np.pi * 50)),
        [("lead-without-beats", "V2")],
        id="only mains hum",
    ),
    pytest.param(
        with_lead(Lead.V5, synthesise(EXAMPLES["sinus-tachycardia"], 11, RATE, 1).leads[row(Lead.V5)]),
        [("lead-out-of-time", "V5 shows beats at other times")],
        id="a lead from another time",
    ),
    pytest.param(
        with_limb_leads(noise(6.0)[0], TWO),
        [("lead-without-beats", f"Lead {lead} ") for lead in LIMB_LEADS if lead is not Lead.II],
        id="the left arm is loose",
    ),
    pytest.param(
        with_limb_leads(noise(0.5)[0], TWO),
        [("lead-without-beats", f"Lead {lead} ") for lead in (Lead.I, Lead.AVL)],
        id="the left arm is a little loose",
    ),
    pytest.param(Recording(noise(0.1, 12), RATE), [("no-beats", "Look at the patient")], id="noise in every lead"),
    pytest.param(
        Recording(np.outer(np.ones(12), noise(0.1)[0]) + noise(0.01, 12), RATE), [("no-beats", "")], id="common noise"
    ),
    pytest.param(with_limb_leads(-ONE, TWO - ONE), [("limb-reversal", "the left arm")], id="arms exchanged"),
    pytest.param(with_limb_leads(ONE - TWO, -TWO), [("limb-reversal", "the left leg")], id="right arm and left leg"),
]


@pytest.mark.parametrize(("recording", "expected"), TABLE)
def test_findings(recording: Recording, expected: list[tuple[str, str]]) -> None:
    found = quality_findings(recording)
    assert codes(found) == [code for code, _ in expected]
    for finding, (_, text) in zip(found, expected, strict=True):
        assert text in finding.text
        assert finding.severity == "cancels"
        assert finding.lead is None or str(finding.lead) in finding.text


@pytest.mark.parametrize(("height", "expected"), [(0.0099, True), (0.0101, False)])
def test_flat_is_below_ten_microvolts_from_lowest_to_highest(height: float, expected: bool) -> None:
    samples = leads()
    samples[0, :2500] = np.linspace(2.0, 2.0 + height, 2500)
    assert ("flat-lead" in codes(quality_findings(Recording(samples, RATE)))) is expected


def test_a_pause_of_the_heart_is_no_lost_contact() -> None:
    samples = leads()
    samples[:, round(4 * RATE) : round(7 * RATE)] = 0.0
    assert quality_findings(Recording(samples, RATE)) == []


def test_leads_that_were_derived_are_no_copies() -> None:
    """Where I is 0, II, III and aVF are the same; if only I and II were sent, that is no mistake of cables."""
    recording = with_limb_leads(np.zeros_like(TWO), TWO)
    derived = Recording(recording.leads, RATE, derived=LIMB_LEADS[2:])
    assert "identical-leads" in codes(quality_findings(recording))
    assert "identical-leads" not in codes(quality_findings(derived))


def test_one_limb_lead_across_the_axis_may_show_no_beats() -> None:
    assert quality_findings(with_lead(Lead.AVL, noise(0.02)[0])) == []


@pytest.mark.parametrize("rate", [50.0, 100.0, 250.0, 1000.0, 2000.0])
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_good_at_every_rate(name: str, rate: float) -> None:
    assert quality_findings(synthesise(EXAMPLES[name], 10, rate, 2)) == []


@pytest.mark.parametrize("heart_rate", [25, 30, 180, 240])
def test_slow_and_fast_hearts_have_beats(heart_rate: float) -> None:
    parameters = EcgParameters(heart_rate=heart_rate, respiratory_arrhythmia=0)
    assert quality_findings(synthesise(parameters, 10, 500, 1)) == []


@pytest.mark.parametrize("step", [0.001, 0.005, 0.01])
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_coarse_converter_is_not_taken_for_a_fault(name: str, step: float) -> None:
    rounded = np.round(synthesise(EXAMPLES[name], 10, 500, 3).leads / step) * step
    assert quality_findings(Recording(rounded, 500.0)) == []


def disturbed(disturbance: Callable[[Leads], Leads], of: tuple[Lead, ...], rate: float = 500.0) -> Recording:
    samples = leads(rate=rate)
    times = np.arange(samples.shape[1]) / rate
    for lead in of:
        samples[row(lead)] += disturbance(times)
    return Recording(samples, rate)


def wander(times: Leads) -> Leads:
    return 1.5 * np.sin(2 * np.pi * 0.2 * times)


def muscle(times: Leads) -> Leads:
    band = signal.butter(4, (25, 150), "bandpass", fs=500, output="sos")
    noisy: Leads = 6 * signal.sosfilt(band, np.random.default_rng(2).normal(0, 0.05, len(times)))
    return noisy


def pulses(times: Leads) -> Leads:
    return np.where(((times + 0.5) % 0.9) < 0.003, 1.0, 0.0)


def hum(hertz: float) -> Callable[[Leads], Leads]:
    return lambda times: 0.1 * np.sin(2 * np.pi * hertz * times)


LEFT = (Lead.I, Lead.V5, Lead.V6)

WARNINGS = [
    pytest.param(disturbed(wander, ()), [], id="good"),
    pytest.param(disturbed(wander, (Lead.V2,)), [("baseline-wander", Lead.V2, "lead V2, by up to 2.9")], id="wander"),
    pytest.param(disturbed(wander, LEFT), [("baseline-wander", None, "leads I, V5, V6")], id="wander in three"),
    pytest.param(disturbed(muscle, (Lead.II,)), [("muscle-noise", Lead.II, "in lead II")], id="muscle"),
    pytest.param(disturbed(hum(50), (Lead.V1,)), [("mains-hum", Lead.V1, "up to 0.07 mV")], id="hum of 50 Hz"),
    pytest.param(disturbed(hum(60.1), LEFT), [("mains-hum", None, "leads I, V5, V6")], id="hum of 60.1 Hz"),
    pytest.param(disturbed(hum(55), LEFT), [], id="55 Hz is no mains"),
    pytest.param(disturbed(pulses, LEFT), [("pacing-spikes", None, "at 11 times")], id="pacemaker"),
    pytest.param(disturbed(pulses, LEFT[:2]), [], id="spikes in two leads only"),
    pytest.param(disturbed(pulses, LEFT, 250.0), [], id="spikes at a rate too low for them"),
    pytest.param(Recording(leads(10.0)[:, :-1], RATE), [], id="a sample short of 10 s"),
    pytest.param(Recording(leads(10.0, 50.0), 50.0), [], id="10 s at the lowest rate"),
    pytest.param(Recording(leads(9.98), RATE), [("ends-early", None, "after 9.98 s")], id="20 ms short of 10 s"),
    pytest.param(Recording(leads(9.9), RATE), [("ends-early", None, "after 9.90 s")], id="100 ms short of 10 s"),
    pytest.param(Recording(leads(3.0), RATE), [], id="too short for warnings"),
    pytest.param(changed(Lead.V6, 4.0, 4.02, np.nan), [], id="nor with a gap"),
]


@pytest.mark.parametrize(("recording", "expected"), WARNINGS)
def test_warnings(recording: Recording, expected: list[tuple[str, Lead | None, str]]) -> None:
    found = quality_warnings(recording)
    assert [(finding.code, finding.lead) for finding in found] == [(code, lead) for code, lead, _ in expected]
    for finding, (_, _, text) in zip(found, expected, strict=True):
        assert text in finding.text
        assert finding.severity == "warns"


@pytest.mark.parametrize("disturbance", [wander, muscle, pulses, hum(50)])
def test_what_warns_does_not_cancel(disturbance: Callable[[Leads], Leads]) -> None:
    assert quality_findings(disturbed(disturbance, LEFT)) == []


@pytest.mark.ptbxl
@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame")
@pytest.mark.parametrize("version", ["hr", "lr"])
def test_every_real_record_can_be_read(ptbxl: Path, version: str) -> None:
    paced = set()
    records = sorted((ptbxl / "wfdb500").glob(f"*_{version}.hea"))
    assert records
    for path in records:
        recording = read_wfdb(path).recording
        assert quality_findings(recording) == [], path.stem
        if "pacing-spikes" in codes(quality_warnings(recording)):
            paced.add(path.stem)
    assert paced == ({"00144_hr", "00190_hr"} if version == "hr" else set())

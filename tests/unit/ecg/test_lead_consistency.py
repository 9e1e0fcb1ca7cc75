"""Contradictions between limb leads are found and explained; offsets, rounding and filters are none."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from fhir_ecg.ecg.chest_lead_copies import chest_lead_copies
from fhir_ecg.ecg.lead_consistency import (
    LimbLeadFault,
    implausible_amplitude,
    limb_lead_inconsistency,
)
from fhir_ecg.ecg.leads import CHEST_LEADS, LIMB_LEADS, TWELVE_LEADS, Lead
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.ecg.synthesis import EXAMPLES, synthesise
from fhir_ecg.ecg.wfdb_record import read_wfdb

Leads = NDArray[np.float64]
Change = Callable[[Leads], Leads]

RATE = 500.0
GOOD = synthesise(EXAMPLES["first-degree-av-block"], 10, RATE, 4)

SWAPS = list(combinations(LIMB_LEADS, 2))
GAINS = [0.001, 0.5, 2.0, 10.0, 1000.0]


def row(lead: Lead) -> int:
    return TWELVE_LEADS.index(lead)


def swapped(recording: Recording, first: Lead, second: Lead) -> Recording:
    leads = recording.leads.copy()
    leads[[row(first), row(second)]] = leads[[row(second), row(first)]]
    return Recording(leads, recording.sampling_rate, recording.derived)


def scaled(recording: Recording, lead: Lead, factor: float) -> Recording:
    leads = recording.leads.copy()
    leads[row(lead)] *= factor
    return Recording(leads, recording.sampling_rate, recording.derived)


def sent(*leads: Lead) -> tuple[Lead, ...]:
    """What `derived` is where only these limb leads were sent."""
    return tuple(lead for lead in LIMB_LEADS if lead not in leads)


def causes(recording: Recording) -> tuple[LimbLeadFault, ...] | None:
    inconsistency = limb_lead_inconsistency(recording)
    return inconsistency.causes if inconsistency else None


def explains(fault: LimbLeadFault, kind: str, *leads: Lead) -> bool:
    return (fault.kind, fault.leads) == (kind, leads)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("rate", [50.0, 100.0, 257.73, 500.0, 2000.0])
def test_consistent_leads_have_no_violation(name: str, rate: float) -> None:
    assert limb_lead_inconsistency(synthesise(EXAMPLES[name], 10, rate, 1)) is None


@pytest.mark.parametrize(("first", "second"), SWAPS)
def test_a_swap_is_named(first: Lead, second: Lead) -> None:
    (cause,) = causes(swapped(GOOD, first, second)) or ()
    assert explains(cause, "swapped", first, second)


@pytest.mark.parametrize("lead", LIMB_LEADS)
def test_an_inversion_is_named(lead: Lead) -> None:
    (cause,) = causes(scaled(GOOD, lead, -1)) or ()
    assert explains(cause, "inverted", lead)


@pytest.mark.parametrize("lead", LIMB_LEADS)
@pytest.mark.parametrize("factor", [*GAINS, -1000.0])
def test_a_gain_is_named_and_measured(lead: Lead, factor: float) -> None:
    (cause,) = causes(scaled(GOOD, lead, factor)) or ()
    assert explains(cause, "gain", lead)
    assert cause.factor == pytest.approx(factor, rel=0.02)


def test_the_text_says_what_is_broken_by_how_much_and_why() -> None:
    inconsistency = limb_lead_inconsistency(scaled(GOOD, Lead.III, 1000))
    assert inconsistency is not None
    assert "III = II - I (by " in inconsistency.text
    assert "aVR" not in inconsistency.text
    assert "if lead III has 1,000 times its amplitude (another unit than the others?)." in inconsistency.text


def test_an_inverted_avr_is_called_what_it_is() -> None:
    inconsistency = limb_lead_inconsistency(scaled(GOOD, Lead.AVR, -1))
    assert inconsistency is not None
    assert [v.identity for v in inconsistency.violations] == ["aVR = -I / 2 - II / 2"]
    assert "lead aVR is inverted (-aVR was sent as aVR)" in inconsistency.text


def test_violations_are_measured() -> None:
    leads = GOOD.leads.copy()
    beat = 0.3 * np.sin(2 * np.pi * 5 * np.arange(leads.shape[1]) / RATE)
    leads[row(Lead.AVF)] += beat
    inconsistency = limb_lead_inconsistency(Recording(leads, RATE))
    assert inconsistency is not None
    (violation,) = inconsistency.violations
    assert violation.lead is Lead.AVF
    assert violation.identity == "aVF = II - I / 2"
    # 40 ms of smoothing leave 94 % of 5 Hz.
    assert violation.residual_mv == pytest.approx(0.94 * beat.std(), rel=0.05)
    assert violation.relative > 0.5


def offsets(leads: Leads) -> Leads:
    return leads + np.linspace(-300, 300, 12)[:, np.newaxis]


def of_one_lead(lead: Lead, change: Change) -> Change:
    def changed(leads: Leads) -> Leads:
        leads = leads.copy()
        leads[row(lead)] = change(leads[row(lead)])
        return leads

    return changed


def filtered(kind: str, hertz: float) -> Change:
    sections = signal.butter(1, hertz, kind, fs=RATE, output="sos")
    return lambda samples: signal.sosfilt(sections, samples)


def gap(leads: Leads) -> Leads:
    leads = leads.copy()
    leads[3, 1000:2000] = np.nan
    return leads


TOLERATED = [
    pytest.param(offsets, id="offsets of electrodes"),
    pytest.param(lambda leads: np.round(leads / 0.005) * 0.005, id="5 uV steps"),
    pytest.param(lambda leads: np.round(leads / 0.01) * 0.01, id="10 uV steps"),
    pytest.param(of_one_lead(Lead.AVL, filtered("highpass", 0.5)), id="a high-pass of its own"),
    pytest.param(of_one_lead(Lead.II, filtered("lowpass", 40)), id="a low-pass of its own"),
    pytest.param(of_one_lead(Lead.II, lambda samples: np.roll(samples, 1)), id="2 ms late"),
    pytest.param(of_one_lead(Lead.I, lambda samples: 1.1 * samples), id="10 % of gain"),
    pytest.param(gap, id="a gap"),
    pytest.param(np.zeros_like, id="zeros"),
    pytest.param(lambda leads: np.full_like(leads, np.nan), id="nothing but a gap"),
]


@pytest.mark.parametrize("change", TOLERATED)
def test_what_devices_do_is_tolerated(change: Change) -> None:
    assert limb_lead_inconsistency(Recording(change(GOOD.leads), RATE)) is None


@pytest.mark.parametrize("change", TOLERATED[:-2])
def test_a_swap_is_found_all_the_same(change: Change) -> None:
    recording = swapped(Recording(change(GOOD.leads), RATE), Lead.I, Lead.AVF)
    found = causes(recording)
    assert found is not None
    assert all(explains(cause, "swapped", Lead.I, Lead.AVF) for cause in found)


def test_a_lead_of_something_else_disagrees() -> None:
    noise = np.random.default_rng(1).normal(0, 1.0, GOOD.samples)
    (cause,) = causes(Recording(of_one_lead(Lead.AVL, lambda _: noise)(GOOD.leads), RATE)) or ()
    assert explains(cause, "disagrees", Lead.AVL)


def test_two_faults_are_found_without_a_cause() -> None:
    inconsistency = limb_lead_inconsistency(scaled(scaled(GOOD, Lead.I, -1), Lead.AVF, 10))
    assert inconsistency is not None
    assert inconsistency.causes == ()
    assert "No single swap, inversion or gain" in inconsistency.text


@pytest.mark.parametrize("count", [0, 1, 2])
def test_two_leads_cannot_contradict_each_other(count: int) -> None:
    leads = GOOD.leads.copy()
    leads[:6] = np.random.default_rng(1).normal(0, 1, (6, GOOD.samples))
    assert limb_lead_inconsistency(Recording(leads, RATE, derived=sent(*LIMB_LEADS[:count]))) is None


def test_of_three_leads_the_causes_cannot_be_told_apart() -> None:
    recording = Recording(GOOD.leads, RATE, derived=sent(Lead.I, Lead.II, Lead.III))
    found = causes(swapped(recording, Lead.I, Lead.II)) or ()
    assert any(explains(cause, "swapped", Lead.I, Lead.II) for cause in found)
    assert any(explains(cause, "inverted", Lead.III) for cause in found)


@pytest.mark.parametrize("leads", list(combinations(LIMB_LEADS, 4)))
def test_four_leads_of_any_kind_are_a_check(leads: tuple[Lead, ...]) -> None:
    recording = Recording(GOOD.leads, RATE, derived=sent(*leads))
    assert limb_lead_inconsistency(recording) is None
    for lead in leads:
        found = causes(scaled(recording, lead, 1000)) or ()
        assert [cause.leads for cause in found if cause.kind == "gain"] == [(lead,)]


def test_exchanged_electrodes_obey_every_identity() -> None:
    one, two, three, avr, avl, avf = GOOD.leads[:6]
    arms = np.vstack([np.stack([-one, three, two, avl, avr, avf]), GOOD.leads[6:]])
    assert limb_lead_inconsistency(Recording(arms, RATE)) is None


def counted_on(leads: Leads) -> Leads:
    """What is read where the twelve leads are numbered through: V1 is III, V2 aVR ... V5 V1, and III to aVF follow."""
    return np.vstack([leads[:6], leads[2:8]])


def in_steps(step: float) -> Change:
    """The leads that were sent in steps of a converter, and the others derived from them."""

    def changed(leads: Leads) -> Leads:
        steps = np.round(leads / step) * step
        one, two = steps[:2]
        derived = [two - one, -(one + two) / 2, one - two / 2, two - one / 2]
        return np.stack([one, two, *derived, *steps[6:]])

    return changed


def with_chest(lead: Lead, samples: Leads) -> Change:
    return of_one_lead(lead, lambda _: samples)


AVR = GOOD.leads[row(Lead.AVR)]
ALL_FOUR = [(Lead.V1, "III"), (Lead.V2, "aVR"), (Lead.V3, "aVL"), (Lead.V4, "aVF")]


def only_at(start: int, stop: int) -> Change:
    """Nothing but a gap elsewhere in V1, which is aVR."""
    times = np.arange(GOOD.samples)
    return with_chest(Lead.V1, np.where((times >= start) & (times < stop), AVR, np.nan))


COPIES = [
    pytest.param(lambda leads: leads, [], id="none"),
    pytest.param(counted_on, ALL_FOUR, id="leads numbered through"),
    pytest.param(lambda leads: offsets(counted_on(leads)), ALL_FOUR, id="with offsets"),
    pytest.param(lambda leads: in_steps(0.01)(counted_on(leads)), ALL_FOUR, id="in steps of 10 uV"),
    pytest.param(lambda leads: in_steps(0.025)(counted_on(leads)), [(Lead.V2, "aVR")], id="in steps of 25 uV"),
    pytest.param(lambda leads: gap(counted_on(leads)), ALL_FOUR, id="with a gap"),
    pytest.param(lambda leads: counted_on(leads / 3), ALL_FOUR[1:], id="of low voltage"),
    pytest.param(with_chest(Lead.V6, -AVR), [(Lead.V6, "-aVR")], id="one, upside down"),
    pytest.param(with_chest(Lead.V2, AVR + 0.02), [(Lead.V2, "aVR")], id="one, with an offset"),
    pytest.param(with_chest(Lead.V2, 1.2 * AVR), [], id="of another gain"),
    pytest.param(only_at(1000, 1500), [(Lead.V1, "aVR")], id="a second"),
    pytest.param(only_at(1000, 1499), [], id="less than a second"),
    pytest.param(with_chest(Lead.V1, np.zeros(GOOD.samples)), [], id="a flat chest lead"),
    pytest.param(lambda leads: leads * np.where(np.arange(12) < 6, 0.0, 1.0)[:, np.newaxis], [], id="flat limb leads"),
    pytest.param(np.zeros_like, [], id="all flat"),
    pytest.param(lambda leads: leads / 100, [], id="nearly flat"),
    pytest.param(lambda leads: np.full_like(leads, np.nan), [], id="nothing but a gap"),
]


@pytest.mark.parametrize(("change", "expected"), COPIES)
def test_chest_leads_that_are_limb_leads(change: Change, expected: list[tuple[Lead, str]]) -> None:
    found = chest_lead_copies(Recording(change(GOOD.leads), RATE))
    assert [str(copy) for copy in found] == [f"{chest} is the same signal as {limb}" for chest, limb in expected]


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("rate", [50.0, 257.73, 2000.0])
def test_of_leads_numbered_through_four_are_found_in_any_heart(name: str, rate: float) -> None:
    leads = synthesise(EXAMPLES[name], 10, rate, 1).leads
    assert chest_lead_copies(Recording(leads, rate)) == ()
    copies = chest_lead_copies(Recording(counted_on(leads), rate, derived=LIMB_LEADS[2:]))
    assert {copy.chest for copy in copies} >= set(CHEST_LEADS[:4])


@pytest.mark.ptbxl
@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame")
@pytest.mark.parametrize("version", ["hr", "lr"])
def test_real_records(ptbxl: Path, version: str) -> None:
    """Every fault of the kinds above in every real record is found and named; docs/signal-quality.md counts them."""
    records = sorted((ptbxl / "wfdb500").glob(f"*_{version}.hea"))
    assert records
    for number, path in enumerate(records):
        recording = read_wfdb(path).recording
        assert limb_lead_inconsistency(recording) is None, path.stem
        assert implausible_amplitude(recording) is None, path.stem
        assert chest_lead_copies(recording) == (), path.stem
        assert chest_lead_copies(Recording(counted_on(recording.leads), recording.sampling_rate)), path.stem
        # All faults in all records take minutes; in turn, each is tried in some.
        first, second = SWAPS[number % len(SWAPS)]
        (cause,) = causes(swapped(recording, first, second)) or ()
        assert explains(cause, "swapped", first, second), path.stem
        lead, factor = LIMB_LEADS[number % 6], GAINS[number % 5]
        (cause,) = causes(scaled(recording, lead, factor)) or ()
        assert explains(cause, "gain", lead), path.stem
        (cause,) = causes(scaled(recording, lead, -1)) or ()
        assert explains(cause, "inverted", lead), path.stem


def one_lead_wide(leads: Leads) -> Leads:
    leads = leads.copy()
    leads[row(Lead.V3)] *= 1000
    return leads


def one_artefact(leads: Leads) -> Leads:
    leads = leads.copy()
    leads[row(Lead.V3), 100:150] = 25.0
    return leads


AMPLITUDES = [
    pytest.param(lambda leads: leads, None, id="a heart's"),
    pytest.param(offsets, None, id="offsets are no amplitude"),
    pytest.param(one_artefact, None, id="an artefact of 25 mV"),
    pytest.param(lambda leads: leads / 4, None, id="low voltage"),
    pytest.param(np.zeros_like, None, id="zeros are the business of signal quality"),
    pytest.param(lambda leads: np.full_like(leads, np.nan), None, id="so is a gap"),
    pytest.param(lambda leads: leads * 1e3, "1,000 times smaller: as if uV were sent as mV", id="uV as mV"),
    pytest.param(lambda leads: leads * 1e6, "1,000,000 times smaller: as if nV were sent as mV", id="nV as mV"),
    pytest.param(lambda leads: leads / 1e3, "1,000 times larger: as if V were sent as mV", id="V as mV"),
    pytest.param(lambda leads: leads * 1e12, "No usual mistake of unit explains it", id="far too large"),
    pytest.param(one_lead_wide, "Lead V3 alone spans", id="one lead of another unit"),
]


@pytest.mark.parametrize(("change", "expected"), AMPLITUDES)
def test_amplitudes(change: Change, expected: str | None) -> None:
    text = implausible_amplitude(Recording(change(GOOD.leads), RATE))
    assert text is None if expected is None else expected in str(text)

"""What forbids a reading, by code, and that nothing after 10 s does."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fhir_ecg.ecg.leads import TWELVE_LEADS, Lead
from fhir_ecg.ecg.quality import quality_findings
from fhir_ecg.ecg.recording import Recording

RATE = 250.0


def leads(seconds: float = 11.0, rate: float = RATE) -> NDArray[np.float64]:
    times = np.arange(round(seconds * rate)) / rate
    return np.outer(np.linspace(0.5, 1.5, 12), np.sin(2 * np.pi * 1.2 * times))


def row(lead: Lead) -> int:
    return TWELVE_LEADS.index(lead)


def changed(lead: Lead, start: float, end: float, value: float) -> Recording:
    samples = leads()
    samples[row(lead), round(start * RATE) : round(end * RATE)] = value
    return Recording(samples, RATE)


GOOD = Recording(leads(), RATE)
TWO_FAULTS = changed(Lead.V2, 0, 11, 0.3)
TWO_FAULTS.leads[row(Lead.I), 250] = np.nan

TABLE = [
    pytest.param(GOOD, [], id="good"),
    pytest.param(Recording(leads(10.0), RATE), [], id="exactly 10 s"),
    pytest.param(Recording(leads(10.0)[:, :-1], RATE), [("too-short", "10.00 s")], id="a sample short"),
    pytest.param(Recording(leads(3.0), RATE), [("too-short", "3.00 s")], id="3 s"),
    pytest.param(Recording(leads(10.0, 1000 / 3.88), 1000 / 3.88), [("too-short", "")], id="rounded down to 2577"),
    pytest.param(changed(Lead.V3, 0, 11, 0.0), [("flat-lead", "V3")], id="a lead of zeros"),
    pytest.param(changed(Lead.AVL, 0, 11, -4.2), [("flat-lead", "aVL")], id="a lead stuck at a level"),
    pytest.param(changed(Lead.V3, 5, 11, 0.0), [], id="contact lost midway is no flat lead"),
    pytest.param(changed(Lead.V6, 4.0, 4.02, np.nan), [("gap", "V6 has a gap at 4.00 s")], id="a gap"),
    pytest.param(changed(Lead.V6, 0, 11, np.nan), [("gap", "V6 has a gap at 0.00 s")], id="no contact at all"),
    pytest.param(changed(Lead.V6, 10.0, 11, np.nan), [], id="a gap after 10 s"),
    pytest.param(TWO_FAULTS, [("gap", "Lead I has a gap at 1.00 s"), ("flat-lead", "V2")], id="two faults"),
]


@pytest.mark.parametrize(("recording", "expected"), TABLE)
def test_findings(recording: Recording, expected: list[tuple[str, str]]) -> None:
    found = quality_findings(recording)
    assert [finding.code for finding in found] == [code for code, _ in expected]
    for finding, (_, text) in zip(found, expected, strict=True):
        assert text in finding.text


@pytest.mark.parametrize(("height", "codes"), [(0.0099, ["flat-lead"]), (0.0101, [])])
def test_flat_is_below_ten_microvolts_from_lowest_to_highest(height: float, codes: list[str]) -> None:
    samples = leads()
    samples[0] = np.linspace(2.0, 2.0 + height, samples.shape[1])
    recording = Recording(samples[:, :2500], RATE)
    samples[0, :2500] = np.linspace(2.0, 2.0 + height, 2500)
    assert [finding.code for finding in quality_findings(recording)] == codes

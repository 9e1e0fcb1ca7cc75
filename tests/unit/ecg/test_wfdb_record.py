"""WFDB records as other programs write them, read as Recordings or refused with a reason."""

import re
from collections.abc import Callable, Sequence
from datetime import date, time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fhir_ecg.ecg.leads import CHEST_LEADS, TWELVE_LEADS, Lead
from fhir_ecg.ecg.wfdb_record import UnreadableRecordError, read_wfdb

# wfdb imports pandas and calls it in a way that pandas 3.1 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame")

RATE, SAMPLES = 100, 250
STEP = 0.005
NAMES = [str(lead) for lead in TWELVE_LEADS]


def waves(count: int = 12) -> NDArray[np.float64]:
    """(samples, leads) in mV, in whole steps of 5 microvolts; limb leads obey the algebra."""
    times = np.arange(SAMPLES) / RATE
    shapes = [np.round(np.sin(2 * np.pi * (1 + k) * times) / STEP) * STEP for k in range(count)]
    first, second = shapes[0], shapes[1]
    shapes[2:6] = [second - first, -(first + second) / 2, first - second / 2, second - first / 2]
    return np.stack(shapes[:count], axis=1)


def write(
    folder: Path,
    names: Sequence[str],
    signals: NDArray[np.float64],
    unit: str = "mV",
    gain: float = 1 / STEP,
    **more: object,
) -> Path:
    """Write a record with the reference implementation."""
    import wfdb

    count = len(names)
    wfdb.wrsamp(
        "ecg", RATE, [unit] * count, list(names), p_signal=signals, fmt=["16"] * count, write_dir=str(folder),
        adc_gain=[gain] * count, baseline=[0] * count, **more,
    )  # fmt: skip
    return folder / "ecg"


@pytest.mark.parametrize(
    "names", [NAMES, [n.lower() for n in NAMES], [n.upper() for n in NAMES]], ids=["as named", "lower", "upper"]
)
def test_a_record_of_twelve_leads(tmp_path: Path, names: list[str]) -> None:
    record = read_wfdb(write(tmp_path, names, waves(), gain=2000))
    np.testing.assert_allclose(record.recording.leads, waves().T, atol=2.6e-4)
    assert record.recording.sampling_rate == RATE
    assert (record.name, record.resolution, record.date) == ("ecg", 0.0005, None)
    assert record.recording.derived == ()


@pytest.mark.parametrize("suffix", ["", ".hea", ".dat"])
def test_a_record_is_named_with_or_without_its_suffix(tmp_path: Path, suffix: str) -> None:
    stem = write(tmp_path, NAMES, waves())
    assert read_wfdb(Path(f"{stem}{suffix}")).recording.samples == SAMPLES


@pytest.mark.parametrize(("unit", "scale"), [("mV", 1), ("uV", 1000), ("V", 0.001), ("MV", 1)])
def test_voltages_become_millivolts(tmp_path: Path, unit: str, scale: float) -> None:
    record = read_wfdb(write(tmp_path, NAMES, waves() * scale, unit, gain=2000 / scale))
    np.testing.assert_allclose(record.recording.leads, waves().T, atol=2.6e-4)
    assert record.resolution == pytest.approx(0.0005)


def test_the_resolution_is_that_of_the_finest_lead(tmp_path: Path) -> None:
    stem = write(tmp_path, NAMES, waves())
    header = stem.with_suffix(".hea").read_text()
    stem.with_suffix(".hea").write_text(header.replace("dat 16 200.0", "dat 16 1000.0", 1))
    assert read_wfdb(stem).resolution == 0.001


def test_leads_in_another_order_come_out_in_ours(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(12)
    record = read_wfdb(write(tmp_path, [NAMES[k] for k in order], waves()[:, order], gain=2000))
    np.testing.assert_allclose(record.recording.leads, waves().T, atol=2.6e-4)


def test_limb_leads_that_are_not_there_are_derived(tmp_path: Path) -> None:
    names = ["II", "aVL", *CHEST_LEADS]
    record = read_wfdb(write(tmp_path, names, waves()[:, [NAMES.index(n) for n in names]], gain=2000))
    assert record.recording.derived == (Lead.I, Lead.III, Lead.AVR, Lead.AVF)
    np.testing.assert_allclose(record.recording.leads, waves().T, atol=1e-3)


def test_a_signal_that_is_no_lead_is_left_out(tmp_path: Path) -> None:
    signals = np.column_stack([np.full(SAMPLES, 90.0), waves()])
    record = read_wfdb(write(tmp_path, ["ART", *NAMES], signals))
    assert record.recording.leads.shape == (12, SAMPLES)
    assert record.recording.leads.max() < 10


def test_a_gap_is_nan(tmp_path: Path) -> None:
    signals = waves()
    signals[7, 11] = np.nan
    record = read_wfdb(write(tmp_path, NAMES, signals))
    assert np.argwhere(np.isnan(record.recording.leads)).tolist() == [[11, 7]]


def test_the_date_is_taken_and_the_time_without_a_zone_is_not(tmp_path: Path) -> None:
    stem = write(tmp_path, NAMES, waves(), base_date=date(2026, 11, 22), base_time=time(9, 30))
    assert read_wfdb(stem).date == "2026-11-22"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param([n for n in NAMES if n != "V4"], "lacks leads V4;", id="a chest lead"),
        pytest.param(["I", *CHEST_LEADS], "lacks leads II, III, aVR, aVL, aVF;", id="limb leads"),
        pytest.param(["ART", "PLETH"], "lacks leads I, II, III", id="no ECG"),
    ],
)
def test_a_record_that_lacks_leads_is_refused_by_their_names(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(UnreadableRecordError, match=message):
        read_wfdb(write(tmp_path, names, waves()[:, : len(names)]))


def sub(pattern: str, replacement: str) -> Callable[[str], str]:
    return lambda header: re.sub(pattern, replacement, header)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda _: "", "no readable WFDB record", id="empty header"),
        pytest.param(lambda _: "<html>Not found</html>", "no readable WFDB record", id="a web page"),
        pytest.param(lambda _: "\x00\x01\x02 \n", "no readable WFDB record", id="binary"),
        pytest.param(lambda _: "ecg 0 100 250\n", "lacks leads", id="no signals"),
        pytest.param(sub(r" \S+\n", "\n"), "lacks leads", id="signals without names"),
        pytest.param(sub("ecg.dat", "other.dat"), "no readable WFDB record", id="no samples"),
        pytest.param(sub("ecg 12", "ecg 14"), "no readable WFDB record", id="more signals than described"),
        pytest.param(sub("100 250", "100 25000"), "no readable WFDB record", id="longer than its samples"),
        pytest.param(sub(" 16 ", " 99 "), "no readable WFDB record", id="unknown format"),
        pytest.param(sub("12 100 250", "12 10 250"), "50 to 2000 samples a second, not 10", id="too slow"),
        pytest.param(sub("/mV", "/mmHg"), "lead I is in mmHg; voltages are in V, mV or uV", id="no voltage"),
        pytest.param(sub("V2\n", "V1\n"), "lead V1 stands twice", id="one lead twice"),
        pytest.param(sub(r"dat 16 200\.0", "dat 16 1e400"), "lead I has gain inf", id="infinite gain"),
    ],
)
def test_a_broken_record_is_refused_with_a_reason(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    stem = write(tmp_path, NAMES, waves())
    header = stem.with_suffix(".hea").read_text()
    assert change(header) != header
    stem.with_suffix(".hea").write_text(change(header))
    with pytest.raises(UnreadableRecordError, match=message):
        read_wfdb(stem)


def test_a_record_that_is_not_there_is_refused_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecordError, match=r"absent is no readable WFDB record: .*absent\.hea"):
        read_wfdb(tmp_path / "absent")
    with pytest.raises(UnreadableRecordError):
        read_wfdb(tmp_path)


def test_a_negative_gain_turns_the_lead_and_leaves_its_step_positive(tmp_path: Path) -> None:
    stem = write(tmp_path, NAMES, waves())
    header = stem.with_suffix(".hea").read_text()
    stem.with_suffix(".hea").write_text(header.replace("dat 16 200.0", "dat 16 -200.0"))
    record = read_wfdb(stem)
    np.testing.assert_allclose(record.recording.leads, -waves().T, atol=2.6e-3)
    assert record.resolution == STEP


@pytest.mark.ptbxl
def test_a_record_of_ptbxl(ptbxl: Path) -> None:
    header = sorted((ptbxl / "wfdb500").rglob("*.hea"))[0]
    record = read_wfdb(header)
    assert record.recording.leads.shape == (12, 5000)
    assert record.recording.sampling_rate == 500
    assert record.resolution == 0.001
    first, second, third = record.recording.leads[:3]
    np.testing.assert_allclose(third, second - first, atol=0.0021)

"""What a Recording admits, how long it lasts, and what its digest covers."""

import hashlib
import struct

import numpy as np
import pytest
from numpy.typing import NDArray

from fhir_ecg.ecg.recording import Recording

LEADS = np.arange(24, dtype=np.float64).reshape(12, 2)


def changed(place: tuple[int, int], value: float) -> NDArray[np.float64]:
    leads = LEADS.copy()
    leads[place] = value
    return leads


@pytest.mark.parametrize(
    ("leads", "rate", "message"),
    [
        pytest.param(np.zeros((11, 5)), 500.0, "12 leads", id="eleven leads"),
        pytest.param(np.zeros((5, 12)), 500.0, "12 leads", id="the wrong way round"),
        pytest.param(np.zeros(12), 500.0, "12 leads", id="one dimension"),
        pytest.param(np.zeros((12, 0)), 500.0, "at least one sample", id="no sample"),
        pytest.param(changed((3, 1), np.inf), 500.0, "finite", id="infinity"),
        pytest.param(changed((3, 1), -np.inf), 500.0, "finite", id="negative infinity"),
        pytest.param(LEADS, 49.999, "50 to 2000", id="too slow"),
        pytest.param(LEADS, 2000.001, "50 to 2000", id="too fast"),
        pytest.param(LEADS, -500.0, "50 to 2000", id="negative"),
        pytest.param(LEADS, float("nan"), "50 to 2000", id="no number"),
    ],
)
def test_what_is_no_recording(leads: NDArray[np.float64], rate: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recording(leads, rate)


@pytest.mark.parametrize("rate", [50.0, 257.7, 2000.0])
def test_a_gap_and_the_limits_of_the_rate_are_admitted(rate: float) -> None:
    recording = Recording(changed((3, 1), np.nan), rate)
    assert recording.samples == 2
    assert recording.seconds == pytest.approx(2 / rate)
    assert (recording.derived, recording.repairs) == ((), ())


def test_the_digest_is_of_the_rate_and_the_samples_as_little_endian_doubles() -> None:
    expected = hashlib.sha256(struct.pack("<25d", 500.0, *range(24))).hexdigest()
    assert Recording(LEADS, 500.0).sha256() == expected


def test_the_digest_does_not_depend_on_how_the_samples_lie_in_memory() -> None:
    expected = Recording(LEADS, 500.0).sha256()
    assert Recording(np.asfortranarray(LEADS), 500.0).sha256() == expected
    assert Recording(LEADS.astype(">f8"), 500.0).sha256() == expected
    assert Recording(np.repeat(LEADS, 2, axis=1)[:, ::2], 500.0).sha256() == expected


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Recording(LEADS, 250.0), id="another rate"),
        pytest.param(Recording(changed((11, 1), 23.000001), 500.0), id="another sample"),
        pytest.param(Recording(changed((0, 0), np.nan), 500.0), id="a gap"),
        pytest.param(Recording(LEADS[:, :1], 500.0), id="fewer samples"),
    ],
)
def test_the_digest_changes_with_what_it_covers(other: Recording) -> None:
    assert other.sha256() != Recording(LEADS, 500.0).sha256()

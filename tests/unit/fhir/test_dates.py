"""FHIR dates of every precision as ranges."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_ecg.fhir.dates import EARLIEST, LATEST, date_range


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2026", utc(2026, 1, 1), utc(2027, 1, 1)),
        ("2026-11", utc(2026, 11, 1), utc(2026, 12, 1)),
        ("2026-12", utc(2026, 12, 1), utc(2027, 1, 1)),
        ("2024-02", utc(2024, 2, 1), utc(2024, 3, 1)),
        ("2024-02-29", utc(2024, 2, 29), utc(2024, 3, 1)),
        ("2026-12-31", utc(2026, 12, 31), utc(2027, 1, 1)),
        ("2026-11-22T09:30", utc(2026, 11, 22, 9, 30), utc(2026, 11, 22, 9, 31)),
        ("2026-11-22T09:30Z", utc(2026, 11, 22, 9, 30), utc(2026, 11, 22, 9, 31)),
        ("2026-11-22T09:30:15Z", utc(2026, 11, 22, 9, 30, 15), utc(2026, 11, 22, 9, 30, 16)),
        ("2026-11-22T09:30:15", utc(2026, 11, 22, 9, 30, 15), utc(2026, 11, 22, 9, 30, 16)),
        ("2026-11-22T09:30:15.25Z", utc(2026, 11, 22, 9, 30, 15, 250000), utc(2026, 11, 22, 9, 30, 15, 251000)),
        ("2026-11-22T09:30:15.123456789Z", utc(2026, 11, 22, 9, 30, 15, 123456), utc(2026, 11, 22, 9, 30, 15, 124456)),
        # Zones. In a query string, a + that was not escaped arrives as a space.
        ("2026-11-22T00:30:00+01:00", utc(2026, 11, 21, 23, 30), utc(2026, 11, 21, 23, 30, 1)),
        ("2026-11-22T00:30:00 01:00", utc(2026, 11, 21, 23, 30), utc(2026, 11, 21, 23, 30, 1)),
        ("2026-11-22T23:30:00-05:30", utc(2026, 11, 23, 5), utc(2026, 11, 23, 5, 0, 1)),
        ("2026-11-22T09:30:00-00:00", utc(2026, 11, 22, 9, 30), utc(2026, 11, 22, 9, 30, 1)),
        ("2026-01-01T00:00:00+14:00", utc(2025, 12, 31, 10), utc(2025, 12, 31, 10, 0, 1)),
        # A leap second.
        ("2016-12-31T23:59:60Z", utc(2016, 12, 31, 23, 59, 59), utc(2017, 1, 1)),
        # The ends of the calendar.
        ("0001", EARLIEST, utc(2, 1, 1)),
        ("0001-01-01T00:00:00+14:00", EARLIEST, EARLIEST + timedelta(seconds=1)),
        ("9999", utc(9999, 1, 1), LATEST),
        ("9999-12", utc(9999, 12, 1), LATEST),
        ("9999-12-31", utc(9999, 12, 31), LATEST),
        ("9999-12-31T23:59:59Z", utc(9999, 12, 31, 23, 59, 59), LATEST),
        ("9999-12-31T23:59:59.9999Z", utc(9999, 12, 31, 23, 59, 59, 999900), LATEST),
        ("9999-12-31T23:59:59-14:00", utc(9999, 12, 31, 23, 59, 59), LATEST),
    ],
)
def test_ranges(text: str, low: datetime, high: datetime) -> None:
    assert date_range(text) == (low, high)


def test_the_last_day_is_no_empty_range() -> None:
    low, high = date_range("9999-12-31")
    assert high - low == timedelta(days=1, microseconds=-1)
    assert low < date_range("9999-12-31T23:59:59Z")[0] < high


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "today", "26", "202", "20261", "2026-1", "2026-13", "2026-00", "2026-11-00", "2026-02-30",
        "2023-02-29", "2026-11-22T", "2026-11-22T09", "2026-11-22T24:00:00Z", "2026-11-22T09:60Z",
        "2026-11-22T09:30:61Z",
        "2026-11-22T09:30:15.Z", "2026-11-22T09:30:15,5Z", "2026-11-22 09:30:15Z", "2026-11-22T09:30:15+0100",
        "2026-11-22T09:30:15+15:00", "2026-11-22T09:30:15+01:60", "2026-11-22T09:30:15z", "2026-11-22Z", "2026Z",
        "0000", "20261122", "2026-W47", " 2026", "2026\n", "ge2026", "\u0662\u0660\u0662\u0666", "-2026",
    ],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(ValueError, match=r"no FHIR date|must be in|out of range|month must|day is"):
        date_range(text)


@given(st.datetimes(timezones=st.timezones() | st.just(UTC)))
def test_a_moment_lies_in_its_range(moment: datetime) -> None:
    offset = moment.utcoffset()
    if offset is None or abs(offset) >= timedelta(hours=14) or offset.total_seconds() % 60:
        moment = moment.replace(tzinfo=UTC)
    try:
        expected = moment.astimezone(UTC)
    except OverflowError:
        expected = moment.replace(tzinfo=UTC)
    low, high = date_range(moment.isoformat(timespec="microseconds"))
    assert low == expected
    assert low <= high <= LATEST


@given(st.text("0123456789-T:Z+. ", max_size=26))
def test_any_text_is_a_range_or_refused(text: str) -> None:
    try:
        low, high = date_range(text)
    except ValueError:
        return
    assert EARLIEST <= low <= high <= LATEST

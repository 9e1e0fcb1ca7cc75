"""FHIR dates of any precision as ranges of time. https://hl7.org/fhir/R4/datatypes.html#dateTime"""

import re
from datetime import UTC, datetime, timedelta

EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)

_DATE = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?"
    r"(?P<zone>Z|[+-](?:0\d|1[0-4]):[0-5]\d)?)?)?)?",
    re.ASCII,
)


def date_range(text: str) -> tuple[datetime, datetime]:
    """Turn a date, dateTime or instant into [low, high) in UTC; without a zone it is taken as UTC.

    Raises:
        ValueError: It is no FHIR date.
    """
    match = _DATE.fullmatch(text.replace(" ", "+"))  # a `+` in a query string arrives as a space
    if match is None:
        raise ValueError(f"{text[:40]!r} is no FHIR date, such as 2026-11-22 or 2026-11-22T09:30:00Z")
    low, step = _low_and_step(match)
    try:
        return low, low + step
    except OverflowError:
        return low, LATEST


def _low_and_step(match: re.Match[str]) -> tuple[datetime, timedelta]:
    part = match.groupdict()
    numbers = [int(part[name] or default) for name, default in (("year", 1), ("month", 1), ("day", 1))]
    clock = [int(part[name] or 0) for name in ("hour", "minute", "second")]
    if clock[2] == 60:  # a leap second, which Python cannot hold
        clock[2] = 59
    fraction = part["fraction"] or ""
    microsecond = int(fraction[:6].ljust(6, "0")) if fraction else 0
    zone = (part["zone"] or "Z").replace("Z", "+00:00")
    year, month, day, hour, minute, second = (*numbers, *clock)
    local = datetime(year, month, day, hour, minute, second, microsecond, tzinfo=UTC)
    sign = -1 if zone[0] == "-" else 1
    offset = sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    try:
        low = local - offset
    except OverflowError:
        low = local
    return low, _step(part, low)


def _step(part: dict[str, str | None], low: datetime) -> timedelta:
    if part["fraction"]:
        return timedelta(milliseconds=1)
    if part["second"]:
        return timedelta(seconds=1)
    if part["hour"]:
        return timedelta(minutes=1)
    if part["day"]:
        return timedelta(days=1)
    following = (low.year + (low.month == 12), low.month % 12 + 1) if part["month"] else (low.year + 1, 1)
    end = datetime(*following, 1, tzinfo=UTC) if following[0] <= 9999 else LATEST
    return end - low

"""The time between two samples: R4's `period`, R5's `interval` and `intervalUnit`, or evenly spaced `offsets`.

https://hl7.org/fhir/R4/datatypes.html#SampledData, https://hl7.org/fhir/R5/datatypes.html#SampledData
"""

import re
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any

from fhir_ecg.fhir.outcome import Problem
from fhir_ecg.fhir.sample_text import LONGEST_TOKEN, separator_fault

# UCUM, https://ucum.org/ucum#section-Base-Units and its prefixes
_SECONDS: dict[str, Decimal] = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "cs": Decimal("1e-2"),
    "ds": Decimal("1e-1"),
    "s": Decimal(1),
    "min": Decimal(60),
    "h": Decimal(3600),
}
LARGEST_NUMBER = 10**12

# As the numbers of the data are written: other forms are no plain decimal, and of some arithmetic raises errors.
_PLACE = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)")
# Offsets are written with few digits: each may lie so far from its even place, as a part of the interval.
_OFFSET_TOLERANCE = Decimal("0.05")


class SamplingError(Exception):
    """The spacing of the samples cannot be told; its problem's expression is relative to the SampledData."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.diagnostics)
        self.problem = problem


def read_number(value: Any, where: str) -> Decimal:
    """Read a JSON number as it was written.

    Raises:
        SamplingError: It is no finite number within 10^12.
    """
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number.copy_abs() > LARGEST_NUMBER:
        raise SamplingError(Problem("value", f"{where} is no number within 10^12.", where))
    return number


def sampling_interval(sampled: dict[str, Any]) -> Decimal:
    """Read the seconds between two samples from an R4 or R5 SampledData.

    Raises:
        SamplingError: It is missing, no positive number, in no unit of time, or the offsets are uneven.
    """
    if "period" in sampled:
        return _positive(read_number(sampled["period"], "period"), "period", "ms") * _SECONDS["ms"]
    if "interval" in sampled and "offsets" in sampled:
        raise SamplingError(Problem("invariant", "Both interval and offsets stand there; send one.", "offsets"))
    if "interval" in sampled:
        unit = _unit(sampled)
        return _positive(read_number(sampled["interval"], "interval"), "interval", sampled["intervalUnit"]) * unit
    if "offsets" in sampled:
        return _even_offsets(sampled["offsets"]) * _unit(sampled)
    where = "interval" if "intervalUnit" in sampled else "period"
    raise SamplingError(Problem("required", f"{where} is missing: the time between two samples.", where))


def _positive(number: Decimal, where: str, unit: str) -> Decimal:
    if number <= 0:
        raise SamplingError(Problem("value", f"The {where} is {number} {unit}; it must be above 0.", where))
    return number


def _unit(sampled: dict[str, Any]) -> Decimal:
    unit = sampled.get("intervalUnit")
    if unit is None:
        text = "intervalUnit is missing. State it in UCUM, such as ms or s."
        raise SamplingError(Problem("required", text, "intervalUnit"))
    if unit not in _SECONDS:
        text = f"intervalUnit {str(unit)[:40]!r} is no unit of time known here. Use {', '.join(_SECONDS)}."
        raise SamplingError(Problem("code-invalid", text, "intervalUnit"))
    return _SECONDS[unit]


def _even_offsets(text: Any) -> Decimal:
    places = [_place(index, token) for index, token in enumerate(str(text).split(" "))]
    if len(places) < 2:
        raise SamplingError(Problem("value", "offsets needs at least two places in time.", "offsets"))
    with localcontext() as context:
        context.prec = 18
        interval = (places[-1] - places[0]) / (len(places) - 1)
        if interval <= 0:
            raise SamplingError(Problem("value", "offsets must rise from sample to sample.", "offsets"))
        for index, place in enumerate(places):
            if abs(places[0] + index * interval - place) > _OFFSET_TOLERANCE * interval:
                text = f"offsets are not evenly spaced (sample {index}); an ECG has one sampling rate."
                raise SamplingError(Problem("not-supported", text, "offsets"))
    return interval


def _place(index: int, token: str) -> Decimal:
    if len(token) <= LONGEST_TOKEN and _PLACE.fullmatch(token):
        return read_number(token, "offsets")
    rule = separator_fault(token) or "Decimals without exponent belong there, with one space between."
    text = f"offsets cannot be read at sample {index} ({token[:LONGEST_TOKEN]!r}). {rule}"
    raise SamplingError(Problem("value", text, "offsets"))

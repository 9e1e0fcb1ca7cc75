"""SampledData to millivolts and back. https://hl7.org/fhir/R4/datatypes.html#SampledData"""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.fhir.outcome import Problem

UCUM = "http://unitsofmeasure.org"
_MILLIVOLTS: dict[str, Decimal] = {
    "V": Decimal("1e3"),
    "mV": Decimal(1),
    "uV": Decimal("1e-3"),
    "nV": Decimal("1e-6"),
}
# The micro sign and the Greek mu are the two ways in which people write UCUM's `u`.
_UNIT_TEXTS = {"\u00b5V": "uV", "\u03bcV": "uV"} | {unit: unit for unit in _MILLIVOLTS}

# The pattern of the R4 XSD, which the JSON form shares: one space between, no exponent.
_POINT = r"(?:-?[0-9]*\.?[0-9]+|[EUL])"
_DATA = re.compile(rf"{_POINT}(?: {_POINT})*")
_LONGEST_POINT = 32
_GAP_AND_LIMITS = re.compile("[EUL]")


@dataclass(frozen=True, eq=False)
class Samples:
    """One decoded SampledData."""

    millivolts: NDArray[np.float64]
    """(samples,) with nan where the data say `E`."""
    sampling_rate: float
    """Hz, 1000 / period."""


class SampledDataError(Exception):
    """A SampledData that cannot be decoded; its problems' expressions are relative to it."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.diagnostics for problem in problems))
        self.problems = problems


def decode_sampled_data(sampled: dict[str, Any]) -> Samples:
    """Decode one dimension of an R4 SampledData: value = origin + factor x raw, in mV.

    `U` and `L` become the stated upper and lower limit.

    Raises:
        SampledDataError: The unit is no voltage, the period no positive time, or the data break the pattern.
    """
    problems: list[Problem] = []
    scale = _millivolts_per_unit(sampled.get("origin") or {}, problems)
    origin = _number(sampled, ("origin", "value"), problems)
    period = _number(sampled, ("period",), problems)
    factor = _number(sampled, ("factor",), problems, default=Decimal(1))
    if period is not None and period <= 0:
        problems.append(Problem("value", f"The period is {period} ms; it must be above 0.", "period"))
    if factor == 0:
        problems.append(Problem("value", "The factor is 0, which makes every sample the same.", "factor"))
    if sampled.get("dimensions") != 1:
        text = f"dimensions is {sampled.get('dimensions')}; one lead has 1."
        problems.append(Problem("value", text, "dimensions"))
    raw = _raw_samples(sampled, problems)
    if problems or raw is None or period is None or scale is None or origin is None or factor is None:
        raise SampledDataError(*problems)
    millivolts = float(origin * scale) + float(factor * scale) * raw
    for letter, limit in (("U", "upperLimit"), ("L", "lowerLimit")):
        if letter in sampled["data"]:
            marked = np.array([token == letter for token in sampled["data"].split(" ")])
            # The limit is stated in the unit of the value, before the factor applies to it.
            millivolts[marked] = float(Decimal(str(sampled[limit])) * scale)
    return Samples(millivolts, float(1000 / period))


def encode_sampled_data(millivolts: NDArray[np.float64], sampling_rate: float, resolution: float) -> dict[str, Any]:
    """Write (samples,) in mV as an R4 SampledData of whole multiples of `resolution` mV; nan becomes `E`."""
    gaps = np.isnan(millivolts)
    raw = np.rint(np.where(gaps, 0, millivolts) / resolution).astype(np.int64)
    tokens = ["E" if gap else str(value) for gap, value in zip(gaps.tolist(), raw.tolist(), strict=True)]
    return {
        "origin": {"value": 0, "unit": "mV", "system": UCUM, "code": "mV"},
        "period": Decimal(str(1000 / sampling_rate)),
        "factor": Decimal(str(resolution)),
        "dimensions": 1,
        "data": " ".join(tokens),
    }


def _millivolts_per_unit(origin: dict[str, Any], problems: list[Problem]) -> Decimal | None:
    code, text, system = origin.get("code"), origin.get("unit"), origin.get("system")
    if code is not None and system not in (None, UCUM):
        problems.append(Problem("code-invalid", f"The unit's system is {system}; send {UCUM}.", "origin.system"))
        return None
    unit = code if code is not None else _UNIT_TEXTS.get(str(text))
    if unit not in _MILLIVOLTS:
        problems.append(_unknown_unit(code, text))
        return None
    if code is not None and text is not None and _UNIT_TEXTS.get(text, code) != code:
        text = f"The unit's code says {code}, its text {text}; correct the wrong one."
        problems.append(Problem("value", text, "origin.unit"))
        return None
    return _MILLIVOLTS[unit]


def _unknown_unit(code: str | None, text: str | None) -> Problem:
    if code is None and text is None:
        return Problem("required", "The origin has no unit. State it in UCUM: mV or uV.", "origin.code")
    where = "origin.code" if code is not None else "origin.unit"
    shown = str(code if code is not None else text)[:40]
    return Problem("code-invalid", f"The unit {shown!r} is no voltage known here. Use V, mV, uV or nV.", where)


def _number(
    sampled: dict[str, Any], path: tuple[str, ...], problems: list[Problem], default: Decimal | None = None
) -> Decimal | None:
    node: Any = sampled
    for step in path:
        node = node.get(step) if isinstance(node, dict) else None
    where = ".".join(path)
    if node is None:
        if default is None:
            problems.append(Problem("required", f"{where} is missing.", where))
        return default
    try:
        number = Decimal(str(node))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number.copy_abs() > 10**12:
        problems.append(Problem("value", f"{where} is no number within 10^12.", where))
        return default
    return number


def _raw_samples(sampled: dict[str, Any], problems: list[Problem]) -> NDArray[np.float64] | None:
    data = sampled.get("data")
    if not isinstance(data, str) or not data:
        problems.append(Problem("required", "data is missing or empty. Send at least 10 s of samples.", "data"))
        return None
    match = _DATA.match(data)
    end = match.end() if match else 0
    if end != len(data):
        # After a space, a token could not begin; else step back to the beginning of the one that did not end.
        start = end + 1 if match and data[end] == " " else data.rfind(" ", 0, end) + 1
        bad = data[start : start + _LONGEST_POINT].split(" ")[0]
        text = (
            f"data breaks the pattern of SampledData at character {start} ({bad!r}). Decimals without exponent, "
            "E, U or L belong there, with one space between."
        )
        problems.append(Problem("value", text, "data"))
        return None
    for letter, limit in (("U", "upperLimit"), ("L", "lowerLimit")):
        if letter in data and _number(sampled, (limit,), problems) is None:
            return None
    raw: NDArray[np.float64] = np.array(_GAP_AND_LIMITS.sub("nan", data).split(" "), dtype=np.float64)
    if np.abs(np.nan_to_num(raw)).max() > 1e12:
        problems.append(Problem("value", "data holds a number above 10^12.", "data"))
        return None
    return raw

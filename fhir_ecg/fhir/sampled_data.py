"""SampledData to millivolts and back. https://hl7.org/fhir/R4/datatypes.html#SampledData"""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.ecg.recording import MAXIMUM_RATE_HZ, MINIMUM_RATE_HZ
from fhir_ecg.fhir.outcome import IssueType, Problem
from fhir_ecg.fhir.repairs import Repair, offer
from fhir_ecg.fhir.sample_text import ParsedSamples, TokenError, TooManySamplesError, parse_samples
from fhir_ecg.fhir.sampling import SamplingError, sampling_interval
from fhir_ecg.fhir.voltage import MILLIVOLTS, UCUM, likely_unit, millivolts_per_unit

# 8 minutes at 2000 Hz, half an hour at 500 Hz: bounds the memory that one text can take, whatever the size of a body.
MOST_SAMPLES = 1_000_000
_LIMITS = (("U", "upperLimit"), ("L", "lowerLimit"))


@dataclass(frozen=True, eq=False)
class DecodedSamples:
    """One decoded SampledData."""

    millivolts: NDArray[np.float64]
    """(dimensions, samples) with nan where the data say `E`."""
    sampling_rate: float
    """Hz."""
    repairs: tuple[Repair, ...]
    """What was repaired."""
    offer: str
    """What to say of a repair, where the rate is no ECG's and one would mend it."""


class SampledDataError(Exception):
    """A SampledData that cannot be decoded; its problems' expressions are relative to it."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.diagnostics for problem in problems))
        self.problems = problems


def decode_dimensions(sampled: dict[str, Any], dimensions: int, allowed: frozenset[Repair]) -> DecodedSamples:
    """Decode a SampledData, R4 or R5: value = origin + factor x raw, in mV; `U` and `L` become the stated limits.

    Points are interlaced: all dimensions of the first moment, then of the next.

    Args:
        sampled: An R4 or R5 SampledData.
        dimensions: How many it must have.
        allowed: Repairs that may be applied.

    Raises:
        SampledDataError: The unit is no voltage, the spacing no positive time, the data break the pattern, or their
            number does not fit the dimensions or offsets.
    """
    decoding = _Decoding(sampled, dimensions, allowed, [], [])
    decoded = decoding.run()
    if decoded is None or decoding.problems:
        raise SampledDataError(*decoding.problems)
    return decoded


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


@dataclass
class _Decoding:
    """One SampledData on its way, with what was found wrong and what was repaired."""

    sampled: dict[str, Any]
    dimensions: int
    allowed: frozenset[Repair]
    problems: list[Problem]
    repairs: list[Repair]

    def run(self) -> DecodedSamples | None:
        origin = _number(self.sampled, ("origin", "value"), self.problems)
        interval = self._interval()
        factor = _number(self.sampled, ("factor",), self.problems, default=Decimal(1))
        if factor == 0:
            self._refuse("value", "The factor is 0, which makes every sample the same.", "factor")
        if self.dimensions == 1 and self.sampled.get("dimensions") != 1:
            self._refuse("value", f"dimensions is {self.sampled.get('dimensions')}; one lead has 1.", "dimensions")
        raw = _raw_samples(self.sampled | {"data": self._text()}, self.problems)
        if raw is not None:
            self._check_count(len(raw.values), told=interval is not None)
        scale = self._scale(raw, factor)
        if raw is None or origin is None or factor is None:
            return None
        values = self._values(raw, float(origin), float(factor), scale or Decimal(1))  # for its limits, in any unit
        if self.problems or interval is None or scale is None:
            return None
        rate, offered = self._rate(interval)
        shaped = values.reshape(-1, self.dimensions).T
        return DecodedSamples(np.ascontiguousarray(shaped), rate, tuple(self.repairs), offered)

    def _refuse(self, code: IssueType, text: str, where: str) -> None:
        self.problems.append(Problem(code, text, where))

    def _interval(self) -> Decimal | None:
        try:
            return sampling_interval(self.sampled)
        except SamplingError as error:
            self.problems.append(error.problem)
            return None

    def _rate(self, interval: Decimal) -> tuple[float, str]:
        """Turn seconds into Hz; what makes sense as seconds instead is repaired, or the repair is offered."""
        rate = float(1 / interval)
        as_seconds = float(1 / (interval * 1000))
        if rate <= MAXIMUM_RATE_HZ or not MINIMUM_RATE_HZ <= as_seconds <= MAXIMUM_RATE_HZ:
            return rate, ""
        if Repair.PERIOD_IN_SECONDS not in self.allowed:
            return rate, f" In seconds it would mean {as_seconds:.6g}." + offer(Repair.PERIOD_IN_SECONDS)
        self.repairs.append(Repair.PERIOD_IN_SECONDS)
        return as_seconds, ""

    def _text(self) -> Any:
        data = self.sampled.get("data")
        if not isinstance(data, str):
            return data
        mended = " ".join(data.split()) if Repair.SPACES_COLLAPSED in self.allowed else data
        if mended != data:
            self.repairs.append(Repair.SPACES_COLLAPSED)
        if "?" in mended and Repair.QUESTION_MARK_AS_GAP in self.allowed:
            self.repairs.append(Repair.QUESTION_MARK_AS_GAP)
            mended = " ".join("E" if token == "?" else token for token in mended.split(" "))  # noqa: S105 - a sample
        return mended

    def _check_count(self, points: int, *, told: bool) -> None:
        """Hold the number of points against the dimensions, and against the offsets where those could be read."""
        if points % self.dimensions:
            text = f"data has {points} points, which {self.dimensions} dimensions cannot share evenly."
            self._refuse("value", text, "data")
        elif told and "offsets" in self.sampled:
            places = str(self.sampled["offsets"]).count(" ") + 1
            if places != points // self.dimensions:
                text = f"offsets has {places} places in time, data {points // self.dimensions}."
                self._refuse("value", text, "offsets")

    def _scale(self, raw: ParsedSamples | None, factor: Decimal | None) -> Decimal | None:
        """Tell how many mV one unit is."""
        origin = self.sampled.get("origin") or {}
        if "code" in origin or "unit" in origin:
            return millivolts_per_unit(origin, self.problems)
        likely = None if raw is None or factor is None else likely_unit(float(factor) * raw.values)
        if likely is not None and Repair.UNIT_FROM_AMPLITUDE in self.allowed:
            self.repairs.append(Repair.UNIT_FROM_AMPLITUDE)
            return MILLIVOLTS[likely]
        text = "The origin has no unit. State it in UCUM: mV or uV."
        if likely is not None:
            text += f" The amplitudes would be a heart's in {likely}." + offer(Repair.UNIT_FROM_AMPLITUDE)
        self._refuse("required", text, "origin.code")
        return None

    def _values(self, raw: ParsedSamples, origin: float, factor: float, scale: Decimal) -> NDArray[np.float64]:
        """Apply origin and factor, and hold the result against the stated limits; in mV."""
        low, high = self._limits()
        values = raw.values
        if _within(origin + factor * values, low, high, factor):
            # Scaled before they are multiplied: 5000 uV is 5 mV to the last bit.
            millivolts = float(Decimal(str(origin)) * scale) + float(Decimal(str(factor)) * scale) * values
        else:
            self._contradict_limits(values, origin, factor, (low, high))
            millivolts = (values - origin) * float(Decimal(str(factor)) * scale)
        for letter, limit in (("U", high), ("L", low)):
            # A limit is stated as a value, to which no factor applies.
            millivolts[raw.places(letter)] = limit * float(scale)
        return millivolts

    def _limits(self) -> tuple[float, float]:
        """Read the limits, infinite where they are not stated or exclude every value."""
        low = float(self.sampled.get("lowerLimit", "-inf"))
        high = float(self.sampled.get("upperLimit", "inf"))
        if low < high:
            return low, high
        why = "are equal" if low == high else "are swapped"
        text = f"lowerLimit is {low:g} and upperLimit {high:g}: they {why}. The lower one must be below the upper."
        self._refuse("value", text, "lowerLimit")
        return -np.inf, np.inf

    def _contradict_limits(
        self, values: NDArray[np.float64], origin: float, factor: float, limits: tuple[float, float]
    ) -> None:
        """Refuse values outside the limits, or read the origin as an offset of the raw numbers where allowed."""
        as_offset = (values - origin) * factor
        text = (
            f"By origin + factor x raw the values go {_range(origin + factor * values)}, outside the stated limits "
            f"{limits[0]:g} to {limits[1]:g}."
        )
        if not _within(as_offset, *limits, factor):
            self._refuse("value", text, "data")
        elif Repair.ORIGIN_AS_ADC_OFFSET in self.allowed:
            self.repairs.append(Repair.ORIGIN_AS_ADC_OFFSET)
        else:
            text += f" As (raw - origin) x factor they would go {_range(as_offset)}."
            self._refuse("value", text + offer(Repair.ORIGIN_AS_ADC_OFFSET), "data")


def _within(values: NDArray[np.float64], low: float, high: float, step: float) -> bool:
    """Tell whether all values lie between limits, which may be rounded to a step."""
    if low == -np.inf and high == np.inf:
        return True
    known = values[~np.isnan(values)]
    slack = abs(step) * (1 + 1e-9)
    return bool(known.size == 0 or (known.min() >= low - slack and known.max() <= high + slack))


def _range(values: NDArray[np.float64]) -> str:
    return f"from {np.nanmin(values):g} to {np.nanmax(values):g}"


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


def _raw_samples(sampled: dict[str, Any], problems: list[Problem]) -> ParsedSamples | None:
    data = sampled.get("data")
    if not isinstance(data, str) or not data:
        problems.append(Problem("required", "data is missing or empty. Send at least 10 s of samples.", "data"))
        return None
    try:
        raw = parse_samples(data, MOST_SAMPLES)
    except TokenError as error:
        problems.append(Problem("value", f"data cannot be read {error}", "data"))
        return None
    except TooManySamplesError as error:
        text = f"data holds {error.samples} samples; at most {MOST_SAMPLES} are taken."
        problems.append(Problem("too-long", text, "data"))
        return None
    for letter, limit in _LIMITS:
        if len(raw.places(letter)) and _number(sampled, (limit,), problems) is None:
            return None
    return raw

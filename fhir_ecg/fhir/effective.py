"""When an ECG was recorded, held against itself and against its samples."""

from typing import Any

from fhir_ecg.ecg.recording import Recording
from fhir_ecg.fhir.dates import date_range
from fhir_ecg.fhir.outcome import Problem
from fhir_ecg.fhir.repairs import Repair, offer

# Clocks and rates are rounded; an error of a unit or of a factor of two is not.
_TOLERANCE = 0.05


def order_problems(observation: dict[str, Any], root: str) -> list[Problem]:
    """Find a period that ends before it starts (invariant per-1)."""
    period = _period(observation)
    if period is None or date_range(period["start"])[0] < date_range(period["end"])[1]:
        return []
    text = f"The time of the ECG ends ({period['end']}) before it starts ({period['start']})."
    return [Problem("invariant", text + offer(Repair.EFFECTIVE_PERIOD_IGNORED), f"{root}.effective.ofType(Period)")]


def duration_problems(observation: dict[str, Any], root: str, recording: Recording) -> list[Problem]:
    """Find a period that is shorter or longer than the samples last."""
    period = _period(observation)
    if period is None or order_problems(observation, root):
        return []
    (start, start_end), (end, end_end) = date_range(period["start"]), date_range(period["end"])
    shortest, longest = (end - start_end).total_seconds(), (end_end - start).total_seconds()
    slack = _TOLERANCE * recording.seconds
    if shortest - slack <= recording.seconds <= longest + slack:
        return []
    text = (
        f"The samples last {recording.seconds:g} s ({recording.samples} at {recording.sampling_rate:g} Hz), but "
        f"effectivePeriod from {period['start']} to {period['end']} does not. Correct the rate, samples or time."
    )
    return [Problem("value", text + offer(Repair.EFFECTIVE_PERIOD_IGNORED), f"{root}.effective.ofType(Period)")]


def _period(observation: dict[str, Any]) -> dict[str, Any] | None:
    period = observation.get("effectivePeriod", {})
    return period if "start" in period and "end" in period else None

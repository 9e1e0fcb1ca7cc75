"""When an ECG was recorded, held against itself and against its samples."""

from collections.abc import Iterable
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


def moment_of(observation: dict[str, Any]) -> Any:
    """Give what the time of an ECG says, the same for however it is written; None where it has no time of day."""
    period = observation.get("effectivePeriod", {})
    texts = [observation.get("effectiveDateTime") or observation.get("effectiveInstant") or period.get("start")]
    if "end" in period:
        texts.append(period["end"])
    if all(isinstance(text, str) and "T" in text for text in texts):
        return tuple(map(date_range, texts))
    return repr(observation["effectiveTiming"]) if "effectiveTiming" in observation else None


def simultaneity_problems(sent: Iterable[tuple[dict[str, Any], str]], recording: Recording) -> list[Problem]:
    """Find Observations of one ECG that began further apart than it lasts, given with their FHIRPaths."""
    starts = []
    for observation, root in sent:
        period = observation.get("effectivePeriod", {})
        text = observation.get("effectiveDateTime") or observation.get("effectiveInstant") or period.get("start")
        if text:
            starts.append((*date_range(text), root))
    if len(starts) < 2:
        return []
    first, last = min(starts, key=lambda start: start[1]), max(starts, key=lambda start: start[0])
    apart = (last[0] - first[1]).total_seconds()
    if apart <= recording.seconds:
        return []
    text = (
        f"It began {apart:.0f} s or more after {first[2]}, but the ECG lasts {recording.seconds:g} s: these leads were "
        "not recorded together. Send the leads of one ECG alone together, with the time when it was recorded."
    )
    return [Problem("value", text, f"{last[2]}.effective")]


def _period(observation: dict[str, Any]) -> dict[str, Any] | None:
    period = observation.get("effectivePeriod", {})
    return period if "start" in period and "end" in period else None

"""Repairs: known deviations of senders that have one sound reading. Each is off until an operator allows it."""

from enum import StrEnum


class Repair(StrEnum):
    """The name of a repair, as the setting, the report and the Provenance have it."""

    PERIOD_IN_SECONDS = "period-in-seconds"
    ORIGIN_AS_ADC_OFFSET = "origin-as-adc-offset"
    UNIT_FROM_AMPLITUDE = "unit-from-amplitude"
    SPACES_COLLAPSED = "spaces-collapsed"
    QUESTION_MARK_AS_GAP = "question-mark-as-gap"
    EFFECTIVE_PERIOD_IGNORED = "effective-period-ignored"


NONE: frozenset[Repair] = frozenset()


def offer(repair: Repair) -> str:
    """Say that a repair would mend what was refused."""
    return f" If the sender cannot be mended, an operator can allow the repair `{repair}` (FHIR_ECG_REPAIRS)."

"""Whether a decoded Recording can be what it is said to be: a heart's amplitudes, limb leads that fit."""

from fhir_ecg.ecg.lead_consistency import implausible_amplitude, limb_lead_inconsistency
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.fhir.outcome import Problem, UnprocessableError


def check_plausibility(recording: Recording, root: str) -> None:
    """Refuse an ECG that no heart makes, or whose leads contradict each other.

    Raises:
        UnprocessableError: The amplitudes are of another unit, or limb leads were swapped, inverted or scaled.
    """
    if text := implausible_amplitude(recording):
        raise UnprocessableError(Problem("value", text, f"{root}.component"))
    if inconsistency := limb_lead_inconsistency(recording):
        raise UnprocessableError(Problem("value", inconsistency.text, f"{root}.component"))

"""Whether a decoded Recording can be what it is said to be: limb leads that fit each other."""

from fhir_ecg.ecg.lead_consistency import limb_lead_inconsistency
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.fhir.outcome import Problem, UnprocessableError


def check_plausibility(recording: Recording, root: str) -> None:
    """Refuse an ECG whose leads contradict each other.

    Raises:
        UnprocessableError: Limb leads were swapped, inverted or scaled differently.
    """
    if inconsistency := limb_lead_inconsistency(recording):
        raise UnprocessableError(Problem("value", inconsistency.text, f"{root}.component"))

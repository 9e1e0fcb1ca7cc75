"""Whether a decoded Recording can be what it is said to be: a heart's amplitudes, limb leads that fit, chest leads."""

from fhir_ecg.ecg.chest_lead_copies import ChestLeadCopy, chest_lead_copies
from fhir_ecg.ecg.lead_consistency import implausible_amplitude, limb_lead_inconsistency
from fhir_ecg.ecg.leads import Lead
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.fhir.lead_coding import lead_code
from fhir_ecg.fhir.outcome import Problem, UnprocessableError

# What is often thought to go on from I and II.
_MISCOUNTED = (Lead.III, Lead.AVR, Lead.AVL, Lead.AVF, Lead.V1)


def check_plausibility(recording: Recording, root: str) -> None:
    """Refuse an ECG that no heart makes, or whose leads contradict each other.

    Raises:
        UnprocessableError: The amplitudes are of another unit, limb leads were swapped, inverted or scaled, or a chest
            lead is a limb lead.
    """
    if text := implausible_amplitude(recording):
        raise UnprocessableError(Problem("value", text, f"{root}.component"))
    if inconsistency := limb_lead_inconsistency(recording):
        raise UnprocessableError(Problem("value", inconsistency.text, f"{root}.component"))
    if copies := chest_lead_copies(recording):
        raise UnprocessableError(Problem("value", _copies_text(copies), f"{root}.component"))


def _copies_text(copies: tuple[ChestLeadCopy, ...]) -> str:
    numbers = ", ".join(f"{lead} is {lead_code(lead)['coding'][0]['code']}" for lead in _MISCOUNTED)
    return (
        f"{'; '.join(map(str, copies))}. So their codes are wrong, or one signal was sent for two leads. "
        f"MDC numbers are not consecutive: {numbers} (SCP-ECG's are 61 to 64, and 3 for V1). "
        "Correct the codes and send again."
    )

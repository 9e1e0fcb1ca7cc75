"""Whether a Recording can be classified, and if not, why."""

from dataclasses import dataclass

import numpy as np

from fhir_ecg.ecg.leads import TWELVE_LEADS
from fhir_ecg.ecg.recording import Recording

CLASSIFIED_SECONDS = 10.0

# A connected electrode shows more than 10 microvolts between its lowest and highest sample in 10 s.
FLAT_LEAD_MV = 0.01


@dataclass(frozen=True)
class QualityFinding:
    """A machine-readable reason why a Recording cannot be classified."""

    code: str
    """`too-short`, `gap` or `flat-lead`."""
    text: str
    """The same for people, with what to do next."""


def quality_findings(recording: Recording) -> list[QualityFinding]:
    """List what forbids a reading of the first 10 s; empty where nothing does."""
    wanted = int(np.ceil(CLASSIFIED_SECONDS * recording.sampling_rate - 1e-6))
    if recording.samples < wanted:
        return [
            QualityFinding(
                "too-short",
                f"The recording lasts {recording.seconds:.2f} s; the model reads {CLASSIFIED_SECONDS:g} s. "
                "Record again for at least that long.",
            )
        ]
    leads = recording.leads[:, :wanted]
    findings = []
    for lead, samples in zip(TWELVE_LEADS, leads, strict=True):
        if np.isnan(samples).any():
            first = np.flatnonzero(np.isnan(samples))[0] / recording.sampling_rate
            text = f"Lead {lead} has a gap at {first:.2f} s. Record again with good electrode contact."
            findings.append(QualityFinding("gap", text))
        elif np.ptp(samples) < FLAT_LEAD_MV:
            text = f"Lead {lead} is flat. Check its electrode and record again."
            findings.append(QualityFinding("flat-lead", text))
    return findings

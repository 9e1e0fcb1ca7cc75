"""Whether a Recording can be classified, and if so, what a reader of the result has to know about the signal.

How every threshold was chosen, and how often it is passed on PTB-XL, is in docs/signal-quality.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.ecg import beats, contact, noise
from fhir_ecg.ecg.leads import LIMB_LEADS, TWELVE_LEADS, Lead
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.ecg.resampling import HELD_SECONDS, is_too_short, samples_within, window
from fhir_ecg.ecg.reversal import exchanged_with_right_arm

Leads = NDArray[np.float64]

CLASSIFIED_SECONDS = 10.0

# A connected electrode shows more than 10 microvolts between its lowest and highest sample in 10 s.
FLAT_LEAD_MV = 0.01
LOST_CONTACT_SECONDS = 2.0
# The other leads go on meanwhile, so that a pause of the heart is no lost contact.
_GOING_ON_MV = 0.05
IDENTICAL_WITHIN_MV = 0.005
CUT_OFF_WAVES = 3
# Noise has a contrast of 1.0 to 1.6 and a similarity around 0.
NO_BEATS_BELOW_CONTRAST = 1.6
NO_BEATS_BELOW_SIMILARITY = 0.25
CLEAR_BEATS_CONTRAST = 4.0
# A limb lead across the heart's axis shows next to nothing of it, but little noise either.
LIMB_NOISE_MV = 0.15

WANDER_MV = 2.0
MUSCLE_NOISE_MV = 0.05
MAINS_HUM_MV = 0.05
SPIKE_MV = 0.3
FEWEST_SPIKES = 3

_WANDER_TEXT = "The baseline wanders in {leads}, by up to {most:.1f} mV. Judge ST segments with care."
_MUSCLE_TEXT = "There is noise as from muscle in {leads}, up to {most:.2f} mV RMS. Judge small waves with care."
_HUM_TEXT = "There is mains hum in {leads}, up to {most:.2f} mV RMS. The model does not see it. Check the cables."
_PACING_TEXT = "There are spikes as of a pacemaker at {count} times. The model sees the beats, but not the spikes."
_EARLY_END_TEXT = (
    "The recording ends after {seconds:.2f} s. The model reads 10 s: for the rest it was given the last values again."
)

_NEVER_TOGETHER = (
    "At no moment do all leads have a sample: they were not recorded together, as in a print of 3 x 4 columns. Send "
    "leads that were recorded at the same time."
)


@dataclass(frozen=True)
class QualityFinding:
    """A machine-readable reason why a Recording cannot be classified, or should be read with care."""

    code: str
    """Which; docs/signal-quality.md lists them all."""
    text: str
    """The same for people, with what to do next."""
    lead: Lead | None = None
    """The lead that it is about, where it is about a single one."""
    severity: Literal["cancels", "warns"] = "cancels"
    """Whether no sound reading is possible, or there is one that this finding goes with."""


def quality_findings(recording: Recording) -> list[QualityFinding]:
    """List what forbids a reading of the first 10 s; empty where nothing does."""
    if is_too_short(recording, CLASSIFIED_SECONDS):
        return [
            QualityFinding(
                "too-short",
                f"The recording lasts {recording.seconds:.3f} s; the model reads {CLASSIFIED_SECONDS:g} s, of which "
                f"{HELD_SECONDS:g} s may lack. Record again for at least that long.",
            )
        ]
    leads = recording.leads[:, : samples_within(CLASSIFIED_SECONDS, recording.sampling_rate)]
    if np.isnan(leads).any(axis=0).all() and not np.isnan(leads).all(axis=1).any():
        return [QualityFinding("gap", _NEVER_TOGETHER)]
    findings: list[QualityFinding] = []
    for lead, samples in zip(TWELVE_LEADS, leads, strict=True):
        findings += _lead_findings(lead, samples, leads, recording.sampling_rate)
    findings += _copies(recording, leads, {finding.lead for finding in findings})
    resampled = window(recording, CLASSIFIED_SECONDS, beats.RATE_HZ)
    if resampled is None:  # a gap, which was found above
        return findings
    findings += _beat_findings(resampled, {finding.lead for finding in findings})
    # Of leads that are no ECG, nothing can be said about electrodes.
    return findings or list(_reversal(resampled))


def quality_warnings(recording: Recording) -> list[QualityFinding]:
    """List what a reader of the result should know about the first 10 s, in which a reading is still sound.

    Empty too where the recording is too short or has a gap: `quality_findings` says so.
    """
    resampled = window(recording, CLASSIFIED_SECONDS, beats.RATE_HZ)
    if resampled is None:
        return []
    rate = recording.sampling_rate
    leads = recording.leads[:, : samples_within(CLASSIFIED_SECONDS, rate)]
    hum = np.max([noise.mains_hum(leads, rate, mains) for mains in noise.MAINS_HZ], axis=0)
    found = (
        _where_above(WANDER_MV, noise.baseline_wander(resampled, beats.RATE_HZ), "baseline-wander", _WANDER_TEXT),
        _where_above(MUSCLE_NOISE_MV, noise.muscle_noise(resampled, beats.RATE_HZ), "muscle-noise", _MUSCLE_TEXT),
        _where_above(MAINS_HUM_MV, hum, "mains-hum", _HUM_TEXT),
        _pacing(leads, rate),
        _early_end(recording),
    )
    return [finding for finding in found if finding]


def _lead_findings(lead: Lead, samples: Leads, leads: Leads, rate: float) -> Iterator[QualityFinding]:
    """What one lead shows by itself: a gap, or else nothing, or else the marks of its amplifier."""
    if np.isnan(samples).any():
        first = np.flatnonzero(np.isnan(samples))[0] / rate
        text = f"Lead {lead} has a gap at {first:.2f} s. Record again with good electrode contact."
        yield QualityFinding("gap", text, lead)
        return
    if np.ptp(samples) < FLAT_LEAD_MV:
        yield QualityFinding("flat-lead", f"Lead {lead} is flat. Check its electrode and record again.", lead)
        return
    start, end = contact.longest_constant(samples)
    if end - start >= LOST_CONTACT_SECONDS * rate and _others_go_on(leads[:, start:end]):
        text = f"Lead {lead} is constant from {start / rate:.2f} s to {end / rate:.2f} s while others go on. "
        yield QualityFinding("lost-contact", text + "Check its electrode and record again.", lead)
    elif (waves := contact.cut_off_waves(samples, rate)) >= CUT_OFF_WAVES:
        text = f"Lead {lead} is cut off at the same level in {waves} waves, so their height is unknown. "
        yield QualityFinding("clipped-lead", text + "Set a wider input range or a lower gain and record again.", lead)


def _others_go_on(leads: Leads) -> bool:
    return bool(np.median(np.ptp(leads, axis=-1)) >= _GOING_ON_MV)


def _copies(recording: Recording, leads: Leads, excluded: set[Lead | None]) -> Iterator[QualityFinding]:
    sent = [k for k, lead in enumerate(TWELVE_LEADS) if lead not in {*recording.derived, *excluded}]
    for i, j in contact.identical_leads(leads[sent], IDENTICAL_WITHIN_MV):
        first, second = TWELVE_LEADS[sent[i]], TWELVE_LEADS[sent[j]]
        text = f"Leads {first} and {second} are the same signal. Check the cables and the lead codes and send again."
        yield QualityFinding("identical-leads", text, second)


def _beat_findings(leads: Leads, excluded: set[Lead | None]) -> Iterator[QualityFinding]:
    """What only beats tell: none at all, or leads without those of the others. At 100 Hz."""
    evidence = beats.beat_evidence(leads)
    contrast, similarity = evidence.contrast, evidence.similarity
    too_few = len(evidence.beats) < beats.FEWEST_BEATS
    if too_few or (contrast is not None and np.median(contrast) < NO_BEATS_BELOW_CONTRAST):
        text = "No beats stand out in the leads. Look at the patient, then at the electrodes, and record again."
        yield QualityFinding("no-beats", text)
    elif contrast is not None and similarity is not None and evidence.rest_mv is not None:
        strange = (contrast < NO_BEATS_BELOW_CONTRAST) & (similarity < NO_BEATS_BELOW_SIMILARITY)
        strange[: len(LIMB_LEADS)] &= evidence.rest_mv[: len(LIMB_LEADS)] > LIMB_NOISE_MV
        for k in np.flatnonzero(strange):
            if TWELVE_LEADS[k] not in excluded:
                yield _strange_lead(TWELVE_LEADS[k], leads[k])


def _strange_lead(lead: Lead, samples: Leads) -> QualityFinding:
    if beats.own_contrast(samples) >= CLEAR_BEATS_CONTRAST:
        text = f"Lead {lead} shows beats at other times than the other leads, so it is not from the same time. "
        return QualityFinding("lead-out-of-time", text + "Send leads that were recorded together.", lead)
    text = f"Lead {lead} shows no beats where the other leads do. Check its electrode and record again."
    return QualityFinding("lead-without-beats", text, lead)


def _reversal(leads: Leads) -> Iterator[QualityFinding]:
    if other := exchanged_with_right_arm(leads):
        text = f"The electrodes of the right arm and the {other} seem exchanged. Check them and record again. "
        yield QualityFinding("limb-reversal", text + "If they are right (as in dextrocardia), a person has to read it.")


def _where_above(limit: float, amounts: NDArray[np.float64], code: str, text: str) -> QualityFinding | None:
    """One warning for all leads in which an amount in mV is above the limit."""
    leads = [lead for lead, amount in zip(TWELVE_LEADS, amounts, strict=True) if amount > limit]
    if not leads:
        return None
    named = f"lead{'s' * (len(leads) > 1)} {', '.join(leads)}"
    only = leads[0] if len(leads) == 1 else None
    return QualityFinding(code, text.format(leads=named, most=amounts.max()), only, "warns")


def _pacing(leads: Leads, rate: float) -> QualityFinding | None:
    count = len(noise.pacing_spikes(leads, rate, SPIKE_MV))
    if count < FEWEST_SPIKES:
        return None
    return QualityFinding("pacing-spikes", _PACING_TEXT.format(count=count), severity="warns")


def _early_end(recording: Recording) -> QualityFinding | None:
    """What lacks less than a sample of the model's input at its end loses nothing, and needs no word."""
    rate = recording.sampling_rate
    whole = recording.samples >= samples_within(CLASSIFIED_SECONDS, rate)
    if whole or (recording.samples - 1) / rate > CLASSIFIED_SECONDS - 1 / beats.RATE_HZ - 1e-6:
        return None
    return QualityFinding("ends-early", _EARLY_END_TEXT.format(seconds=recording.seconds), severity="warns")

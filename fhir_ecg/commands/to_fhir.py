"""`to-fhir`: a WFDB record as an Observation."""

from dataclasses import replace
from pathlib import Path

import click

from fhir_ecg.ecg.resampling import resample
from fhir_ecg.ecg.wfdb_record import UnreadableRecordError, read_wfdb
from fhir_ecg.fhir.ecg_observation import ecg_observation
from fhir_ecg.fhir.parsing import serialise


def record_as_observation(path: Path, hz: float | None, subject: str | None) -> str:
    """Write a record as R4 JSON, resampled where a rate is given."""
    try:
        record = read_wfdb(path)
    except UnreadableRecordError as error:
        raise click.ClickException(str(error)) from error
    recording = record.recording
    if hz is not None and hz != recording.sampling_rate:
        leads = resample(recording.leads, recording.sampling_rate, hz)
        recording = replace(recording, leads=leads, sampling_rate=hz)
    observation = ecg_observation(recording, record.resolution, effective=record.date, subject=subject)
    return serialise(observation).decode()

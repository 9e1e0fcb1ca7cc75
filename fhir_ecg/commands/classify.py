"""`classify`: ECGs from files, without a server."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from fhir_ecg.classifier.inference import Classifier
from fhir_ecg.classifier.weights import WeightsError
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.ecg.wfdb_record import UnreadableRecordError, read_wfdb
from fhir_ecg.fhir.document import Form, check_release, read_document
from fhir_ecg.fhir.ecg_bundle import ecgs_of_bundle
from fhir_ecg.fhir.ecg_observation import Sent, ecg_observation, read_joined
from fhir_ecg.fhir.outcome import Problem, RefusedError, UnprocessableError, operation_outcome
from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.fhir.plausibility import check_plausibility
from fhir_ecg.fhir.release import r4_form
from fhir_ecg.fhir.repairs import Repair
from fhir_ecg.service.single_reading import report_on
from fhir_ecg.settings import Settings


def classify_files(files: Sequence[Path], settings: Settings) -> bool:
    """Print one line of JSON for each ECG: its report, or the OperationOutcome of its refusal.

    Returns:
        Whether every ECG was read.
    """
    try:
        classifier = Classifier.from_file(settings.weights)
    except WeightsError as error:
        raise click.ClickException(str(error)) from error
    sound = True
    for path in files:
        try:
            for observation, recording in _ecgs(path, frozenset(settings.repairs)):
                report = report_on(classifier, recording, observation, snomed=settings.snomed)
                click.echo(serialise(report))
                sound = sound and report["status"] != "cancelled"
        except (RefusedError, UnreadableRecordError) as error:
            sound = False
            click.echo(f"{path}: {error}", err=True)
            click.echo(serialise(operation_outcome(_problems(error))))
    return sound


def _problems(error: RefusedError | UnreadableRecordError) -> Sequence[Problem]:
    return error.problems if isinstance(error, RefusedError) else [Problem("invalid", str(error))]


def _ecgs(path: Path, repairs: frozenset[Repair]) -> Iterator[tuple[dict[str, Any], Recording]]:
    if path.suffix in {".json", ".xml"}:
        for sent in _sent(path):
            recording = read_joined(sent, repairs)
            check_plausibility(recording, sent[0].root)
            yield r4_form(sent[0].resource), recording
    else:
        record = read_wfdb(path)
        described = ecg_observation(record.recording, record.resolution, effective=record.date)
        yield described, record.recording


def _sent(path: Path) -> Iterator[Sequence[Sent]]:
    """Read the Observations of each ECG in a file."""
    form = Form("xml" if path.suffix == ".xml" else "json")
    try:
        document = read_document(path.read_bytes(), form)
    except OSError as error:
        raise UnreadableRecordError(f"{path} cannot be read: {error.strerror}") from error
    if document.get("resourceType") != "Bundle":
        check_release(document, form)
        yield [Sent(document)]
        return
    for ecg in ecgs_of_bundle(document, form, ("collection", "transaction", "batch")):
        if ecg.problems:
            raise UnprocessableError(*ecg.problems)
        yield ecg.sent

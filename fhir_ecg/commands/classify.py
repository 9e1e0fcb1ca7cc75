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
from fhir_ecg.fhir.ecg_bundle import EcgEntries, bundle_entries, ecgs_of_entries
from fhir_ecg.fhir.ecg_groups import entry_root
from fhir_ecg.fhir.ecg_observation import Sent, ecg_observation, read_joined
from fhir_ecg.fhir.outcome import Problem, RefusedError, UnprocessableError, operation_outcome
from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.fhir.plausibility import check_plausibility
from fhir_ecg.fhir.release import r4_form
from fhir_ecg.fhir.repairs import Repair
from fhir_ecg.service.single_reading import report_on
from fhir_ecg.settings import Settings

_BUNDLE_TYPES = ("collection", "searchset", "transaction", "batch")

_Refusal = RefusedError | UnreadableRecordError


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
        for ecg in _ecgs(path, frozenset(settings.repairs)):
            if isinstance(ecg, Exception):
                sound = False
                click.echo(f"{path}: {ecg}", err=True)
                click.echo(serialise(operation_outcome(_problems(ecg))))
                continue
            observation, recording = ecg
            report = report_on(classifier, recording, observation, snomed=settings.snomed)
            click.echo(serialise(report))
            sound = sound and report["status"] != "cancelled"
    return sound


def _problems(error: _Refusal) -> Sequence[Problem]:
    return error.problems if isinstance(error, RefusedError) else [Problem("invalid", str(error))]


def _ecgs(path: Path, repairs: frozenset[Repair]) -> Iterator[tuple[dict[str, Any], Recording] | _Refusal]:
    """Read each ECG of a file, or say why it cannot be read; those after it are read all the same."""
    try:
        if path.suffix not in {".json", ".xml"}:
            record = read_wfdb(path)
            described = ecg_observation(record.recording, record.resolution, effective=record.date)
            yield described, record.recording
            return
        found = _sent(path)
    except (RefusedError, UnreadableRecordError) as error:
        yield error
        return
    for ecg in found:
        try:
            yield _read(ecg, repairs)
        except RefusedError as error:
            yield error


def _read(ecg: EcgEntries, repairs: frozenset[Repair]) -> tuple[dict[str, Any], Recording]:
    if ecg.problems:
        raise UnprocessableError(*ecg.problems)
    recording = read_joined(ecg.sent, repairs)
    check_plausibility(recording, ecg.sent[0].root)
    return r4_form(ecg.sent[0].resource), recording


def _sent(path: Path) -> list[EcgEntries]:
    """Read the Observations of each ECG in a file. What a Bundle holds beside Observations is named and left out."""
    form = Form("xml" if path.suffix == ".xml" else "json")
    try:
        document = read_document(path.read_bytes(), form)
    except OSError as error:
        raise UnreadableRecordError(f"{path} cannot be read: {error.strerror}") from error
    if document.get("resourceType") != "Bundle":
        check_release(document, form)
        return [EcgEntries([], [Sent(document)])]
    entries = bundle_entries(document, _BUNDLE_TYPES)
    others = {place: kind for place, entry in enumerate(entries) if (kind := _kind(entry)) not in {None, "Observation"}}
    for place, kind in others.items():
        click.echo(f"{path}: {entry_root(place)} is no Observation but {str(kind)[:64]!r}: left out", err=True)
    if len(others) == len(entries):
        raise UnprocessableError(Problem("required", "No entry of the Bundle is an Observation.", "Bundle.entry"))
    return ecgs_of_entries(entries, [place for place in range(len(entries)) if place not in others], form)


def _kind(entry: Any) -> Any:
    resource = entry.get("resource") if isinstance(entry, dict) else None
    return resource.get("resourceType") if isinstance(resource, dict) else None

"""`patient export`: everything about one patient as a Bundle, for an operator."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import click
from tqdm import tqdm

from fhir_ecg.commands.opened_application import opened_application
from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.fhir.report import instant
from fhir_ecg.service.application import now
from fhir_ecg.service.patient_export import PatientExport, patient_named
from fhir_ecg.settings import Settings


def export_patient(settings: Settings, patient: str, out: Path, *, every_version: bool) -> str:
    """Write a patient's resources to a new file that only its owner can read; says what is in it.

    Raises:
        click.UsageError: It is not known what the resources are called.
        click.ClickException: Nothing is stored about the patient, or the database does not answer.
    """
    if not settings.base_url:
        # Under a urn:uuid, or without a fullUrl, the references between them would lead nowhere.
        text = (
            "set FHIR_ECG_BASE_URL to the address under which clients reach /fhir: by it what is in the Bundle is "
            "named (of a service on this machine alone that is http://127.0.0.1:8080/fhir)"
        )
        raise click.UsageError(text)
    with opened_application(settings) as application:
        export = PatientExport(application, patient_named(patient), settings.base_url.rstrip("/"), every_version)
        if not export.is_known():
            text = (
                f"nothing is about {export.patient.name}; name the patient as the ECGs' subject does: Patient/123, "
                "an address, or system|value of an identifier"
            )
            raise click.ClickException(text)
        with _new_file(out) as file:
            _write(file, export, export.count_reports())
            export.record()
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(export.counts.items()))
    return f"Wrote {out}: {counts}. It holds a patient's data; keep it accordingly."


def _write(file: BinaryIO, export: PatientExport, reports: int) -> None:
    """Write the Bundle entry by entry, so that its size does not matter."""
    heading = f'{{"resourceType":"Bundle","id":"{uuid4()}","type":"collection","timestamp":"{instant(now())}","entry":['
    file.write(heading.encode())
    with tqdm(total=reports, unit="report", desc="Exporting") as bar:
        for number, entry in enumerate(export.entries(bar.update)):
            file.write(b",\n" if number else b"\n")
            file.write(serialise(entry))
    file.write(b"\n]}\n")


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Make a file for its owner alone; gone again where it does not come to its end."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise click.UsageError(f"{path} is there already; name a new file") from error
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        path.unlink()
        raise

"""Where the database does not answer, every command of an operator says so, and what to look at."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from fhir_ecg.cli import main

COMMANDS = [
    "audit verify",
    "audit adopt --dry-run",
    "audit replay some-report",
    "audit replay --all",
    "audit agreement",
    "jobs list",
    "jobs show some-job",
    "jobs retry some-job",
    "patient export Patient/1 --out never.json",
    "retention expire",
    "retention hold --patient Patient/1 --reason lawsuit",
    "retention release some-hold --reason settled",
    "retention holds",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_told(command: str, tmp_path: Path) -> None:
    environment = {
        "FHIR_ECG_DATABASE_URL": f"sqlite:///{tmp_path}",  # a folder
        "FHIR_ECG_DATA_DIR": str(tmp_path),
        "FHIR_ECG_BASE_URL": "http://127.0.0.1/fhir",
        "FHIR_ECG_RETENTION_CASE_DAYS": "1",
    }
    done = CliRunner(env=environment).invoke(main, command.split())

    text = "Error: the database does not answer (OperationalError); is FHIR_ECG_DATABASE_URL right?"
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (1, text)

"""Settings from variables."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from fhir_ecg.settings import Settings

DIGEST = "a" * 64


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FHIR_ECG_{name.upper()}", raising=False)


def test_local_state_lives_in_the_data_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FHIR_ECG_DATA_DIR", str(tmp_path))

    settings = Settings()

    assert settings.database_url == f"sqlite:///{tmp_path}/fhir-ecg.sqlite3"
    assert settings.broker_url == f"file://{tmp_path}/broker"


def test_a_relative_data_directory_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FHIR_ECG_DATA_DIR", "here")

    assert Settings().data_dir == tmp_path / "here"


def test_empty_means_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = Settings().model_dump()
    for name in Settings.model_fields:
        monkeypatch.setenv(f"FHIR_ECG_{name.upper()}", "")

    assert Settings().model_dump() == defaults
    assert Settings().clients == {}


def test_clients_are_json_of_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_ECG_CLIENTS", f'{{"ehr": "{DIGEST}"}}')

    assert Settings().clients == {"ehr": DIGEST}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLIENTS", '{"ehr": "the token itself"}'),
        ("REPORT_STATUS", "final"),
        ("LEASE_SECONDS", "0"),
        ("MAXIMUM_BODY_BYTES", "much"),
    ],
)
def test_a_wrong_value_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"FHIR_ECG_{name}", value)

    with pytest.raises(ValidationError):
        Settings()


def test_a_case_does_not_expire_before_its_waveform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_ECG_RETENTION_WAVEFORM_DAYS", "30")
    assert Settings().retention_case_days == 0
    monkeypatch.setenv("FHIR_ECG_RETENTION_CASE_DAYS", "30")
    assert Settings().retention_case_days == 30
    monkeypatch.setenv("FHIR_ECG_RETENTION_CASE_DAYS", "29")
    with pytest.raises(ValidationError, match="give 30 days or more"):
        Settings()

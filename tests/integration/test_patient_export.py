"""`fhir-ecg patient export`: everything about one patient, and nothing about another."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ecg_steps import decide, read_waiting, report_of
from fhir.resources.R4B.bundle import Bundle
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from fhir_ecg.cli import main
from fhir_ecg.service.application import Application
from fhir_ecg.settings import Settings
from fhir_ecg.store.tables import AuditEventRow

FHIR = "application/fhir+json"
BASE = "https://ecg.hospital.example/fhir"


@pytest.fixture(autouse=True)
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_ECG_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("FHIR_ECG_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("FHIR_ECG_BASE_URL", BASE)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["patient", "export", *map(str, arguments)])


@pytest.fixture
def sent(client: FlaskClient, application: Application, examples: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    """An ECG each of two patients named by reference and of one named by identifier, all read."""
    subjects = {
        "one": {"reference": "Patient/one"},
        "two": {"reference": "Patient/two"},
        "three": {"identifier": {"system": "urn:example:mrn", "value": "3"}},
    }
    found = {}
    for name, subject in subjects.items():
        body = json.dumps(json.loads(examples["atrial-fibrillation"]) | {"subject": subject})
        found[name] = client.post("/fhir/Observation", data=body, content_type=FHIR).json
    assert read_waiting(application) == ["read"] * 3
    return found


def resources(path: Path) -> list[dict[str, Any]]:
    bundle = json.loads(path.read_text())
    Bundle.model_validate(bundle)
    assert bundle["type"] == "collection"
    names = [(e["fullUrl"], e["resource"]["meta"].get("versionId")) for e in bundle["entry"]]
    assert len(set(names)) == len(names)  # bdl-7
    for entry in bundle["entry"]:
        resource = entry["resource"]
        assert entry["fullUrl"] == f"{BASE}/{resource['resourceType']}/{resource['id']}"
    return [entry["resource"] for entry in bundle["entry"]]


def versions(found: list[dict[str, Any]], kind: str) -> list[str]:
    return [resource["meta"]["versionId"] for resource in found if resource["resourceType"] == kind]


def test_everything_of_a_patient_is_given_and_nothing_of_another(
    client: FlaskClient, application: Application, sent: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "one.json"
    result = run("one", "--out", out)
    assert result.exit_code == 0, result.output
    found = resources(out)
    assert versions(found, "DiagnosticReport") == ["2", "1"]
    assert versions(found, "Observation") == ["1", "1"]
    assert versions(found, "Provenance") == versions(found, "Device") == ["1"]
    assert {r["id"] for r in found if r["resourceType"] == "Observation"} >= {sent["one"]["id"]}
    assert client.get(f"/fhir/Observation/{sent['one']['id']}").json in found
    text = out.read_text()
    assert "Patient/two" not in text
    assert all(sent[other]["id"] not in text for other in ("two", "three"))
    assert out.stat().st_mode & 0o777 == 0o600
    events = [r for r in found if r["resourceType"] == "AuditEvent"]
    assert {"create", "read-ecg"} <= {event["subtype"][0]["code"] for event in events}
    with Session(application.store.engine) as session:
        [entry] = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "patient-export"))
    assert entry.detail["patients"] == [{"reference": "Patient/one"}]
    assert entry.detail["counts"]["DiagnosticReport"] == 2


def test_a_withdrawn_ecg_and_a_confirmation_are_in_it(
    client: FlaskClient, sent: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    assert decide(client, report_of(client, sent["two"]), "confirm").status_code == 200
    assert client.delete(f"/fhir/Observation/{sent['two']['id']}").status_code == 204

    assert run("Patient/two", "--out", tmp_path / "all.json").exit_code == 0
    found = resources(tmp_path / "all.json")
    assert versions(found, "DiagnosticReport") == ["4", "3", "2", "1"]
    assert sent["two"] in found
    assert len(versions(found, "Provenance")) == 2

    assert run("Patient/two", "--out", tmp_path / "current.json", "--current").exit_code == 0
    current = resources(tmp_path / "current.json")
    assert versions(current, "DiagnosticReport") == ["4"]
    assert sent["two"] not in current


def test_a_patient_is_found_by_identifier(sent: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    assert run("urn:example:mrn|3", "--out", tmp_path / "three.json").exit_code == 0
    found = resources(tmp_path / "three.json")
    assert sent["three"] in found
    assert sent["one"] not in found


def test_what_cannot_be_exported_leaves_no_file(sent: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    nobody = run("Patient/nobody", "--out", tmp_path / "nobody.json")
    assert (nobody.exit_code, "Patient/123" in nobody.output) == (1, True)
    assert not (tmp_path / "nobody.json").exists()
    there = tmp_path / "there.json"
    there.write_text("mine")
    assert run("one", "--out", there).exit_code == 2
    assert there.read_text() == "mine"
    assert run("one", "--out", tmp_path / "no" / "folder.json").exit_code == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_an_address_nothing_is_written(
    sent: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FHIR_ECG_BASE_URL")
    done = run("Patient/one", "--out", tmp_path / "one.json")
    assert (done.exit_code, "FHIR_ECG_BASE_URL" in done.stderr) == (2, True)
    assert not (tmp_path / "one.json").exists()

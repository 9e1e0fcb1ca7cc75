"""Waveforms and whole cases expire; a legal hold keeps them; what is left is told, and still verifies."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from chain_findings import findings
from click.testing import CliRunner, Result
from ecg_steps import decide, flat, read_waiting, report_of
from flask.testing import FlaskClient
from sent_forms import bundle, sent_form
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from fhir_ecg.cli import main
from fhir_ecg.service.application import Application, now
from fhir_ecg.service.classify import classify
from fhir_ecg.service.legal_hold import HoldError, hold_observation, hold_patient, release_hold
from fhir_ecg.service.operate_jobs import JobError, retry_job
from fhir_ecg.service.retention import Expired, Expiry, expire
from fhir_ecg.settings import Settings
from fhir_ecg.store.expiry import Scope
from fhir_ecg.store.reindex import reindex
from fhir_ecg.store.tables import (
    AdmissionRow,
    AuditEventRow,
    CancellationRow,
    ConfirmationRow,
    JobRow,
    PredictionRow,
    ResourceVersionRow,
    SubmissionRow,
)

JSON = "application/fhir+json"
Body = dict[str, Any]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"classify_seconds": 0, "maximum_body_bytes": 8 * 1024**2})


@pytest.fixture
def command(settings: Settings) -> Callable[..., Result]:
    """Run a command with a retention of a day for waveforms, and two for cases, unless it says otherwise."""

    def run(*arguments: str, **variables: str) -> Result:
        environment = {
            "FHIR_ECG_DATABASE_URL": settings.database_url,
            "FHIR_ECG_DATA_DIR": str(settings.data_dir),
            "FHIR_ECG_BASE_URL": "https://ecg.example.org/fhir",
            "FHIR_ECG_RETENTION_WAVEFORM_DAYS": "1",
            "FHIR_ECG_RETENTION_CASE_DAYS": "2",
        }
        return CliRunner(env=environment | variables).invoke(main, arguments)

    return run


def send(client: FlaskClient, body: bytes, media_type: str = JSON, address: str = "Observation", **headers: str) -> Any:
    answer = client.post(f"/fhir/{address}".rstrip("/"), data=body, content_type=media_type, headers=headers)
    assert answer.status_code in {200, 201, 202}, answer.data
    return answer.json


def about(example: bytes, patient: str) -> bytes:
    return json.dumps(json.loads(example) | {"subject": {"reference": f"Patient/{patient}"}}).encode()


def expire_now(application: Application, scope: Scope, batch: int = 10) -> list[Expired]:
    """Let everything expire that was received up to now."""
    expiry = Expiry(scope, now() + timedelta(seconds=1))
    return [case for cases in expire(application, expiry, batch, "the operator") for case in cases]


def outcome(answer: Any) -> tuple[int, str, str]:
    issue = answer.json["issue"][0]
    return answer.status_code, issue["code"], issue["diagnostics"]


def held_bytes(application: Application, marks: list[str]) -> list[str]:
    """List the tables, but the audit trail, in which one of these texts stands."""
    found = []
    with application.store.engine.connect() as connection:
        tables = ["submission", "resource_version", "prediction", "cancellation", "confirmation", "admission", "job"]
        tables += ["search_token", "search_reference", "search_string", "search_date", "resource"]
        for table in tables:
            rows = connection.execute(text(f"SELECT * FROM {table}")).all()  # noqa: S608 - names of tables
            values = [value for row in rows for value in row]
            shown = "\n".join(v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in values)
            found += [table for mark in marks if mark in shown]
    return found


@pytest.fixture
def ecg(client: FlaskClient, application: Application, examples: dict[str, bytes]) -> Body:
    """An ECG that was sent, read and confirmed."""
    body = about(examples["atrial-fibrillation"], "one")
    sent: Body = send(client, body, **{"Idempotency-Key": "k"})
    read_waiting(application)
    assert decide(client, report_of(client, sent), "confirm").status_code == 200
    return sent


def samples_of(observation: Body) -> str:
    data: str = observation["component"][0]["valueSampledData"]["data"]
    return data[:60]


def test_an_expired_waveform_leaves_an_observation_that_says_so(
    client: FlaskClient, application: Application, ecg: Body, command: Callable[..., Result]
) -> None:
    report = report_of(client, ecg)
    assert [case.report for case in expire_now(application, "waveform")] == [f"DiagnosticReport/{report['id']}"]

    current = client.get(f"/fhir/Observation/{ecg['id']}")
    observation = current.json
    assert (current.status_code, observation["meta"]["versionId"]) == (200, "2")
    assert [tag["code"] for tag in observation["meta"]["tag"]] == ["waveform-expired"]
    assert [set(component) for component in observation["component"]] == [{"code", "dataAbsentReason"}] * 12
    assert {c["dataAbsentReason"]["coding"][0]["code"] for c in observation["component"]} == {"masked"}
    assert {k: v for k, v in observation.items() if k not in {"meta", "component"}} == {
        k: v for k, v in ecg.items() if k not in {"meta", "component"}
    }
    older = client.get(f"/fhir/Observation/{ecg['id']}/_history/1")
    assert outcome(older)[:2] == (410, "deleted")
    assert "_history/1 has expired" in outcome(older)[2]
    assert held_bytes(application, [samples_of(ecg)]) == []

    assert report_of(client, ecg) == report
    with Session(application.store.engine) as session:
        assert session.scalars(select(PredictionRow.report_id)).all() == [report["id"]]
        (submission,) = session.scalars(select(SubmissionRow))
        assert (submission.body, len(submission.sha256)) == (b"", 64)
    assert findings(application) == []
    assert expire_now(application, "waveform") == []
    replayed = command("audit", "replay", report["id"])
    assert (replayed.exit_code, "cannot be replayed" in replayed.stdout, "expired on" in replayed.stdout) == (
        1, True, True,
    )  # fmt: skip


def test_what_is_left_of_a_waveform_is_found_listed_exported_and_converted(
    client: FlaskClient, application: Application, ecg: Body, examples: dict[str, bytes]
) -> None:
    expire_now(application, "waveform")
    address = f"/fhir/Observation/{ecg['id']}"

    assert client.get("/fhir/Observation?_tag=waveform-expired").json["total"] == 1
    history = client.get(f"{address}/_history").json
    assert (history["total"], history["entry"][0]["resource"]["meta"]["versionId"]) == (1, "2")
    for media_type in ("application/fhir+xml", f"{JSON}; fhirVersion=5.0", "application/fhir+xml; fhirVersion=5.0"):
        assert client.get(address, headers={"Accept": media_type}).status_code == 200
        assert client.get(f"{address}/_history", headers={"Accept": media_type}).status_code == 200
    newest = client.get("/fhir/Observation/$lastn?patient=one").json
    assert ecg["id"] in {entry["resource"]["id"] for entry in newest["entry"]}
    classified = client.post(f"{address}/$classify")
    assert (classified.status_code, classified.json["status"]) == (200, "final")
    again = send(client, about(examples["atrial-fibrillation"], "one"), **{"Idempotency-Key": "k"})
    assert again == client.get(address).json
    amended = client.put(address, data=json.dumps(ecg), content_type=JSON)
    assert outcome(amended)[:2] == (422, "business-rule")
    assert client.delete(address).status_code == 204
    assert findings(application) == []


def test_an_expired_case_leaves_digests_and_the_audit_trail(
    client: FlaskClient,
    application: Application,
    ecg: Body,
    examples: dict[str, bytes],
    command: Callable[..., Result],
    tmp_path: Path,
) -> None:
    report = report_of(client, ecg)
    other = send(client, about(examples["normal-sinus-rhythm"], "two"), Prefer="respond-async")
    assert other["resourceType"] == "OperationOutcome"
    addresses = [f"DiagnosticReport/{report['id']}", *(result["reference"] for result in report["result"])]
    provenances = client.get(f"/fhir/Provenance?target=DiagnosticReport/{report['id']}").json["entry"]
    addresses += [f"Provenance/{entry['resource']['id']}" for entry in provenances]
    assert len(addresses) == 5

    expire_now(application, "waveform")
    assert [case.report for case in expire_now(application, "case")] == [addresses[0]]

    for address in addresses:
        for place in (address, f"{address}/_history/1"):
            assert outcome(client.get(f"/fhir/{place}"))[:2] == (410, "deleted"), place
        history = client.get(f"/fhir/{address}/_history").json
        assert [entry["request"]["method"] for entry in history["entry"]] == ["DELETE"]
        assert client.get(f"/fhir/{address.split('/')[0]}?_id={address.split('/')[1]}").json["total"] == 0
    assert client.get("/fhir/Device").json["total"] == 1
    # The other one, which waits, is left.
    assert client.get("/fhir/DiagnosticReport?patient=two").json["total"] == 1
    assert held_bytes(application, [samples_of(ecg), "Patient/one", "Practitioner/7"]) == []
    with Session(application.store.engine) as session:
        for table in (PredictionRow, ConfirmationRow, AdmissionRow, CancellationRow):
            assert session.query(table).count() == 0
        entries = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "expire")).all()
    assert [entry.detail["scope"] for entry in entries] == ["waveform", "case"]
    assert {reference.partition("/_history/")[0] for reference in entries[1].entities} == set(addresses)
    assert entries[1].detail["patients"] == [{"reference": "Patient/one"}]
    events = client.get(f"/fhir/AuditEvent?entity={addresses[0]}").json["entry"]
    assert {"create", "read-ecg", "expire"} <= {entry["resource"]["subtype"][0]["code"] for entry in events}
    assert findings(application) == []

    replayed = command("audit", "replay", report["id"])
    assert (replayed.exit_code, "the case expired on" in replayed.stdout) == (1, True)
    assert command("audit", "agreement").exit_code == 0
    out = tmp_path / "one.json"
    done = command("patient", "export", "Patient/one", "--out", str(out))
    assert done.exit_code == 0, done.output
    exported = [entry["resource"] for entry in json.loads(out.read_text())["entry"]]
    assert {resource["resourceType"] for resource in exported} == {"AuditEvent"}
    assert "expire" in {resource["subtype"][0]["code"] for resource in exported}
    with application.store.engine.begin() as connection:
        connection.execute(text("UPDATE resource SET index_version = 0"))
    assert sum(reindex(application.store.engine)) > 0
    assert findings(application) == []
    assert client.delete(f"/fhir/{addresses[1]}").status_code == 204
    sent_again = send(client, about(examples["atrial-fibrillation"], "one"), **{"Idempotency-Key": "k"})
    assert sent_again["id"] != ecg["id"]


def test_an_amended_a_withdrawn_a_cancelled_and_a_joined_ecg_expire(
    client: FlaskClient, application: Application, examples: dict[str, bytes]
) -> None:
    """Each with a version, or bytes, of another kind: stored content, a deletion, a shared Bundle."""
    amended = send(client, about(examples["sinus-tachycardia"], "before"))
    after = amended | {"subject": {"reference": "Patient/after"}}
    assert (
        client.put(f"/fhir/Observation/{amended['id']}", data=json.dumps(after), content_type=JSON).status_code == 200
    )
    withdrawn = send(client, *sent_form("R4 XML", examples["left-bundle-branch-block"]))
    level = flat(examples["sinus-bradycardia"])
    send(client, level)
    read_waiting(application)
    assert client.delete(f"/fhir/Observation/{withdrawn['id']}").status_code == 204
    pair = [json.loads(examples[name]) for name in ("normal-sinus-rhythm", "atrial-fibrillation")]
    send(client, json.dumps(bundle(*pair)).encode(), address="")
    with Session(application.store.engine) as session:
        first, second = session.scalars(select(JobRow.id).where(JobRow.state == "waiting")).all()
    classify(application, first)
    assert len(expire_now(application, "waveform", batch=2)) == 4

    marks = [samples_of(each) for each in (amended, withdrawn, json.loads(level))]
    assert held_bytes(application, marks) == []
    gone = client.get(f"/fhir/Observation/{withdrawn['id']}")
    assert (outcome(gone)[0], "has expired" in outcome(gone)[2]) == (410, True)
    # One of the Bundle's ECGs waits to be read: the bytes of both stay with it.
    assert sum(held_bytes(application, [samples_of(each)]) == ["submission"] for each in pair) == 1
    classify(application, second)
    assert len(expire_now(application, "waveform")) == 1
    assert held_bytes(application, [samples_of(each) for each in pair]) == []
    assert findings(application) == []

    first = next(expire(application, Expiry("case", now() + timedelta(seconds=1)), 1, "the operator"))
    assert len(first) == 1  # ended early, the next call goes on there
    assert len(expire_now(application, "case", batch=2)) == 4
    assert held_bytes(application, ["Patient/before", "Patient/after", "flat"]) == []
    with Session(application.store.engine) as session:
        contents = session.scalars(select(ResourceVersionRow.type).where(ResourceVersionRow.content.is_not(None)))
        assert set(contents) <= {"Device", "DocumentReference"}
    assert findings(application) == []


def test_a_held_patient_and_a_held_ecg_are_kept_until_they_are_released(
    client: FlaskClient, application: Application, ecg: Body, examples: dict[str, bytes]
) -> None:
    other = send(client, about(examples["normal-sinus-rhythm"], "two"))
    read_waiting(application)
    by_patient, reports = hold_patient(application, "one", "a lawsuit", "the operator")
    by_observation = hold_observation(application, f"Observation/{other['id']}", "another", "the operator")
    assert reports == 1
    for sent in (ecg, other):
        answer = client.delete(f"/fhir/Observation/{sent['id']}")
        assert outcome(answer)[:2] == (409, "business-rule")
        assert "legal hold" in outcome(answer)[2]
        assert client.get(f"/fhir/Observation/{sent['id']}").status_code == 200
    batch = bundle_of_delete(ecg["id"])
    assert client.post("/fhir", data=batch, content_type=JSON).status_code in {409, 422}
    assert {case.hold for case in expire_now(application, "case")} == {by_patient.id, by_observation.id}
    assert {case.hold for case in expire_now(application, "waveform")} == {by_patient.id, by_observation.id}
    # An amendment to another patient does not take it out of the hold on the one that it was about.
    moved = ecg | {"subject": {"reference": "Patient/three"}}
    assert client.put(f"/fhir/Observation/{ecg['id']}", data=json.dumps(moved), content_type=JSON).status_code == 200
    assert {case.hold for case in expire_now(application, "case")} == {by_patient.id, by_observation.id}

    release_hold(application, by_patient.id, "it is over", "the operator")
    with pytest.raises(HoldError, match="already"):
        release_hold(application, by_patient.id, "again", "the operator")
    assert [case.hold for case in expire_now(application, "case")] == [None, by_observation.id]
    with Session(application.store.engine) as session:
        actions = ("hold", "release", "expire")
        entries = session.scalars(select(AuditEventRow).where(AuditEventRow.action.in_(actions))).all()
    assert sorted(entry.action for entry in entries) == ["expire", "hold", "hold", "release"]
    assert all("lawsuit" not in json.dumps(entry.detail) for entry in entries)
    assert {entry.detail["operator"] for entry in entries} == {"the operator"}
    assert findings(application) == []


def bundle_of_delete(identity: str) -> bytes:
    request = {"method": "DELETE", "url": f"Observation/{identity}"}
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [{"request": request}]}).encode()


def test_an_expired_ecg_is_not_tried_again(
    client: FlaskClient, application: Application, examples: dict[str, bytes]
) -> None:
    send(client, examples["normal-sinus-rhythm"])
    with application.store.engine.begin() as connection:  # as after attempts that all failed
        connection.execute(text("UPDATE job SET state = 'failed', attempts = 3"))
        job = connection.scalar(text("SELECT id FROM job"))
    assert len(expire_now(application, "waveform")) == 1
    with pytest.raises(JobError, match="expired"):
        retry_job(application, str(job))


def test_several_at_once_beside_holds_expire_each_case_once(
    client: FlaskClient, application: Application, examples: dict[str, bytes]
) -> None:
    """The two ECGs of a Bundle share their bytes; others send and hold meanwhile."""
    pair = [json.loads(about(examples[name], "kept")) for name in ("normal-sinus-rhythm", "atrial-fibrillation")]
    for _ in range(3):
        send(client, json.dumps(bundle(*pair)).encode(), address="")
    last = send(client, about(examples["sinus-tachycardia"], "held"))
    with application.store.engine.begin() as connection:
        connection.execute(text("UPDATE job SET state = 'withdrawn', finished_at = created_at"))
    number = 4
    barrier = threading.Barrier(number + 1, timeout=60)

    def one(_: int) -> int:
        barrier.wait()
        return len([case for case in expire_now(application, "waveform", batch=1) if case.hold is None])

    def hold() -> int:
        barrier.wait()
        hold_patient(application, "held", "a lawsuit", "the operator")
        return 0

    with ThreadPoolExecutor(number + 1) as pool:
        holding = pool.submit(hold)
        done = sum(pool.map(one, range(number))) + holding.result()
    # Whichever was first: what expired was not held then, and what is held is there.
    kept = client.get(f"/fhir/Observation/{last['id']}/_history/1").status_code == 200
    assert done == (6 if kept else 7)
    assert held_bytes(application, [samples_of(each) for each in pair]) == []
    with Session(application.store.engine) as session:
        assert session.query(AuditEventRow).where(AuditEventRow.action == "expire").count() == done
    assert [each for each in findings(application) if each.table != "job"] == []


def test_the_command_says_what_it_does(
    client: FlaskClient, application: Application, ecg: Body, command: Callable[..., Result]
) -> None:
    nothing = command("retention", "expire", FHIR_ECG_RETENTION_WAVEFORM_DAYS="0", FHIR_ECG_RETENTION_CASE_DAYS="0")
    assert (nothing.exit_code, "FHIR_ECG_RETENTION_WAVEFORM_DAYS" in nothing.output) == (2, True)
    wrong = command("retention", "expire", FHIR_ECG_RETENTION_WAVEFORM_DAYS="9")
    assert (wrong.exit_code, "FHIR_ECG_RETENTION_CASE_DAYS" in wrong.output) == (2, True)
    young = command("retention", "expire")
    assert "0 whole cases have expired; 0 waveforms have expired." in young.stdout
    with application.store.engine.begin() as connection:
        moment = (now() - timedelta(days=3)).strftime("%Y-%m-%d %H:%M:%S.%f")
        connection.execute(text("UPDATE job SET created_at = :moment"), {"moment": moment})

    held = command("retention", "hold", "--patient", "Patient/one", "--reason", "a lawsuit", "--operator", "somebody")
    hold = json.loads(held.stdout.splitlines()[-1])
    assert hold["patient"] == {"reference": "Patient/one"}
    assert [json.loads(line)["id"] for line in command("retention", "holds").stdout.splitlines()] == [hold["id"]]
    dry = command("retention", "expire", "--dry-run")
    assert f"the hold {hold['id']} keeps it" in dry.stdout
    assert command("retention", "release", "none", "--reason", "over").exit_code == 1
    assert command("retention", "release", hold["id"], "--reason", "over").exit_code == 0
    assert command("retention", "holds").stdout.strip() == ""
    assert json.loads(command("retention", "holds", "--all").stdout)["release_reason"] == "over"
    assert "1 whole cases would expire" in command("retention", "expire", "--dry-run").stdout
    assert client.get(f"/fhir/Observation/{ecg['id']}").status_code == 200
    assert "1 whole cases have expired; 0 waveforms" in command("retention", "expire").stdout
    assert client.get(f"/fhir/Observation/{ecg['id']}").status_code == 410
    unknown = command("retention", "hold", "--observation", "none", "--reason", "x")
    assert (unknown.exit_code, "no ECG was sent" in unknown.output) == (1, True)
    assert command("retention", "hold", "--reason", "x").exit_code == 2

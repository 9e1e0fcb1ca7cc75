"""Readings computed again from the bytes as sent: equal to the bit, or the first stage that differs is named."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from ecg_steps import read_waiting
from flask.testing import FlaskClient
from sent_forms import FORMS, bundle, sent_form
from sqlalchemy import select
from sqlalchemy.orm import Session

from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.classifier.weights import parse_weights, read_weights, weights_bytes, write_weights
from fhir_ecg.computing_environment import computing_environment, process_name
from fhir_ecg.service.application import Application
from fhir_ecg.service.classify import classify
from fhir_ecg.service.operate_jobs import retry_job
from fhir_ecg.service.replay import Replayed, replay_period, replay_report
from fhir_ecg.settings import Settings
from fhir_ecg.store.readings import Period
from fhir_ecg.store.tables import (
    AuditEventRow,
    CancellationRow,
    JobRow,
    PredictionRow,
    ResourceVersionRow,
    SubmissionRow,
    WeightsRow,
)

JSON = "application/fhir+json"


def send(client: FlaskClient, body: bytes, media_type: str = JSON, address: str = "Observation") -> Any:
    answer = client.post(f"/fhir/{address}".rstrip("/"), data=body, content_type=media_type)
    assert answer.status_code in {200, 201}, answer.data
    return answer.json


def replay_all(application: Application) -> list[Replayed]:
    return list(replay_period(application, Period()))


def outcomes(application: Application) -> list[str]:
    return [each.outcome for each in replay_all(application)]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"classify_seconds": 0, "maximum_body_bytes": 8 * 1024**2})


@pytest.fixture
def reading(client: FlaskClient, application: Application, examples: dict[str, bytes]) -> str:
    """The id of a report on an ECG that was sent as XML, and read."""
    send(client, *sent_form("R4 XML", examples["left-bundle-branch-block"]))
    read_waiting(application)
    with Session(application.store.engine) as session:
        return session.scalars(select(PredictionRow.report_id)).one()


def test_every_example_in_every_form_is_replayed_equal(
    client: FlaskClient, application: Application, examples: dict[str, bytes]
) -> None:
    """Each example in one form, the first in all of them."""
    names = list(examples)
    pairs = [(names[0], form) for form in FORMS] + [(n, FORMS[i % len(FORMS)]) for i, n in enumerate(names)]
    for name, form in pairs:
        send(client, *sent_form(form, examples[name]))
    read_waiting(application)

    replayed = replay_all(application)

    assert [(each.outcome, each.what) for each in replayed] == [("equal", None)] * len(pairs)
    assert len({each.report for each in replayed}) == len(pairs)
    assert [each.finished_at for each in replayed] == sorted(each.finished_at for each in replayed if each.finished_at)


def test_the_record_says_where_with_what_and_from_what(application: Application, reading: str) -> None:
    with Session(application.store.engine) as session:
        record = session.scalars(select(PredictionRow)).one()
        (weights,) = session.scalars(select(WeightsRow))
        (submission,) = session.scalars(select(SubmissionRow))
        (sent,) = session.scalars(select(ResourceVersionRow).where(ResourceVersionRow.submission_id.is_not(None)))
    assert (record.worker, record.report_version) == (process_name(), 2)
    assert record.environment == computing_environment()
    assert record.policy == {"repairs": [], "report_status": "partial", "snomed": True}
    assert record.sources == [
        {
            "reference": f"Observation/{sent.id}/_history/1",
            "sha256": sha256(sent.content or b"").hexdigest(),
            "submission": submission.id,
            "submission_sha256": sha256(submission.body).hexdigest(),
        }
    ]
    assert set(record.timings or {}) == {"claim", "decode", "quality", "predict"}
    assert weights.sha256 == record.weights_sha256 == sha256(weights.body).hexdigest()
    assert weights.body == weights_bytes(None)


def test_two_ecgs_of_a_bundle_and_an_amendment_in_another(
    client: FlaskClient, application: Application, examples: dict[str, bytes]
) -> None:
    first, second, third = (json.loads(examples[n]) for n in list(examples)[:3])
    answer = send(client, json.dumps(bundle(first, second)).encode(), JSON, "")
    identity = answer["entry"][1]["response"]["location"].split("/")[-3]
    amended = bundle(third)
    amended["entry"].append(
        {
            "resource": second | {"id": identity, "subject": {"reference": "Patient/amended"}},
            "request": {"method": "PUT", "url": f"Observation/{identity}"},
        }
    )
    send(client, json.dumps(amended).encode(), JSON, "")
    read_waiting(application)

    assert outcomes(application) == ["equal"] * 3
    with Session(application.store.engine) as session:
        of_amended = select(PredictionRow).where(PredictionRow.observation_id == identity)
        assert (session.scalars(of_amended).one().sources or [])[0]["reference"].endswith("/_history/2")


def test_what_becomes_of_an_ecg_later_changes_nothing(
    client: FlaskClient, application: Application, examples: dict[str, bytes]
) -> None:
    ids = [send(client, examples[name])["id"] for name in list(examples)[:3]]
    read_waiting(application)
    served = client.get(f"/fhir/Observation/{ids[0]}").json
    body = json.dumps(served | {"subject": {"reference": "Patient/another"}})
    assert client.put(f"/fhir/Observation/{ids[0]}", data=body, content_type=JSON).status_code == 200
    assert client.delete(f"/fhir/Observation/{ids[1]}").status_code in {200, 204}

    assert outcomes(application) == ["equal"] * 3


def test_cancelled_and_failed_readings_and_a_second_one_are_replayed(
    client: FlaskClient, application: Application, examples: dict[str, bytes]
) -> None:
    flat = json.loads(examples["sinus-tachycardia"])
    sampled = flat["component"][6]["valueSampledData"]
    sampled["data"] = " ".join(["0"] * len(sampled["data"].split()))
    send(client, json.dumps(flat).encode())
    read_waiting(application)
    send(client, examples["sinus-tachycardia"])
    with Session(application.store.engine) as session:
        job = session.scalars(select(JobRow).where(JobRow.state == "waiting")).one()

    def no_weights() -> None:
        raise OSError("the disk is gone")

    for _ in range(3):
        classify(replace(application, classifier=no_weights), job.id)  # type: ignore[arg-type]
    retry_job(application, job.id)
    assert classify(application, job.id) == "read"

    assert outcomes(application) == ["equal"] * 3
    assert [each.outcome for each in replay_report(application, job.report_id)] == ["equal", "equal"]
    with Session(application.store.engine) as session:
        cancelled, failed = session.scalars(select(CancellationRow).order_by(CancellationRow.finished_at))
    assert [reason["code"] for reason in cancelled.reasons] == ["flat-lead"]
    assert (failed.recording_sha256, failed.attempt) == (None, 3)
    with changed(application, CancellationRow, CancellationRow.id == cancelled.id, reasons=failed.reasons):
        assert replay_all(application)[0].stage == "report"
    with changed(application, CancellationRow, CancellationRow.id == cancelled.id, reasons=[]):
        assert replay_all(application)[0].stage == "quality"


def test_what_was_not_read_is_said(client: FlaskClient, application: Application, examples: dict[str, bytes]) -> None:
    ids = [send(client, examples[name])["id"] for name in list(examples)[:2]]
    client.delete(f"/fhir/Observation/{ids[1]}")
    with Session(application.store.engine) as session:
        reports = {row.observation_id: row.report_id for row in session.scalars(select(JobRow))}

    (waiting,), (withdrawn,) = (replay_report(application, reports[identity]) for identity in ids)

    assert (waiting.outcome, withdrawn.outcome) == ("not read", "not read")
    assert "waits to be read" in (waiting.what or "")
    assert "cancelled" in (withdrawn.what or "")
    assert replay_all(application) == []


@contextmanager
def changed(application: Application, table: Any, which: Any, **values: Any) -> Iterator[None]:
    """Change a row behind the service's back, and then change it back."""
    engine = application.store.engine
    with Session(engine) as session, session.begin():
        row = session.scalars(select(table).where(which)).one()
        before = {name: deepcopy(getattr(row, name)) for name in values}
        after = {name: value(deepcopy(before[name])) if callable(value) else value for name, value in values.items()}
        assert after != before
        for name, value in after.items():
            setattr(row, name, value)
    yield
    with Session(engine) as session, session.begin():
        row = session.scalars(select(table).where(which)).one()
        for name, value in before.items():
            setattr(row, name, value)


def score(name: str, value: Any) -> Callable[[list[Any]], list[Any]]:
    """Change a field of one statement's score."""

    def change(scores: list[Any]) -> list[Any]:
        scores[3][name] = value(scores[3][name]) if callable(value) else value
        return scores

    return change


def replaced(one: bytes, other: bytes) -> Callable[[bytes], bytes]:
    return lambda body: body.replace(one, other, 1)


WARNING = {"code": "mains-hum", "text": "There is mains hum.", "lead": None, "severity": "warns"}
OF_RECORD = [
    ("recording", {"recording_sha256": "0" * 64}),
    ("recording", {"repairs": ["spaces-collapsed"]}),
    ("quality", {"warnings": [WARNING]}),
    ("weights", {"model_name": "another"}),
    ("input", {"input_sha256": "0" * 64}),
    ("logits", {"scores": score("logit", lambda x: x * (1 + 2**-52))}),
    ("logits", {"scores": lambda scores: scores[::-1]}),
    ("probabilities", {"scores": score("probability", lambda x: x + 1e-12)}),
    ("answers", {"scores": score("threshold", 0.999)}),
    ("answers", {"scores": score("ruled_out_below", 1e-9)}),
    ("answers", {"scores": score("assertable", lambda x: not x)}),
    ("answers", {"scores": score("answer", "unknown")}),
    ("answers", {"scores": score("rule", "no-such-rule")}),
    ("logits", {"scores": lambda scores: [{"code": each["code"]} for each in scores]}),
    ("observation", {"sources": lambda sources: [sources[0] | {"sha256": "0" * 64}]}),
    ("bytes", {"sources": lambda sources: [sources[0] | {"submission_sha256": "0" * 64}]}),
    ("bytes", {"sources": lambda sources: [sources[0] | {"submission": "another"}]}),
    ("report", {"policy": lambda policy: policy | {"snomed": False}}),
    ("report", {"policy": lambda policy: policy | {"report_status": "preliminary"}}),
]


def test_the_first_stage_that_differs_is_named_whatever_of_the_record_is_changed(
    application: Application, reading: str
) -> None:
    for stage, change in OF_RECORD:
        with changed(application, PredictionRow, PredictionRow.report_id == reading, **change):
            (found,) = replay_report(application, reading)
        assert (found.outcome, found.stage) == ("different", stage), (change, found)
        assert found.stored != found.replayed, change
    assert outcomes(application) == ["equal"]


def test_the_first_stage_that_differs_is_named_whatever_it_was_made_from_is_changed(
    application: Application, reading: str
) -> None:
    with Session(application.store.engine) as session:
        source = (session.scalars(select(PredictionRow.sources)).one() or [])[0]["reference"].split("/")[1]
        rows = session.scalars(select(ResourceVersionRow).where(ResourceVersionRow.type == "Observation"))
        (scores,) = [row.id for row in rows if row.id != source]
    sample, other = b'value="mV"', b'value="uV"'
    manifest = replaced(b'\\"threshold\\":0.', b'\\"threshold\\":1.')
    version = ResourceVersionRow.id
    changes: list[tuple[str, Any, Any, dict[str, Any]]] = [
        ("bytes", SubmissionRow, SubmissionRow.media_type != "", {"body": replaced(sample, other)}),
        ("bytes", SubmissionRow, SubmissionRow.media_type != "", {"body": b"{}"}),
        ("bytes", SubmissionRow, SubmissionRow.media_type != "", {"sha256": "0" * 64}),
        ("observation", SubmissionRow, SubmissionRow.media_type != "", {"media_type": JSON}),
        ("observation", ResourceVersionRow, version == source, {"content": replaced(b'"mV"', b'"uV"')}),
        ("observation", ResourceVersionRow, version == source, {"content": b"["}),
        ("weights", WeightsRow, WeightsRow.name != "", {"body": manifest}),
        ("weights", WeightsRow, WeightsRow.name != "", {"body": lambda body: body[:-1] + bytes([body[-1] ^ 1])}),
        (
            "report",
            ResourceVersionRow,
            (version == reading) & (ResourceVersionRow.version == 2),
            {"content": replaced(b"UNCONFIRMED", b"CONFIRMED")},
        ),
        ("report", ResourceVersionRow, version == scores, {"content": replaced(b"preliminary", b"final")}),
        ("report", ResourceVersionRow, version == scores, {"content": replaced(b'"POS"', b'"NEG"')}),
    ]
    for stage, table, which, change in changes:
        with changed(application, table, which, **change):
            (found,) = replay_report(application, reading)
        assert (found.outcome, found.stage) == ("different", stage), (table, change, found)
    assert outcomes(application) == ["equal"]


def test_bytes_that_were_changed_with_all_their_digests_decode_to_another_recording(
    client: FlaskClient, application: Application, examples: dict[str, bytes]
) -> None:
    send(client, examples["sinus-bradycardia"])
    read_waiting(application)
    with Session(application.store.engine) as session, session.begin():
        submission = session.scalars(select(SubmissionRow)).one()
        document = json.loads(submission.body)
        sampled = document["component"][0]["valueSampledData"]
        sampled["data"] = "77 " + sampled["data"].partition(" ")[2]
        submission.body = json.dumps(document).encode()
        submission.sha256 = sha256(submission.body).hexdigest()
        record = session.scalars(select(PredictionRow)).one()
        record.sources, recorded = None, record.recording_sha256

    (found,) = replay_all(application)

    assert (found.outcome, found.stage) == ("different", "recording")
    assert found.what == "SHA-256 of the decoded leads"
    assert found.stored == recorded


@pytest.mark.parametrize(("kind", "stage"), [("Observation", "bytes"), ("DiagnosticReport", "report")])
def test_what_is_not_stored_any_more_is_said(application: Application, reading: str, kind: str, stage: str) -> None:
    with Session(application.store.engine) as session, session.begin():
        rows = session.scalars(select(ResourceVersionRow).where(ResourceVersionRow.type == kind)).all()
        missing = [row for row in rows if row.submission_id is not None or row.id == reading]
        for row in missing:
            session.delete(row)

    (found,) = replay_report(application, reading)

    assert (found.outcome, found.stage) == ("impossible", stage)
    assert f"{kind}/{missing[0].id}" in (found.what or "")


def test_what_older_versions_have_not_recorded_is_found_all_the_same(application: Application, reading: str) -> None:
    unknown = dict.fromkeys(("report_version", "worker", "environment", "policy", "sources", "timings"))
    with changed(application, PredictionRow, PredictionRow.report_id == reading, **unknown):
        (found,) = replay_report(application, reading)
    assert found.outcome == "equal"
    assert found.changes
    assert all("unknown then" in change for change in found.changes)


def test_on_other_libraries_so_much_may_differ_and_no_more(application: Application, reading: str) -> None:
    def on_another(**changes: Any) -> Replayed:
        environment = computing_environment() | {"onnxruntime": "1.24.0"}
        which = PredictionRow.report_id == reading
        with changed(application, PredictionRow, which, environment=environment, **changes):
            (found,) = replay_report(application, reading)
        assert found.changes == (f"onnxruntime: 1.24.0 then, {computing_environment()['onnxruntime']} now",)
        return found

    assert on_another().outcome == "equal"
    near = on_another(input_sha256="0" * 64, scores=score("logit", lambda x: x + 9e-5))
    assert near.outcome == "within tolerance"
    for stage, change in (
        ("logits", {"scores": score("logit", lambda x: x + 2e-4)}),
        ("probabilities", {"scores": score("probability", lambda x: x + 2e-4)}),
        ("answers", {"scores": score("threshold", lambda x: x + 1e-6)}),
        ("recording", {"recording_sha256": "0" * 64}),
    ):
        assert (on_another(**change).outcome, on_another(**change).stage) == ("different", stage)


def test_another_software_may_word_a_report_otherwise_but_not_code_it_otherwise(
    application: Application, reading: str
) -> None:
    of_report = (ResourceVersionRow.id == reading) & (ResourceVersionRow.version == 2)
    with changed(application, PredictionRow, PredictionRow.report_id == reading, software_version="0.0.1"):
        with changed(application, ResourceVersionRow, of_report, content=replaced(b"UNCONFIRMED", b"Unconfirmed")):
            assert outcomes(application) == ["equal"]
        with changed(application, ResourceVersionRow, of_report, content=replaced(b'"CLBBB"', b'"CRBBB"')):
            assert [each.stage for each in replay_all(application)] == ["report"]


def test_a_model_that_is_not_in_use_any_more_is_kept(
    application: Application, client: FlaskClient, settings: Settings, examples: dict[str, bytes], tmp_path: Path
) -> None:
    shipped = read_weights(None)
    other = tmp_path / "other.safetensors"
    manifest = shipped.manifest.model_copy(update={"name": "other"})
    write_weights(other, manifest, shipped.tensors, shipped.graph or b"")
    send(client, examples["sinus-bradycardia"])
    with_other = bootstrap(settings.model_copy(update={"weights": other}))
    read_waiting(with_other)

    assert outcomes(application) == ["equal"]
    with Session(application.store.engine) as session, session.begin():
        session.delete(session.scalars(select(WeightsRow)).one())
    (found,) = replay_all(application)
    assert (found.outcome, found.stage) == ("impossible", "weights")
    assert "FHIR_ECG_WEIGHTS" in (found.what or "")
    assert outcomes(with_other) == ["equal"]
    other.unlink()
    assert outcomes(with_other) == ["impossible"]
    with_other.store.engine.dispose()


def test_weights_with_another_threshold_are_found_even_where_every_digest_was_changed(
    application: Application, reading: str, tmp_path: Path
) -> None:
    shipped = read_weights(None)
    code = shipped.manifest.labels[0]
    decision = shipped.manifest.decisions[code].model_copy(update={"threshold": 0.0123})
    manifest = shipped.manifest.model_copy(update={"decisions": shipped.manifest.decisions | {code: decision}})
    write_weights(tmp_path / "forged", manifest, shipped.tensors, shipped.graph or b"")
    body = (tmp_path / "forged").read_bytes()
    digest = parse_weights(body, "forged").sha256
    with (
        changed(application, WeightsRow, WeightsRow.name != "", body=body, sha256=digest),
        changed(application, PredictionRow, PredictionRow.report_id == reading, weights_sha256=digest),
    ):
        (found,) = replay_report(application, reading)
    assert (found.stage, found.what) == ("answers", f"threshold of {code}")
    assert found.replayed == 0.0123


def test_a_changed_weights_file_is_not_kept_for_another(
    application: Application, client: FlaskClient, settings: Settings, examples: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(weights_bytes(None))
    changing = bootstrap(settings.model_copy(update={"weights": path}))
    send(client, examples["sinus-bradycardia"])
    changing.classifier()
    path.write_bytes(weights_bytes(None)[:-1] + b"?")
    read_waiting(changing)
    changing.store.engine.dispose()

    with Session(application.store.engine) as session:
        assert session.scalars(select(WeightsRow)).all() == []
    assert outcomes(application) == ["equal"]  # by the shipped weights, whose digest it is


def test_many_first_readings_at_once_keep_the_weights_once(
    application: Application, client: FlaskClient, settings: Settings, examples: dict[str, bytes]
) -> None:
    for body in list(examples.values())[:4]:
        send(client, body)
    with Session(application.store.engine) as session:
        jobs = session.scalars(select(JobRow.id)).all()
    processes = [bootstrap(settings) for _ in jobs]
    with ThreadPoolExecutor(len(jobs)) as pool:
        ended = list(pool.map(lambda pair: classify(*pair), zip(processes, jobs, strict=True)))
    for each in processes:
        each.store.engine.dispose()

    assert ended == ["read"] * len(jobs)
    with Session(application.store.engine) as session:
        assert len(session.scalars(select(WeightsRow.sha256)).all()) == 1
        kept = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "keep-weights")).all()
    assert len(kept) == 1
    assert outcomes(application) == ["equal"] * len(jobs)


@pytest.mark.ptbxl
@pytest.mark.timeout(600)
def test_real_ecgs_are_replayed_equal(client: FlaskClient, application: Application, ptbxl: Path) -> None:
    from fhir_ecg.commands.to_fhir import record_as_observation

    records = sorted((ptbxl / "wfdb500").glob("*_hr.hea"))[:12]
    for index, record in enumerate(records):
        body = record_as_observation(record.with_suffix(""), 100 if index % 2 else None, None).encode()
        send(client, *sent_form(FORMS[index % len(FORMS)], body))
    read_waiting(application)

    assert outcomes(application) == ["equal"] * len(records)

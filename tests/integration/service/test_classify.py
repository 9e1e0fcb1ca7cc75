"""Reading a job: once, whatever happens, on a real database of each kind."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from fhir_ecg.fhir.document import Form
from fhir_ecg.fhir.reading_resources import device_id, model_device
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.service.classify import classify
from fhir_ecg.service.submit import submit
from fhir_ecg.store.tables import AuditEventRow, JobRow, PredictionRow, ResourceVersionRow


@pytest.fixture
def report_id(application: Application, examples: dict[str, bytes]) -> str:
    return str(submit(application, examples["sinus-tachycardia"], Form(), Caller("ehr", "r-1")).report.content["id"])


def job(application: Application) -> JobRow:
    with Session(application.store.engine) as session:
        return session.scalars(select(JobRow)).one()


def versions(application: Application, report_id: str) -> list[str]:
    with Session(application.store.engine) as session:
        rows = session.scalars(
            select(ResourceVersionRow.content)
            .where(ResourceVersionRow.id == report_id)
            .order_by(ResourceVersionRow.version)
        )
        return [json.loads(content or b"{}")["status"] for content in rows]


def broken(application: Application) -> Application:
    """The same service with weights that cannot be loaded."""

    def no_weights() -> None:
        raise OSError("the disk is gone")

    return replace(application, classifier=no_weights)  # type: ignore[arg-type]


def test_a_job_done_twice_changes_nothing(application: Application, report_id: str) -> None:
    assert classify(application, job(application).id) == "read"
    assert classify(application, job(application).id) == "not claimed"

    assert versions(application, report_id) == ["registered", "partial"]
    with Session(application.store.engine) as session:
        prediction = session.scalars(select(PredictionRow)).one()
    assert prediction.report_id == report_id
    assert len(prediction.scores) == 71
    assert (prediction.attempt, prediction.repairs) == (1, [])
    assert len({prediction.weights_sha256, prediction.input_sha256, prediction.recording_sha256}) == 3


def test_many_first_readings_at_once_all_end(application: Application, examples: dict[str, bytes]) -> None:
    """They all write the model's Device, which no one had written before."""
    for body in examples.values():
        submit(application, body, Form(), Caller())
    with Session(application.store.engine) as session:
        jobs = session.scalars(select(JobRow.id)).all()
    application.classifier()
    with ThreadPoolExecutor(len(jobs)) as workers:
        outcomes = list(workers.map(lambda job_id: classify(application, job_id), jobs))

    assert outcomes == ["read"] * len(examples)
    with Session(application.store.engine) as session:
        devices = session.scalars(select(ResourceVersionRow.version).where(ResourceVersionRow.type == "Device")).all()
    assert devices == [1]


def test_a_failed_attempt_is_tried_again_and_then_cancelled_with_the_reason(
    application: Application, report_id: str
) -> None:
    impatient = replace(application, policy=replace(application.policy, wake_again=timedelta(0)))
    outcomes = [classify(broken(impatient), job(application).id) for _ in range(4)]

    assert outcomes == ["released", "released", "cancelled", "not claimed"]
    assert versions(application, report_id) == ["registered", "cancelled"]
    assert "the disk is gone" in (job(application).error or "")
    assert job(application).state == "failed"
    with Session(application.store.engine) as session:
        audit = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "classify")).one()
    detail = {"reasons": ["processing-failed"], "patients": [{"reference": "Patient/example-3"}]}
    assert (audit.outcome, audit.detail) == ("failure", detail)


def test_a_job_whose_workers_all_died_is_cancelled(application: Application, report_id: str) -> None:
    for attempt in range(3):
        with application.store.transaction() as work:
            moment = now() + attempt * timedelta(hours=1)
            assert work.jobs.claim(job(application).id, moment, lease=timedelta(minutes=1))
    with application.store.transaction() as work:  # the last lease has ended
        assert work.jobs.take_due(now() + timedelta(hours=9), wake_again=timedelta(0), limit=1)
    with Session(application.store.engine) as session, session.begin():
        session.get_one(JobRow, job(application).id).due_at = now()

    assert classify(application, job(application).id) == "cancelled"
    assert versions(application, report_id) == ["registered", "cancelled"]


def test_an_attempt_that_was_taken_over_writes_nothing(application: Application, report_id: str) -> None:
    slow = application.classifier()

    class TakenOver:
        """The real classifier, beside which another worker reads the same job meanwhile."""

        def predict(self, recording: object, warnings: object) -> object:
            with Session(application.store.engine) as session, session.begin():
                session.get_one(JobRow, job(application).id).due_at = now()
            assert classify(application, job(application).id) == "read"
            return slow.predict(recording, warnings)  # type: ignore[arg-type]

    overtaken = replace(application, classifier=TakenOver)  # type: ignore[arg-type, return-value]

    assert classify(overtaken, job(application).id) == "not claimed"
    assert versions(application, report_id) == ["registered", "partial"]


def test_what_an_older_version_stored_of_the_model_is_made_whole(
    application: Application, examples: dict[str, bytes]
) -> None:
    """Workers at once, on the Device of a version that knew no cards: one next version comes of it, and stays."""
    model = application.model()
    incomplete = model_device(model)
    with application.store.transaction() as work:
        work.resources.put(incomplete, now())
    for _ in range(5):
        submit(application, examples["sinus-tachycardia"], Form(), Caller("ehr"))
    with Session(application.store.engine) as session:
        jobs = session.scalars(select(JobRow.id)).all()
    with ThreadPoolExecutor(4) as workers:
        assert list(workers.map(lambda job_id: classify(application, job_id), jobs[:4])) == ["read"] * 4

    with application.store.transaction() as work:
        older, whole = (work.resources.get("Device", device_id(model), version) for version in (1, 2))
        assert older is not None
        assert whole is not None
        assert work.resources.get("Device", device_id(model), 3) is None
        assert older.content["extension"] == incomplete["extension"]
        described = whole.content["extension"][1]["valueReference"]["reference"]
        card = work.resources.get("DocumentReference", described.partition("/")[2])
        assert card is not None
        assert card.version == 1
        # A process that writes the former one beside it does not take it back: it would go to and fro.
        work.resources.put_shared(incomplete, now())
    assert classify(application, jobs[4]) == "read"
    with application.store.transaction(writes=False) as work:
        current = work.resources.get("Device", device_id(model))
    assert current is not None
    assert (current.version, current.content) == (2, whole.content)

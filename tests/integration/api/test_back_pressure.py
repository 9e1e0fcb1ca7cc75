"""More ECGs than can be read, and a database that cannot write: refused for now, never lost."""

from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from fhir_ecg.api.app import create_app
from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.service.application import Application
from fhir_ecg.service.classify import classify
from fhir_ecg.settings import Settings
from fhir_ecg.store.migrations import upgrade
from fhir_ecg.store.tables import JobRow, ResourceRow

FHIR_JSON = {"Content-Type": "application/fhir+json"}


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, database_url=database_url, queue_limit=3)


def stored(application: Application) -> int:
    with Session(application.store.engine) as session:
        return session.scalar(select(func.count()).select_from(ResourceRow)) or 0


def told(answer: Any) -> str:
    outcome = answer.get_json()
    assert outcome["resourceType"] == "OperationOutcome"
    code: str = outcome["issue"][0]["code"]
    return code


def bundle_of(kind: str, ecgs: list[bytes]) -> bytes:
    request = b'{"method": "POST", "url": "Observation"}'
    entries = b",".join(b'{"request": %s, "resource": %s}' % (request, ecg) for ecg in ecgs)
    return b'{"resourceType": "Bundle", "type": "%s", "entry": [%s]}' % (kind.encode(), entries)


def test_beyond_the_limit_an_ecg_is_refused_until_one_is_read(
    client: FlaskClient, application: Application, examples: dict[str, bytes]
) -> None:
    ecg = examples["normal-sinus-rhythm"]
    for number in range(3):
        sent = client.post("/fhir/Observation", data=ecg, headers=FHIR_JSON | {"Idempotency-Key": f"{number}"})
        assert sent.status_code == HTTPStatus.CREATED
    before = stored(application)

    refused = client.post("/fhir/Observation", data=ecg, headers=FHIR_JSON | {"Idempotency-Key": "3"})

    assert (refused.status_code, told(refused)) == (503, "throttled")
    assert int(refused.headers["Retry-After"]) > 0
    assert stored(application) == before
    # What is here already is told all the same.
    again = client.post("/fhir/Observation", data=ecg, headers=FHIR_JSON | {"Idempotency-Key": "2"})
    assert again.headers["Location"] == sent.headers["Location"]

    with Session(application.store.engine) as session:
        job = session.scalars(select(JobRow.id).limit(1)).one()
    assert classify(application, job) == "read"
    accepted = client.post("/fhir/Observation", data=ecg, headers=FHIR_JSON | {"Idempotency-Key": "3"})
    assert accepted.status_code == HTTPStatus.CREATED


@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_a_bundle_without_room_for_all_is_refused_whole(
    client: FlaskClient, application: Application, examples: dict[str, bytes], kind: str
) -> None:
    ecgs = [examples["normal-sinus-rhythm"], examples["atrial-fibrillation"]]
    # Of one patient at one time they would be one ECG.
    four = [ecg.replace(b'"subject":', b'"id": "e%d", "subject":' % n) for n, ecg in enumerate([*ecgs, *ecgs])]

    refused = client.post("/fhir", data=bundle_of(kind, four), headers=FHIR_JSON)

    assert (refused.status_code, told(refused)) == (503, "throttled")
    assert stored(application) == 0


def test_a_database_without_room_refuses_for_now(tmp_path: Path, examples: dict[str, bytes]) -> None:
    settings = Settings(data_dir=tmp_path)
    application = bootstrap(settings)
    upgrade(application.store.engine)
    limits = ["PRAGMA max_page_count = 10", "PRAGMA max_page_count = 1000000"]  # the first means: as large as it is

    @event.listens_for(application.store.engine, "checkout")
    def limit(connection: Any, *_: Any) -> None:
        connection.execute(limits[0])

    client = create_app(application, settings).test_client()
    ecg = examples["normal-sinus-rhythm"]
    headers = FHIR_JSON | {"Idempotency-Key": "one"}

    refused = client.post("/fhir/Observation", data=ecg, headers=headers)
    limits.pop(0)
    accepted = client.post("/fhir/Observation", data=ecg, headers=headers)
    application.store.engine.dispose()

    assert (refused.status_code, told(refused)) == (503, "transient")
    assert int(refused.headers["Retry-After"]) > 0
    assert accepted.status_code == HTTPStatus.CREATED

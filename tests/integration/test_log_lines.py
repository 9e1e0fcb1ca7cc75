"""The lines that web and worker say of an ECG: found by its request, its job and its report."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from fhir_ecg.api.app import create_app
from fhir_ecg.api.authorisation import new_token
from fhir_ecg.api.server import without_address
from fhir_ecg.broker import make_celery
from fhir_ecg.log_format import log_handler
from fhir_ecg.service.application import Application
from fhir_ecg.settings import Settings
from worker import tasks

JSON = "application/fhir+json"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What the process says, as JSON."""
    said = io.StringIO()
    handler = log_handler(said, "json", "INFO", "web")
    logging.getLogger().addHandler(handler)
    ours = [logging.getLogger(name) for name in ("fhir_ecg", "worker")]
    before = [logger.level for logger in ours]
    for logger in ours:
        logger.setLevel(logging.INFO)
    yield said
    for logger, level in zip(ours, before, strict=True):
        logger.setLevel(level)
    logging.getLogger().removeHandler(handler)


def lines(stream: io.StringIO, message: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in found if line["message"] == message]


def test_each_request_has_one_access_line_without_its_address(client: FlaskClient, stream: io.StringIO) -> None:
    client.get("/fhir/Observation?subject=Patient/Schmidt", headers={"X-Request-Id": "r-1"})
    client.post("/fhir/Observation", data="Schmidt", content_type=JSON)
    client.get("/Schmidt")

    search, create, nowhere = lines(stream, "answered")
    assert (search["method"], search["route"], search["status"], search["bytes_in"]) == ("GET", "/fhir/{kind}", 200, 0)
    assert (create["method"], create["status"], create["bytes_in"]) == ("POST", 400, 7)
    assert nowhere["route"] == "none"
    assert search["request_id"] == "r-1"
    assert search["duration_ms"] > 0
    assert "Schmidt" not in stream.getvalue()


def test_the_request_s_id_is_given_back_and_one_is_made_where_none_is_given(
    client: FlaskClient, stream: io.StringIO
) -> None:
    given = client.get("/livez", headers={"X-Request-Id": "r-1"}).headers["X-Request-Id"]
    made = [client.get("/livez", headers={"X-Request-Id": wrong}).headers["X-Request-Id"] for wrong in ("a b", "")]

    assert given == "r-1"
    assert len({given, *made}) == 3
    assert [line["request_id"] for line in lines(stream, "answered")] == [given, *made]


def test_the_client_is_named(application: Application, settings: Settings, stream: io.StringIO) -> None:
    secret, digest = new_token()
    client = create_app(application, settings.model_copy(update={"clients": {"ehr": digest}})).test_client()
    client.get("/fhir/Observation")
    client.get("/fhir/Observation", headers={"Authorization": f"Bearer {secret}"})

    refused, answered = lines(stream, "answered")
    assert (refused["status"], "client" in refused) == (401, False)
    assert (answered["status"], answered["client"]) == (200, "ehr")


def test_a_request_leads_to_its_job_and_the_job_to_its_reading(
    client: FlaskClient, application: Application, examples: dict[str, bytes], stream: io.StringIO
) -> None:
    sent = client.post(
        "/fhir/Observation",
        data=examples["atrial-fibrillation"],
        content_type=JSON,
        headers={"X-Request-Id": "r-2"},
    )
    (accepted,) = lines(stream, "an ECG was accepted")
    celery = make_celery("memory://")
    tasks.register(celery)
    tasks.use(application)
    for _ in range(2):
        celery.tasks["fhir_ecg.classify"](accepted["job"])

    assert (accepted["request_id"], accepted["observation"]) == ("r-2", sent.get_json()["id"])
    read, again = lines(stream, "the attempt ended")
    assert (read["job"], read["report"], read["attempt"]) == (accepted["job"], accepted["report"], 1)
    assert (read["request_id"], "request_id" in again) == ("r-2", False)
    assert (read["outcome"], again["outcome"]) == ("read", "not claimed")
    assert "attempt" not in again


def test_an_attempt_that_cannot_reach_the_database_is_told_and_harms_nothing(
    application: Application, stream: io.StringIO
) -> None:
    with application.store.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE job")
    tasks.use(application)
    celery = make_celery("memory://")
    tasks.register(celery)
    celery.tasks["fhir_ecg.classify"]("some-job")

    (failed,) = lines(stream, "the attempt ended in an error")
    assert failed["job"] == "some-job"
    assert failed["exception"].splitlines()[-1].startswith(("OperationalError: ", "ProgrammingError: "))
    (ended,) = lines(stream, "the attempt ended")
    assert ended["outcome"] == "error"


def test_the_http_server_says_no_address(stream: io.StringIO) -> None:
    """waitress writes the path into the message itself, as `waitress.channel` does here."""
    logger = logging.getLogger("waitress")
    logger.addFilter(without_address)
    logger.warning("Client disconnected while serving %s" % "/fhir/Patient/Schmidt")  # noqa: G002, UP031
    logger.removeFilter(without_address)

    assert [line["logger"] for line in lines(stream, "Client disconnected")] == ["waitress"]
    assert "Schmidt" not in stream.getvalue()

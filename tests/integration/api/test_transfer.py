"""Compressed bodies and answers, browsers' questions, and what no cache may keep."""

import gzip
import zlib

import pytest
from flask.testing import FlaskClient

from fhir_ecg.api.app import create_app
from fhir_ecg.service.application import Application
from fhir_ecg.settings import Settings

FHIR = "application/fhir+json"
GZIP = {"Content-Encoding": "gzip"}


def test_a_compressed_ecg_is_taken_and_answers_are_compressed(client: FlaskClient, examples: dict[str, bytes]) -> None:
    body = gzip.compress(examples["normal-sinus-rhythm"])
    answer = client.post(
        "/fhir/Observation", data=body, content_type=FHIR, headers=GZIP | {"Accept-Encoding": "gzip, br"}
    )
    assert (answer.status_code, answer.headers["Content-Encoding"]) == (201, "gzip")
    assert int(answer.headers["Content-Length"]) == len(answer.data)
    plain = client.get(answer.headers["Location"])
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(answer.data) == plain.data
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert plain.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("accepted", ["gzip;q=0", "identity", "br"])
def test_who_takes_no_gzip_gets_none(client: FlaskClient, accepted: str) -> None:
    answer = client.get("/fhir/metadata", headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in answer.headers
    assert answer.json["resourceType"] == "CapabilityStatement"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"no gzip", 400),
        (gzip.compress(b"{}")[:-4], 400),
        (gzip.compress(b"{}") + b"more", 400),
        (gzip.compress(b" " * (2 * 1024**2 + 1)), 413),
        (zlib.compress(b"{}"), 400),
    ],
)
def test_a_gzip_that_is_none_or_too_large_is_refused(client: FlaskClient, body: bytes, status: int) -> None:
    answer = client.post("/fhir/Observation", data=body, content_type=FHIR, headers=GZIP)
    assert (answer.status_code, answer.json["resourceType"]) == (status, "OperationOutcome")


def test_an_unknown_encoding_is_refused(client: FlaskClient) -> None:
    answer = client.post("/fhir/Observation", data=b"{}", content_type=FHIR, headers={"Content-Encoding": "br"})
    assert (answer.status_code, answer.json["issue"][0]["code"]) == (415, "not-supported")


def test_web_pages_may_call_where_the_operator_says_so(application: Application, settings: Settings) -> None:
    page = "https://ehr.example"
    allowed = Settings(
        **settings.model_dump(exclude={"cors_origins", "clients"}), cors_origins=(page,), clients={"a": "0" * 64}
    )
    client = create_app(application, allowed).test_client()
    asked = {
        "Origin": page,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, authorization",
    }
    answer = client.options("/fhir/Observation", headers=asked)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (204, page)
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()
    read = client.get("/fhir/metadata", headers={"Origin": page})
    assert "ETag" in read.headers["Access-Control-Expose-Headers"]
    stranger = client.get("/fhir/metadata", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in stranger.headers
    # What is asked without a token is not told without one.
    assert client.get("/fhir/Observation", headers={"Origin": page}).status_code == 401


def test_no_web_page_may_call_by_default(client: FlaskClient) -> None:
    answer = client.get("/fhir/metadata", headers={"Origin": "https://ehr.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_head_and_options_answer_everywhere(client: FlaskClient, examples: dict[str, bytes]) -> None:
    location = client.post("/fhir/Observation", data=examples["normal-sinus-rhythm"], content_type=FHIR).headers[
        "Location"
    ]
    for address in ("/fhir/metadata", "/fhir/Observation", location, location.partition("/_history/")[0]):
        head, get = client.head(address), client.get(address)
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers.get("ETag") == get.headers.get("ETag")
        options = client.options(address)
        assert (options.status_code, options.data, options.content_type) == (204, b"", None)
        assert "GET" in options.headers["Allow"]
    assert set(client.options("/fhir/Observation/x").headers["Allow"].split(", ")) == {
        "GET",
        "HEAD",
        "OPTIONS",
        "PUT",
        "DELETE",
    }

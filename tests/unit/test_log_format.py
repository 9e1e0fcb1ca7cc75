"""Log lines as text and as JSON."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fhir_ecg.log_context import add_log_fields, log_scope
from fhir_ecg.log_format import LogFormat, log_handler

logger = logging.getLogger("fhir_ecg.test_log_format")


@contextmanager
def logged(log_format: LogFormat) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = log_handler(stream, log_format, "INFO", "worker")
    logging.getLogger().addHandler(handler)
    previous = logger.level
    logger.setLevel(logging.INFO)
    yield stream
    logger.setLevel(previous)
    logging.getLogger().removeHandler(handler)


def one_line(say: Callable[[], None]) -> dict[str, Any]:
    with logged("json") as stream:
        say()
    (line,) = stream.getvalue().splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_line_has_its_time_level_logger_role_and_process() -> None:
    line = one_line(lambda: logger.warning("%d of %d", 1, 2))

    assert line.pop("timestamp").endswith("+00:00")
    assert line.pop("process") > 0
    assert line == {"level": "WARNING", "logger": logger.name, "message": "1 of 2", "role": "worker"}


def test_fields_of_the_scope_are_on_each_line_within_it() -> None:
    def say() -> None:
        with log_scope(job="j"):
            add_log_fields(attempt=2)
            logger.info("read", extra={"outcome": "read"})

    line = one_line(say)
    assert (line["job"], line["attempt"], line["outcome"]) == ("j", 2, "read")
    assert "job" not in one_line(lambda: logger.info("after"))


def test_what_libraries_attach_is_left_out() -> None:
    line = one_line(lambda: logger.info("received", extra={"data": {"args": ["secret"]}, "request": "secret"}))

    assert "secret" not in json.dumps(line)


def test_errors_in_messages_and_beside_them_are_told_without_their_text() -> None:
    def say() -> None:
        try:
            float("secret")
        except ValueError as error:
            logger.exception("it failed: %s", error)  # noqa: TRY401 - as libraries do
            logger.warning(error)

    with logged("json") as stream:
        say()
    first, second = map(json.loads, stream.getvalue().splitlines())

    assert first["message"] == "it failed: ValueError"
    assert "in say" in first["exception"]
    assert second["message"] == "ValueError"
    assert "secret" not in first["exception"].replace('float("secret")', "")


def test_text_has_the_fields_at_the_end_of_the_line() -> None:
    with logged("text") as stream, log_scope(job="j"):
        try:
            float("secret")
        except ValueError:
            logger.exception("it failed")

    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("ERROR fhir_ecg.test_log_format: it failed [job=j]")
    assert rest[-1] == "ValueError"


SCRIPT = """
import logging, threading, warnings
from fhir_ecg.log_format import configure_logging, log_uncaught_errors
configure_logging("json", "DEBUG", "web")
log_uncaught_errors()
logging.getLogger("fhir_ecg").debug("ours")
logging.getLogger("sqlalchemy.engine").debug("a row")
logging.getLogger("alembic.runtime").info("a connection")
warnings.warn("old")
def fail(): raise ValueError("secret")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""


def test_a_process_says_everything_in_json_and_nothing_of_libraries_at_debug() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stderr.splitlines()]

    assert done.returncode == 1
    assert [line["logger"] for line in lines] == ["fhir_ecg", "py.warnings", "fhir_ecg", "fhir_ecg"]
    assert [line["level"] for line in lines] == ["DEBUG", "WARNING", "CRITICAL", "CRITICAL"]
    assert "secret" not in done.stderr


@pytest.mark.parametrize("wrong", ["xml", "JSON"])
def test_other_formats_are_no_settings(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydantic import ValidationError

    from fhir_ecg.settings import Settings

    monkeypatch.setenv("FHIR_ECG_LOG_FORMAT", wrong)
    with pytest.raises(ValidationError):
        Settings()

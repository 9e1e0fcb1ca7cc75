"""What is said of an error: its class always, its text where it cannot hold what was sent."""

from typing import Literal

import pytest
import redis
from kombu.exceptions import OperationalError
from pydantic import BaseModel, ValidationError

from fhir_ecg.classifier.weights import WeightsError
from fhir_ecg.error_text import describe_error, format_error
from fhir_ecg.fhir.outcome import Problem, UnprocessableError

MARKER = "Marker4711Schmidt"


class _LibraryError(OSError):
    """As servers have them, of what they were reading."""


class _Strict(BaseModel):
    status: Literal["final"]
    count: int


def pydantic_error() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        _Strict.model_validate({"status": MARKER, "count": MARKER})
    return caught.value


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError(f"could not convert string to float: '{MARKER}'"), "ValueError"),
        (KeyError(MARKER), "KeyError"),
        (UnprocessableError(Problem("value", f"{MARKER} is no code")), "UnprocessableError"),
        (_LibraryError(f"no more data after {MARKER}"), "_LibraryError"),
        (pydantic_error(), "ValidationError: int_parsing, literal_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_was_sent_is_not_repeated(error: Exception, said: str) -> None:
    assert MARKER in str(error)
    assert describe_error(error) == said
    assert MARKER not in format_error(error)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file or directory", "model.safetensors"),
        ConnectionRefusedError(111, "Connection refused"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ModuleNotFoundError("No module named 'psycopg'"),
        OperationalError("Error 111 connecting to redis:6379"),
        redis.TimeoutError("Timeout reading from redis:6379"),
        WeightsError("model.safetensors holds no manifest"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_speaks_of_the_machine_is_told(error: Exception) -> None:
    assert describe_error(error) == f"{type(error).__name__}: {error}"


def test_an_error_is_told_with_its_place_and_with_those_that_led_to_it() -> None:
    def decode() -> None:
        try:
            float(MARKER)
        except ValueError as error:
            raise OSError("the disk is gone") from error

    with pytest.raises(OSError, match="gone") as caught:
        decode()

    first, last = format_error(caught.value).split("which led to")
    assert "in decode" in first
    assert first.strip().endswith("ValueError")
    assert last.strip().endswith("OSError: the disk is gone")


def test_an_error_that_led_to_itself_is_told_once() -> None:
    error = RuntimeError("round")
    error.__context__ = ValueError()
    error.__context__.__context__ = error

    assert format_error(error).count("RuntimeError") == 1

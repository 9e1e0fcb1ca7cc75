"""A plugin of pytest: every FHIR answer of a run is shown to the validators when the tests have ended.

Answers of applications in this process are seen through Flask's signal; those of servers in other processes, through
`requests`, which the tests and most of the clients use.
"""

import time
from collections.abc import Iterator
from functools import wraps
from typing import Any

import pytest
import requests
from conformance.answers import Answers
from flask import Flask, Response, request, request_finished

_answers = Answers()
_verdict: list[str] = []
_send = requests.Session.send


@wraps(_send)
def _watched_send(session: requests.Session, prepared: requests.PreparedRequest, **options: Any) -> requests.Response:
    answer = _send(session, prepared, **options)
    if not options.get("stream"):
        label = f"{prepared.method} {prepared.url}"
        # `requests` has undone the compression already.
        _answers.add(label, answer.headers.get("Content-Type", ""), None, answer.content)
    return answer


def _finished(_: Flask, response: Response, **__: Any) -> None:
    label = f"{request.method} {request.full_path.rstrip('?')}"
    content_type, encoding = response.content_type or "", response.headers.get("Content-Encoding")
    if not response.is_streamed:
        _answers.add(label, content_type, encoding, response.get_data())
        return
    stream = response.response

    def seen() -> Iterator[Any]:
        pieces = []
        for piece in stream:
            pieces.append(piece)
            yield piece
        _answers.add(label, content_type, encoding, b"".join(pieces))

    response.call_on_close(getattr(stream, "close", lambda: None))
    response.response = seen()


def pytest_configure() -> None:
    request_finished.connect(_finished)
    requests.Session.send = _watched_send  # type: ignore[method-assign]


def pytest_unconfigure() -> None:
    request_finished.disconnect(_finished)
    requests.Session.send = _send  # type: ignore[method-assign]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run where a validator has an answer for wrong."""
    answers = list(_answers.of_kind.values())
    if not answers:
        return
    from conformance.validators import complaints_in_node, complaints_in_python
    from javascript.node_programs import NodeAbsentError

    began = time.perf_counter()
    complaints = complaints_in_python(answers)
    try:
        complaints += complaints_in_node(answers)
    except NodeAbsentError as absent:
        _verdict.append(f"not shown to the validators in Node: {absent}")
    except Exception as failure:
        _verdict.append(f"FAILED: the validators in Node: {failure}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if complaints:
        _verdict.extend(f"FAILED: {complaint}" for complaint in complaints)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    shown = f"{_answers.received} answers of {len(answers)} kinds"
    _verdict.append(f"{shown}, {len(complaints)} complaints, {time.perf_counter() - began:.0f} s")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what the validators said."""
    if _verdict:
        terminalreporter.section("every FHIR answer shown to validators that were not written here")
        for line in _verdict:
            terminalreporter.write_line(line)

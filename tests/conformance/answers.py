"""The FHIR answers of a run of the tests: each kind of answer is kept once, with the test that got it."""

import gzip
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Syntax = Literal["json", "xml"]

# What differs between answers of one kind: free text is told apart by none of the validators.
_FREE_TEXT = {"data", "display", "text", "diagnostics", "conclusion", "description", "definition", "documentation"}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32,}")
_DIGITS = re.compile(r"\d+")
_XML_VALUE = re.compile(r'(?:id|value|url)="[^"]*"|>[^<]*<')


@dataclass(frozen=True)
class Answer:
    """A resource as it was answered."""

    origin: str
    """The test and the request."""
    body: str
    syntax: Syntax
    release: str
    """`4.0` or `5.0`."""


class Answers:
    """Collects answers, one of each kind."""

    def __init__(self) -> None:
        self.of_kind: dict[Any, Answer] = {}
        self.received = 0

    def add(self, request: str, content_type: str, encoding: str | None, body: bytes) -> None:
        """Keep what is FHIR, unless an answer of its kind is here already."""
        if not body or "/fhir+" not in content_type:
            return
        text = (gzip.decompress(body) if encoding == "gzip" else body).decode()
        release = "5.0" if "fhirversion=5" in content_type.lower().replace('"', "") else "4.0"
        origin = f"{os.environ.get('PYTEST_CURRENT_TEST', 'outside of tests')}: {request}"
        for syntax, resource in _resources(content_type, text):
            self.received += 1
            answer = Answer(origin, resource, syntax, release)
            self.of_kind.setdefault((syntax, release, _kind(answer)), answer)


def _resources(content_type: str, text: str) -> Iterator[tuple[Syntax, str]]:
    if "/fhir+ndjson" in content_type:
        yield from (("json", line) for line in text.splitlines())
    else:
        yield ("xml" if "/fhir+xml" in content_type else "json"), text


def _kind(answer: Answer) -> Any:
    if answer.syntax == "xml":
        return _XML_VALUE.sub(lambda value: _without_numbers(value[0][:60]), answer.body)
    try:
        return _shape(json.loads(answer.body))
    except ValueError:
        return answer.body


def _shape(node: Any, name: str = "") -> Any:
    """Write an answer without what differs between answers of its kind; of a list, each shape counts once."""
    if isinstance(node, dict):
        return tuple((key, _shape(node[key], key)) for key in sorted(node))
    if isinstance(node, list):
        return frozenset(_shape(item, name) for item in node)
    if isinstance(node, str):
        return "text" if name in _FREE_TEXT else _without_numbers(node)
    return type(node).__name__


def _without_numbers(text: str) -> str:
    return _DIGITS.sub("0", _UUID.sub("0", text))

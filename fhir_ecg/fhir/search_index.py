"""What of a resource can be searched for: its tokens, references and dates."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from fhir_ecg.fhir.dates import EARLIEST, LATEST, date_range
from fhir_ecg.fhir.search_parameters import SEARCH_PARAMETERS, SearchParameter

# Databases limit the size of an index entry.
INDEXED_LENGTH = 200

# The parameter `result:identifier` finds the identifier inside a reference.
IDENTIFIER_OF = "{}:identifier"


@dataclass(frozen=True)
class TokenEntry:
    """A code with its system; an empty system for a code or string without one."""

    parameter: str
    system: str
    code: str


@dataclass(frozen=True)
class ReferenceEntry:
    """A reference without its version, such as `Patient/123`."""

    parameter: str
    target: str


@dataclass(frozen=True)
class DateEntry:
    """The time from `low` up to, not including, `high`."""

    parameter: str
    low: datetime
    high: datetime


IndexEntry = TokenEntry | ReferenceEntry | DateEntry


def index_entries(resource: dict[str, Any]) -> list[IndexEntry]:
    """List what a resource can be found by, without repetition."""
    found: dict[IndexEntry, None] = {}
    for parameter in SEARCH_PARAMETERS.get(resource["resourceType"], {}).values():
        for element in parameter.elements:
            value = resource.get(element)
            for node in value if isinstance(value, list) else [value]:
                if node is not None:
                    found |= dict.fromkeys(_entries(parameter, node))
    return list(found)


def indexed(text: str) -> str:
    """Shorten a long text to what the index holds, so that different texts stay different."""
    if len(text) <= INDEXED_LENGTH:
        return text
    digest = sha256(text.encode()).hexdigest()
    return text[: INDEXED_LENGTH - len(digest)] + digest


def unversioned(reference: str) -> str:
    """Cut the version off a reference."""
    return reference.split("/_history/", maxsplit=1)[0]


def _entries(parameter: SearchParameter, node: Any) -> Iterator[IndexEntry]:
    if parameter.kind == "token":
        yield from _tokens(parameter.name, node)
    elif parameter.kind == "date":
        yield _date(parameter.name, node)
    else:
        yield from _references(parameter, node)


def _tokens(name: str, node: Any) -> Iterator[TokenEntry]:
    if isinstance(node, str):
        yield TokenEntry(name, "", indexed(node))
        return
    for coded in [node, *node.get("coding", [])]:  # an Identifier or Coding, or a CodeableConcept's codings
        code = coded.get("code") or coded.get("value")
        if isinstance(code, str):
            yield TokenEntry(name, indexed(coded.get("system") or ""), indexed(code))


def _references(parameter: SearchParameter, node: dict[str, Any]) -> Iterator[IndexEntry]:
    reference = node.get("reference")
    if isinstance(reference, str):
        target = unversioned(reference)
        # `patient` is `subject` where that is a Patient.
        if len(parameter.targets) != 1 or f"{parameter.targets[0]}/" in target:
            yield ReferenceEntry(parameter.name, indexed(target))
    if isinstance(node.get("identifier"), dict):
        yield from _tokens(IDENTIFIER_OF.format(parameter.name), node["identifier"])


def _date(name: str, node: Any) -> DateEntry:
    if isinstance(node, str):
        return DateEntry(name, *date_range(node))
    low = date_range(node["start"])[0] if "start" in node else EARLIEST
    high = date_range(node["end"])[1] if "end" in node else LATEST
    return DateEntry(name, low, high)

"""What of a resource can be searched for: its tokens, references, dates and strings."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from fhir_ecg.fhir.dates import EARLIEST, LATEST, date_range
from fhir_ecg.fhir.search_parameters import SEARCH_PARAMETERS, SearchParameter

# Databases limit the size of an index entry.
INDEXED_LENGTH = 200

# The parameter `result:identifier` finds the identifier inside a reference, or of what is contained under it.
IDENTIFIER_OF = "{}:identifier"


@dataclass(frozen=True)
class TokenEntry:
    """A code with its system; an empty system for a code, string or URI without one.

    Without both it stands for an element that has only text, which no token finds, but which is not missing.
    """

    parameter: str
    system: str
    code: str


@dataclass(frozen=True)
class ReferenceEntry:
    """A reference without its version, such as `Patient/123`; empty where it has only a display."""

    parameter: str
    target: str


@dataclass(frozen=True)
class DateEntry:
    """The time from `low` up to, not including, `high`."""

    parameter: str
    low: datetime
    high: datetime


@dataclass(frozen=True)
class StringEntry:
    """A text as it is, and folded: without accents, in one case."""

    parameter: str
    value: str
    folded: str


IndexEntry = TokenEntry | ReferenceEntry | DateEntry | StringEntry


def index_entries(resource: dict[str, Any]) -> list[IndexEntry]:
    """List what a resource can be found by, without repetition."""
    contained = {f"#{inner.get('id')}": inner for inner in resource.get("contained", [])}
    found: dict[IndexEntry, None] = {}
    for parameter in SEARCH_PARAMETERS.get(resource["resourceType"], {}).values():
        nodes = [node for path in parameter.elements for node in _nodes(resource, path)]
        entries = [entry for node in nodes for entry in _entries(parameter, node, contained)]
        found |= dict.fromkeys(entries or (_present(parameter) if nodes else []))
    return list(found)


def indexed(text: str) -> str:
    """Shorten a long text to what the index holds, so that different texts stay different."""
    if len(text) <= INDEXED_LENGTH:
        return text
    digest = sha256(text.encode()).hexdigest()
    return text[: INDEXED_LENGTH - len(digest)] + digest


def folded(text: str) -> str:
    """Write a text without accents and in one case, as far as the index holds it."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return plain.casefold()[:INDEXED_LENGTH]


def unversioned(reference: str) -> str:
    """Cut the version off a reference."""
    return reference.split("/_history/", maxsplit=1)[0]


def _nodes(resource: dict[str, Any], path: str) -> list[Any]:
    nodes: list[Any] = [resource]
    for name in path.split("."):
        values = [node.get(name) for node in nodes if isinstance(node, dict)]
        nodes = [node for value in values for node in (value if isinstance(value, list) else [value])]
        nodes = [node for node in nodes if node is not None]
    return nodes


def _entries(parameter: SearchParameter, node: Any, contained: dict[str, Any]) -> Iterator[IndexEntry]:
    if parameter.kind == "token":
        yield from _tokens(parameter.name, node)
    elif parameter.kind == "uri":
        yield from _uris(parameter.name, node)
    elif parameter.kind == "string":
        yield StringEntry(parameter.name, indexed(node), folded(node))
    elif parameter.kind == "date":
        yield _date(parameter.name, node)
    else:
        yield from _references(parameter, node, contained)


def _present(parameter: SearchParameter) -> Iterator[IndexEntry]:
    """Note an element that nothing finds, so that `:missing` does not."""
    if parameter.kind == "token":
        yield TokenEntry(parameter.name, "", "")
    elif parameter.kind == "reference" and len(parameter.targets) > 1:
        yield ReferenceEntry(parameter.name, "")


def _tokens(name: str, node: Any) -> Iterator[TokenEntry]:
    if isinstance(node, str):
        yield TokenEntry(name, "", indexed(node))
        return
    for coded in [node, *node.get("coding", [])]:  # an Identifier or Coding, or a CodeableConcept's codings
        code = coded.get("code") or coded.get("value")
        if isinstance(code, str):
            yield TokenEntry(name, indexed(coded.get("system") or ""), indexed(code))


def _uris(name: str, node: str) -> Iterator[TokenEntry]:
    yield TokenEntry(name, "", indexed(node))
    url, bar, _version = node.partition("|")
    if bar:  # a canonical address is found with its version and without
        yield TokenEntry(name, "", indexed(url))


def _references(
    parameter: SearchParameter, node: dict[str, Any], contained: dict[str, Any]
) -> Iterator[TokenEntry | ReferenceEntry]:
    reference = node.get("reference")
    if isinstance(reference, str):
        target = unversioned(reference)
        # `patient` is `subject` where that is a Patient.
        if len(parameter.targets) != 1 or parameter.targets[0] in (*target.split("/")[:-1], node.get("type")):
            yield ReferenceEntry(parameter.name, indexed(target))
    if node.get("type") not in (None, *parameter.targets):
        return
    if isinstance(node.get("identifier"), dict):
        yield from _tokens(IDENTIFIER_OF.format(parameter.name), node["identifier"])
    inner = contained.get(reference, {}) if isinstance(reference, str) else {}
    if inner.get("resourceType") in parameter.targets:
        identifiers = inner.get("identifier", [])
        for identifier in identifiers if isinstance(identifiers, list) else [identifiers]:
            yield from _tokens(IDENTIFIER_OF.format(parameter.name), identifier)


def _date(name: str, node: Any) -> DateEntry:
    if isinstance(node, str):
        return DateEntry(name, *date_range(node))
    low = date_range(node["start"])[0] if "start" in node else EARLIEST
    high = date_range(node["end"])[1] if "end" in node else LATEST
    return DateEntry(name, low, high)

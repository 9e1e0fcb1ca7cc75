"""Searches among the definitions, which are in memory. https://hl7.org/fhir/R4/search.html"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from fhir_ecg.fhir.outcome import IssueType, MalformedError, Problem
from fhir_ecg.fhir.subset import Summary, subset

_CANONICAL = "http://hl7.org/fhir/SearchParameter"


@dataclass(frozen=True)
class DefinitionParameter:
    """A search parameter of every definition."""

    name: str
    kind: Literal["token", "uri", "string"]
    element: str
    definition: str


DEFINITION_PARAMETERS = {
    parameter.name: parameter
    for parameter in (
        DefinitionParameter("_id", "token", "id", f"{_CANONICAL}/Resource-id"),
        DefinitionParameter("name", "string", "name", f"{_CANONICAL}/conformance-name"),
        DefinitionParameter("status", "token", "status", f"{_CANONICAL}/conformance-status"),
        DefinitionParameter("url", "uri", "url", f"{_CANONICAL}/conformance-url"),
        DefinitionParameter("version", "token", "version", f"{_CANONICAL}/conformance-version"),
    )
}
_SUMMARIES = get_args(Summary)
_OF_THE_ANSWER = {"_format", "_pretty"}
_CURSOR = "_cursor"
_OF_THE_PAGE = ("_count", _CURSOR, "_summary", "_elements")
_NUMBER = re.compile(r"\d{1,6}", re.ASCII)


@dataclass(frozen=True)
class Part:
    """Which part of a resource is wanted."""

    summary: Summary = "false"
    elements: tuple[str, ...] = ()

    def of(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Cut a resource down to this part."""
        return subset(resource, self.summary, self.elements)


@dataclass(frozen=True)
class Found:
    """A page of the definitions that match, and the parameters by which they were found."""

    resources: list[dict[str, Any]]
    total: int
    applied: list[tuple[str, str]]
    following: list[tuple[str, str]] | None
    """The parameters of the next page, where there is one."""


def wanted_part(query: Mapping[str, str]) -> Part:
    """Read `_summary` and `_elements`.

    Raises:
        MalformedError: There is no such summary.
    """
    summary = query.get("_summary", "false")
    if summary not in _SUMMARIES:
        raise _refused("value", f"_summary is one of {', '.join(_SUMMARIES)}, not {summary[:40]}.")
    elements = tuple(name.strip() for name in query.get("_elements", "").split(",") if name.strip())
    return Part(cast("Summary", summary), elements)


def find_definitions(
    kind: str, resources: Iterable[dict[str, Any]], query: Sequence[tuple[str, str]], *, lenient: bool
) -> Found:
    """Find definitions of one type; `lenient` leaves out what is unknown.

    Raises:
        MalformedError: A parameter is unknown, or has no such value.
    """
    criteria, page = [], {}
    for name, value in query:
        if name in DEFINITION_PARAMETERS:
            criteria.append((name, value))
        elif name in _OF_THE_PAGE:
            page[name] = value
        elif name not in _OF_THE_ANSWER and not lenient:
            known = ", ".join(DEFINITION_PARAMETERS)
            raise _refused("not-supported", f"{kind} is searched by {known}, not by {name[:64]}.")
    part = wanted_part(page)
    found = [resource for resource in resources if all(_matches(resource, *criterion) for criterion in criteria)]
    count = 0 if part.summary == "count" else _number(page, "_count", len(found))
    first = _number(page, _CURSOR, 0)
    shown = [part.of(resource) for resource in found[first : first + count]]
    kept = [(name, value) for name, value in page.items() if name != _CURSOR]
    more = count and first + count < len(found)
    following = [*criteria, *kept, (_CURSOR, str(first + count))] if more else None
    return Found(shown, len(found), [*criteria, *page.items()], following)


def _number(page: dict[str, str], name: str, absent: int) -> int:
    value = page.get(name)
    if value is None:
        return absent
    if not _NUMBER.fullmatch(value):
        raise _refused("value", f"{name} is a whole number, not {value[:40]}.")
    return int(value)


def _refused(code: IssueType, text: str) -> MalformedError:
    return MalformedError(Problem(code, text))


def _matches(resource: dict[str, Any], name: str, value: str) -> bool:
    parameter = DEFINITION_PARAMETERS[name]
    held = str(resource[parameter.element])
    if parameter.kind == "string":
        return any(held.casefold().startswith(wanted.casefold()) for wanted in value.split(","))
    wanted = value.split(",")
    if parameter.kind == "token":
        wanted = [token.removeprefix("|") for token in wanted]
    return held in wanted

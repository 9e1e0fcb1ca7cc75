"""Search requests: a query to criteria, and to how the answer is to be given. https://hl7.org/fhir/R4/search.html"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from fhir_ecg.fhir.outcome import MalformedError, Problem
from fhir_ecg.fhir.search_criteria import Criterion, ReferenceCriterion
from fhir_ecg.fhir.search_parameters import AUDIT_PARAMETERS, SEARCH_PARAMETERS, date_parameters, parameters_of
from fhir_ecg.fhir.search_values import criterion
from fhir_ecg.fhir.subset import Summary, known_elements

DEFAULT_COUNT = 20
MAXIMUM_COUNT = 200
MOST_PARAMETERS = 100
MOST_SORT_KEYS = 3
CURSOR = "_cursor"
# Read by the HTTP layer, on any interaction; and what fhirpy's `count` asks for, which is always told.
_NOT_CRITERIA = {"_format", "_pretty", "_totalMethod"}
_REFERENCES = {
    parameter.name
    for table in (*SEARCH_PARAMETERS.values(), AUDIT_PARAMETERS)
    for parameter in table.values()
    if parameter.kind == "reference"
}

Total = Literal["none", "estimate", "accurate"]
_Choice = TypeVar("_Choice")


@dataclass(frozen=True)
class SortKey:
    """By what matches are ordered: `_lastUpdated`, `_id`, a date parameter, or when they were created."""

    parameter: str
    descending: bool = False


CREATED = "created"
"""The moment of the first version. No parameter of the standard, so nobody can ask for this order by name."""
NEWEST_FIRST = (SortKey(CREATED, descending=True),)
"""It never changes: who goes from page to page meets everything once, whatever is changed meanwhile."""


@dataclass(frozen=True)
class Include:
    """What is to be given beside the matches; None stands for any."""

    source: str | None
    parameter: str | None
    target: str | None
    reverse: bool
    iterate: bool


@dataclass(frozen=True)
class Search:
    """What to look for: every criterion must hold."""

    resource_type: str
    criteria: tuple[Criterion, ...]
    count: int
    cursor: str | None
    applied: tuple[tuple[str, str], ...]
    """The names and values that were understood, for the `self` link."""
    sort: tuple[SortKey, ...] = NEWEST_FIRST
    total: Total | None = None
    summary: Summary = "false"
    elements: tuple[str, ...] = ()
    includes: tuple[Include, ...] = ()
    ignored: tuple[str, ...] = ()
    """Why what was not understood was left out."""


class _NotSupportedError(Exception):
    """A parameter that lenient handling leaves out."""


@dataclass
class _Reading:
    """A query as far as it has been read."""

    resource_type: str
    criteria: list[Criterion] = field(default_factory=list)
    sort: list[SortKey] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    elements: list[str] = field(default_factory=list)
    count: int = DEFAULT_COUNT
    total: Total | None = None
    summary: Summary = "false"

    def take(self, name: str, value: str) -> None:
        """Read one name and value."""
        if name == "_count":
            self.count = _count(value)
        elif name == "_sort":
            self.sort += [self._sort_key(part) for part in value.split(",")]
            if len(self.sort) > MOST_SORT_KEYS:
                raise _refused(f"_sort has {len(self.sort)} keys; {MOST_SORT_KEYS} are the most.")
        elif name == "_total":
            self.total = _one_of(name, value, get_args(Total))
        elif name == "_summary":
            self.summary = _one_of(name, value, get_args(Summary))
        elif name == "_elements":
            self.elements += [self._element(part.strip()) for part in value.split(",")]
        elif name in {"_include", "_include:iterate", "_revinclude", "_revinclude:iterate"}:
            self.includes.append(_include(name, value))
        elif (found := criterion(self.resource_type, name, value)) is not None:
            self.criteria.append(found)
        else:
            raise _NotSupportedError(_unknown(self.resource_type, name))

    def _sort_key(self, part: str) -> SortKey:
        known = ["_lastUpdated", "_id", *date_parameters(self.resource_type)]
        name = part.strip().removeprefix("-")
        if name not in known:
            text = f"{self.resource_type} cannot be sorted by {name[:60]!r}, but by {', '.join(known)}."
            raise _NotSupportedError(text)
        return SortKey(name, descending=part.strip().startswith("-"))

    def _element(self, name: str) -> str:
        base = name.removeprefix(f"{self.resource_type}.").removesuffix("[x]")
        if base not in known_elements(self.resource_type):
            text = f"_elements names {name[:60]!r}, which {self.resource_type} does not have at its top level."
            raise _NotSupportedError(text)
        return base


def parse_search(resource_type: str, query: Iterable[tuple[str, str]], *, lenient: bool = False) -> Search:
    """Read a query.

    Args:
        resource_type: What is searched for.
        query: Names and values in order, decoded.
        lenient: Leave out parameters that are unknown, as `Prefer: handling=lenient` asks.

    Raises:
        MalformedError: A parameter is unknown (unless lenient), or a value is none of its kind.
    """
    reading = _Reading(resource_type)
    applied: list[tuple[str, str]] = []
    ignored: list[str] = []
    cursor = None
    for number, (name, value) in enumerate(query):
        if number == MOST_PARAMETERS:
            raise _refused(f"The query has more than {MOST_PARAMETERS} parameters.")
        if name in _NOT_CRITERIA:
            continue
        _require_text(name, value)
        if name == CURSOR:
            cursor = value
            continue
        try:
            reading.take(name, value)
        except _NotSupportedError as error:
            if not lenient:
                text = f"{error} `Prefer: handling=lenient` leaves out what is not supported."
                raise MalformedError(Problem("not-supported", text)) from error
            ignored.append(str(error))
        else:
            applied.append((name, value))
    if reading.includes and reading.summary == "text":
        raise _refused(
            "_summary=text goes without _include and _revinclude. https://hl7.org/fhir/R4/search.html#summary"
        )
    return Search(
        resource_type,
        tuple(reading.criteria),
        reading.count,
        cursor,
        tuple(applied),
        tuple(reading.sort) or NEWEST_FIRST,
        reading.total,
        reading.summary,
        tuple(reading.elements),
        tuple(reading.includes),
        tuple(ignored),
    )


def parse_condition(resource_type: str, query: Iterable[tuple[str, str]]) -> Search:
    """Read the query of a conditional interaction, such as If-None-Exist: criteria and nothing else.

    Raises:
        MalformedError: It is no query of this type, holds no criterion, or says how to answer.
    """
    pairs = list(query)
    search = parse_search(resource_type, pairs)
    if len(search.criteria) != len(pairs) or not pairs:
        text = "A condition holds criteria alone, such as identifier=http://hospital.example/ecg|123."
        raise _refused(text)
    return search


def patients_asked_for(search: Search) -> dict[str, Any]:
    """Say for the audit which patients a search names, whether anything of theirs was found or not."""
    named = [
        {"reference": target}
        for criterion in search.criteria
        if isinstance(criterion, ReferenceCriterion) and criterion.parameter in {"patient", "subject"}
        for target in criterion.targets
        if len(criterion.targets) == 1 and target.split("/")[-2:-1] == ["Patient"]
    ]
    return {"patients": named} if named else {}


def without_base(query: Iterable[tuple[str, str]], base: str) -> list[tuple[str, str]]:
    """Write references to this server's resources relatively, as they are stored.

    Args:
        query: Names and values.
        base: Address of this server, without a slash at its end.
    """
    prefix = re.compile(rf"(^|,){re.escape(base)}/(?=[A-Z])")
    return [(name, prefix.sub(r"\1", value) if _is_reference(name) else value) for name, value in query]


def _is_reference(name: str) -> bool:
    own = re.split(r"\.|_has:[^:]*:[^:]*:", name)[-1]
    return own.partition(":")[0] in _REFERENCES


def _require_text(name: str, value: str) -> None:
    if "\0" in value:
        raise _refused(f"{name[:60]} holds a NUL character.")
    try:
        (name + value).encode()
    except UnicodeEncodeError as error:
        raise _refused("A parameter is no Unicode text.") from error


def _count(value: str) -> int:
    if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
        raise _refused(f"_count is a number from 0 to {MAXIMUM_COUNT}, not {value[:40]!r}.")
    return min(int(value), MAXIMUM_COUNT)


def _one_of(name: str, value: str, known: tuple[_Choice, ...]) -> _Choice:
    for choice in known:
        if choice == value:
            return choice
    raise _refused(f"{name} is one of {', '.join(map(str, known))}, not {value[:40]!r}.")


def _include(name: str, value: str) -> Include:
    """Read `DiagnosticReport:result:Observation`, `DiagnosticReport:*` or `*`."""
    base, _, iterate = name.partition(":")
    source, _, rest = value.partition(":")
    parameter, _, target = rest.partition(":")
    kind = {"reverse": base == "_revinclude", "iterate": bool(iterate)}
    if value == "*":
        return Include(None, None, None, **kind)
    if source in SEARCH_PARAMETERS and parameter == "*" and not target:
        return Include(source, None, None, **kind)
    known = SEARCH_PARAMETERS.get(source, {}).get(parameter)
    if known is None or known.kind != "reference" or (target and target not in known.targets):
        text = f"{base}={value[:80]} names no reference that is searched for here, such as DiagnosticReport:result."
        raise _NotSupportedError(text)
    return Include(source, parameter, target or None, **kind)


def _unknown(resource_type: str, name: str) -> str:
    known = ", ".join(parameters_of(resource_type))
    return (
        f"{resource_type} has no search parameter {name[:60]!r} here. It has {known}, _id, _lastUpdated, _has, _count, "
        "_sort, _total, _summary, _elements, _include and _revinclude; modifiers are :missing, :not of tokens, "
        ":identifier and :Type of references, :exact and :contains of strings."
    )


def _refused(text: str) -> MalformedError:
    return MalformedError(Problem("invalid", text))

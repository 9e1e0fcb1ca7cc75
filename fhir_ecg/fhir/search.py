"""Search requests: names and values from the query to criteria. https://hl7.org/fhir/R4/search.html"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from fhir_ecg.fhir.dates import date_range
from fhir_ecg.fhir.outcome import MalformedError, Problem
from fhir_ecg.fhir.search_index import IDENTIFIER_OF, indexed, unversioned
from fhir_ecg.fhir.search_parameters import SEARCH_PARAMETERS, SearchParameter

DEFAULT_COUNT = 20
MAXIMUM_COUNT = 200
CURSOR = "_cursor"
PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
# Read by the HTTP layer, on any interaction.
_NOT_CRITERIA = {"_format", "_pretty"}
# A part of a list: what is escaped, or is no comma. https://hl7.org/fhir/R4/search.html#escaping
_PART = re.compile(r"(?:^|,)((?:\\.|[^,])*)", re.DOTALL)
_SYSTEM_AND_CODE = re.compile(r"((?:\\.|[^|\\])*)\|(.*)", re.DOTALL)
_ESCAPED = re.compile(r"\\([,|$\\])")


@dataclass(frozen=True)
class TokenCriterion:
    """One of the tokens; a system or code of None is any."""

    parameter: str
    tokens: tuple[tuple[str | None, str | None], ...]


@dataclass(frozen=True)
class ReferenceCriterion:
    """One of the targets, such as `Patient/123`."""

    parameter: str
    targets: tuple[str, ...]


@dataclass(frozen=True)
class DateCriterion:
    """One of the ranges, each with a prefix."""

    parameter: str
    ranges: tuple[tuple[str, datetime, datetime], ...]


@dataclass(frozen=True)
class IdCriterion:
    """One of the logical ids."""

    ids: tuple[str, ...]


@dataclass(frozen=True)
class LastUpdatedCriterion:
    """One of the ranges of `meta.lastUpdated`."""

    ranges: tuple[tuple[str, datetime, datetime], ...]


@dataclass(frozen=True)
class ChainedCriterion:
    """A reference to a resource of a type that itself fulfils a criterion."""

    parameter: str
    target_type: str
    criterion: "Criterion"


Criterion = TokenCriterion | ReferenceCriterion | DateCriterion | IdCriterion | LastUpdatedCriterion | ChainedCriterion


@dataclass(frozen=True)
class Search:
    """What to look for: every criterion must hold."""

    resource_type: str
    criteria: tuple[Criterion, ...]
    count: int
    cursor: str | None
    applied: tuple[tuple[str, str], ...]
    """The names and values that were understood, for the `self` link."""


def parse_search(resource_type: str, query: Iterable[tuple[str, str]], *, lenient: bool = False) -> Search:
    """Read a query.

    Args:
        resource_type: What is searched for.
        query: Names and values in order, decoded.
        lenient: Leave out parameters that are unknown, as `Prefer: handling=lenient` asks.

    Raises:
        MalformedError: A parameter is unknown (unless lenient), or a value is none of its kind.
    """
    criteria: list[Criterion] = []
    applied: list[tuple[str, str]] = []
    count, cursor = DEFAULT_COUNT, None
    for name, value in query:
        if name in _NOT_CRITERIA:
            continue
        if "\0" in value:
            raise _refused(f"{name[:60]} holds a NUL character.")
        if name == "_count":
            count = _count(value)
        elif name == CURSOR:
            cursor = value
            continue
        elif (criterion := _criterion(resource_type, name, value)) is not None:
            criteria.append(criterion)
        elif lenient:
            continue
        else:
            raise _refused(_unknown(resource_type, name), code="not-supported")
        applied.append((name, value))
    return Search(resource_type, tuple(criteria), count, cursor, tuple(applied))


def _count(value: str) -> int:
    if not re.fullmatch(r"\d{1,9}", value):
        raise _refused(f"_count is a number from 0 to {MAXIMUM_COUNT}, not {value[:40]!r}.")
    return min(int(value), MAXIMUM_COUNT)


def _criterion(resource_type: str, name: str, value: str) -> Criterion | None:
    escaped = _PART.findall(value)
    values = tuple(_unescaped(part) for part in escaped)
    if name == "_id":
        return IdCriterion(values)
    if name == "_lastUpdated":
        return LastUpdatedCriterion(_ranges(name, values))
    base, dot, rest = name.partition(".")
    base, colon, modifier = base.partition(":")
    parameter = SEARCH_PARAMETERS[resource_type].get(base)
    if parameter is None:
        return None
    if dot:
        return _chained(parameter, modifier, rest, value)
    if colon:
        return _modified(parameter, modifier, escaped)
    return _plain(parameter, escaped)


def _plain(parameter: SearchParameter, escaped: list[str]) -> Criterion:
    if parameter.kind == "token":
        return TokenCriterion(parameter.name, tuple(_token(part) for part in escaped))
    values = tuple(_unescaped(part) for part in escaped)
    if parameter.kind == "date":
        return DateCriterion(parameter.name, _ranges(parameter.name, values))
    targets = tuple(target for value in values for target in _targets(parameter, value))
    return ReferenceCriterion(parameter.name, targets)


def _chained(parameter: SearchParameter, target_type: str, name: str, value: str) -> Criterion | None:
    if parameter.kind != "reference":
        return None
    if not target_type:
        target_type = parameter.targets[0]
    if target_type not in parameter.targets or target_type not in SEARCH_PARAMETERS or "." in name:
        return None
    inner = _criterion(target_type, name, value)
    return None if inner is None else ChainedCriterion(parameter.name, target_type, inner)


def _modified(parameter: SearchParameter, modifier: str, escaped: list[str]) -> Criterion | None:
    if parameter.kind != "reference":
        return None
    if modifier == "identifier":
        return TokenCriterion(IDENTIFIER_OF.format(parameter.name), tuple(_token(part) for part in escaped))
    if modifier in parameter.targets:
        targets = tuple(indexed(f"{modifier}/{_unescaped(part)}") for part in escaped)
        return ReferenceCriterion(parameter.name, targets)
    return None


def _unescaped(part: str) -> str:
    return _ESCAPED.sub(r"\1", part)


def _token(part: str) -> tuple[str | None, str | None]:
    match = _SYSTEM_AND_CODE.fullmatch(part)
    if match is None:
        return None, indexed(_unescaped(part))
    return indexed(_unescaped(match[1])), indexed(_unescaped(match[2])) or None


def _targets(parameter: SearchParameter, value: str) -> tuple[str, ...]:
    if "/" in value:
        return (indexed(unversioned(value)),)
    return tuple(indexed(f"{target}/{value}") for target in parameter.targets)


def _ranges(name: str, values: tuple[str, ...]) -> tuple[tuple[str, datetime, datetime], ...]:
    ranges = []
    for value in values:
        prefix = value[:2] if value[:2] in PREFIXES else "eq"
        try:
            ranges.append((prefix, *date_range(value.removeprefix(prefix))))
        except ValueError as error:
            raise _refused(f"{name}: {error}. Prefixes are {', '.join(PREFIXES)}.") from error
    return tuple(ranges)


def _unknown(resource_type: str, name: str) -> str:
    known = ", ".join(SEARCH_PARAMETERS[resource_type])
    return (
        f"{resource_type} has no search parameter {name[:60]!r} here. It has {known}, _id, _lastUpdated and _count; "
        "`Prefer: handling=lenient` leaves unknown ones out."
    )


def _refused(text: str, code: str = "invalid") -> MalformedError:
    return MalformedError(Problem("not-supported" if code == "not-supported" else "invalid", text))

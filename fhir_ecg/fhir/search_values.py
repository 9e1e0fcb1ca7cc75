"""One name and value of a query to what must hold. https://hl7.org/fhir/R4/search.html#modifiers"""

import re
from datetime import UTC, datetime
from typing import get_args

from fhir_ecg.fhir.dates import EARLIEST, LATEST, date_range
from fhir_ecg.fhir.outcome import MalformedError, Problem
from fhir_ecg.fhir.search_criteria import (
    AnyCriterion,
    ChainedCriterion,
    Criterion,
    DateCriterion,
    HasCriterion,
    IdCriterion,
    LastUpdatedCriterion,
    NotCriterion,
    Prefix,
    PresentCriterion,
    Range,
    ReferenceCriterion,
    StringCriterion,
    StringMatch,
    TokenCriterion,
)
from fhir_ecg.fhir.search_index import IDENTIFIER_OF, folded, indexed, unversioned
from fhir_ecg.fhir.search_parameters import SEARCH_PARAMETERS, SearchParameter, parameters_of

MOST_VALUES = 500
MOST_RANGES = 50
PREFIXES: tuple[Prefix, ...] = get_args(Prefix)
_MATCHES: dict[str, StringMatch] = {"": "starts", "contains": "contains", "exact": "exact"}
# A part of a list: what is escaped, or is no comma. https://hl7.org/fhir/R4/search.html#escaping
_PART = re.compile(r"(?:^|,)((?:\\.|[^,])*)", re.DOTALL)
_SYSTEM_AND_CODE = re.compile(r"((?:\\.|[^|\\])*)\|(.*)", re.DOTALL)
_ESCAPED = re.compile(r"\\([,|$\\])")


def criterion(resource_type: str, name: str, value: str) -> Criterion | None:
    """Read a name and value; None where there is no such parameter or modifier.

    Raises:
        MalformedError: The value is none of the parameter's kind.
    """
    escaped = _PART.findall(value)
    if len(escaped) > MOST_VALUES:
        raise _refused(f"{name[:60]} lists {len(escaped)} values; {MOST_VALUES} are the most.")
    if name == "_id":
        return IdCriterion(tuple(_unescaped(part) for part in escaped))
    if name == "_lastUpdated":
        return LastUpdatedCriterion(_ranges(name, escaped))
    if name.startswith("_has:"):
        return _has(resource_type, name, value)
    base, _, chain = name.partition(".")
    base, colon, modifier = base.partition(":")
    parameter = parameters_of(resource_type).get(base)
    if parameter is None or (colon and not modifier):
        return None
    if "." in name:
        return _chained(parameter, modifier, chain, value)
    return _own(parameter, modifier, value, escaped)


def _own(parameter: SearchParameter, modifier: str, value: str, escaped: list[str]) -> Criterion | None:
    if modifier == "missing":
        return _missing(parameter, value)
    if parameter.kind == "string":
        return _string(parameter, modifier, escaped)
    return _modified(parameter, modifier, escaped) if modifier else _plain(parameter, escaped)


def _plain(parameter: SearchParameter, escaped: list[str]) -> Criterion:
    if parameter.kind == "token":
        return TokenCriterion(parameter.name, tuple(_token(part) for part in escaped))
    if parameter.kind == "date":
        return DateCriterion(parameter.name, _ranges(parameter.name, escaped))
    values = [_unescaped(part) for part in escaped]
    if parameter.kind == "uri":
        return TokenCriterion(parameter.name, tuple((None, indexed(value)) for value in values))
    targets = tuple(target for value in values for target in _targets(parameter, value))
    return ReferenceCriterion(parameter.name, targets)


def _modified(parameter: SearchParameter, modifier: str, escaped: list[str]) -> Criterion | None:
    if modifier == "not" and parameter.kind == "token":
        return NotCriterion(_plain(parameter, escaped))
    if parameter.kind != "reference":
        return None
    if modifier == "identifier":
        return TokenCriterion(IDENTIFIER_OF.format(parameter.name), tuple(_token(part) for part in escaped))
    if modifier in parameter.targets:
        targets = tuple(indexed(f"{modifier}/{_unescaped(part)}") for part in escaped)
        return ReferenceCriterion(parameter.name, targets)
    return None


def _string(parameter: SearchParameter, modifier: str, escaped: list[str]) -> Criterion | None:
    match = _MATCHES.get(modifier)
    if match is None:
        return None
    texts = [_unescaped(part) for part in escaped]
    if not all(texts):
        raise _refused(f"{parameter.name} has an empty value; `:missing` finds what has none.")
    written = indexed if match == "exact" else folded
    return StringCriterion(parameter.name, tuple(written(text) for text in texts), match)


def _missing(parameter: SearchParameter, value: str) -> Criterion:
    if value not in {"true", "false"}:
        raise _refused(f"{parameter.name}:missing is true or false, not {value[:40]!r}.")
    kind = "token" if parameter.kind == "uri" else parameter.kind
    criteria: list[Criterion] = [PresentCriterion(parameter.name, kind)]
    if parameter.kind == "reference":
        criteria.append(PresentCriterion(IDENTIFIER_OF.format(parameter.name), "token"))
    present = AnyCriterion(tuple(criteria)) if len(criteria) > 1 else criteria[0]
    return NotCriterion(present) if value == "true" else present


def _chained(parameter: SearchParameter, target_type: str, name: str, value: str) -> Criterion | None:
    """Follow a reference: to what is stored, or to the identifier that stands inside it."""
    if parameter.kind != "reference" or "." in name or name.startswith("_has"):
        return None
    if target_type and target_type not in parameter.targets:
        return None
    stored = [target for target in parameter.targets if target in SEARCH_PARAMETERS]
    if target_type:
        stored = [target for target in stored if target == target_type]
    elif name != "identifier" and parameter.targets[0] in stored:
        stored = stored[:1]
    found: list[Criterion] = []
    if name == "identifier" and (inside := _modified(parameter, "identifier", _PART.findall(value))):
        found.append(inside)
    for target in stored:
        inner = criterion(target, name, value)
        if inner is not None:
            found.append(ChainedCriterion(parameter.name, target, inner))
    if not found:
        return None
    return found[0] if len(found) == 1 else AnyCriterion(tuple(found))


def _has(resource_type: str, name: str, value: str) -> Criterion | None:
    """Read `_has:Provenance:target:recorded`. https://hl7.org/fhir/R4/search.html#has"""
    parts = name.split(":", 3)
    if len(parts) != 4 or "." in parts[3] or parts[3].startswith("_has"):
        return None
    _, source, reference, rest = parts
    parameter = SEARCH_PARAMETERS.get(source, {}).get(reference)
    if parameter is None or parameter.kind != "reference" or resource_type not in parameter.targets:
        return None
    inner = criterion(source, rest, value)
    return None if inner is None else HasCriterion(source, reference, inner)


def _unescaped(part: str) -> str:
    return _ESCAPED.sub(r"\1", part)


def _token(part: str) -> tuple[str | None, str | None]:
    match = _SYSTEM_AND_CODE.fullmatch(part)
    if match is None:
        return None, indexed(_unescaped(part))
    return indexed(_unescaped(match[1])), indexed(_unescaped(match[2])) or None


def _targets(parameter: SearchParameter, value: str) -> tuple[str, ...]:
    if "/" in value or value.startswith("urn:"):
        return (indexed(unversioned(value)),)
    return tuple(indexed(f"{target}/{value}") for target in parameter.targets)


def _ranges(name: str, escaped: list[str]) -> tuple[Range, ...]:
    if len(escaped) > MOST_RANGES:
        raise _refused(f"{name} lists {len(escaped)} dates; {MOST_RANGES} are the most.")
    return tuple(_range(name, _unescaped(part)) for part in escaped)


def _range(name: str, value: str) -> Range:
    prefix = next((known for known in PREFIXES if value.startswith(known)), None)
    try:
        low, high = date_range(value.removeprefix(prefix or ""))
    except ValueError as error:
        raise _refused(f"{name}: {error}. Prefixes are {', '.join(PREFIXES)}.") from error
    return ("ap", *_about(low, high)) if prefix == "ap" else (prefix or "eq", low, high)


def _about(low: datetime, high: datetime) -> tuple[datetime, datetime]:
    """Widen a range by a tenth of how long ago, or ahead, it is. https://hl7.org/fhir/R4/search.html#prefix"""
    gap = abs(datetime.now(UTC) - low) / 10
    return (low - gap if low - EARLIEST > gap else EARLIEST), (high + gap if LATEST - high > gap else LATEST)


def _refused(text: str) -> MalformedError:
    return MalformedError(Problem("invalid", text))

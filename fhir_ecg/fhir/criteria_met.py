"""Whether an Observation that is not stored fulfils a search criterion, as far as it tells by itself."""

from datetime import datetime
from typing import Any

from fhir_ecg.fhir.search_criteria import (
    AnyCriterion,
    Criterion,
    DateCriterion,
    IdCriterion,
    NotCriterion,
    Prefix,
    PresentCriterion,
    ReferenceCriterion,
    TokenCriterion,
)
from fhir_ecg.fhir.search_index import (
    DateEntry,
    IndexEntry,
    ReferenceEntry,
    StringEntry,
    TokenEntry,
    index_entries,
)

_OfAnElement = TokenCriterion | ReferenceCriterion | DateCriterion | PresentCriterion
_KINDS: dict[str, type] = {"token": TokenEntry, "reference": ReferenceEntry, "date": DateEntry, "string": StringEntry}


def is_met(criterion: Criterion, observation: dict[str, Any]) -> bool | None:
    """Tell whether a search would find the Observation by this criterion, were it stored under a new id.

    None where that hangs on more: on what it refers to or is referred to by, or on when it is stored.
    """
    return _met(criterion, index_entries(observation))


def _met(criterion: Criterion, entries: list[IndexEntry]) -> bool | None:
    if isinstance(criterion, NotCriterion):
        inner = _met(criterion.criterion, entries)
        return None if inner is None else not inner
    if isinstance(criterion, AnyCriterion):
        parts = [_met(part, entries) for part in criterion.criteria]
        return True if True in parts else None if None in parts else False
    if isinstance(criterion, IdCriterion):
        return False  # its id will be new
    if isinstance(criterion, _OfAnElement):
        return any(_finds(criterion, entry) for entry in entries if entry.parameter == criterion.parameter)
    return None


def _finds(criterion: _OfAnElement, entry: IndexEntry) -> bool:
    match criterion, entry:
        case PresentCriterion(kind=kind), _:
            found = isinstance(entry, _KINDS[kind])
        case TokenCriterion(tokens=tokens), TokenEntry():
            found = any(_is_token(*token, entry) for token in tokens)
        case ReferenceCriterion(targets=targets), ReferenceEntry(target=target):
            found = target in targets
        case DateCriterion(ranges=ranges), DateEntry(low=low, high=high):
            found = any(_in_range(*sought, low, high) for sought in ranges)
        case _:
            found = False
    return found


def _is_token(system: str | None, code: str | None, entry: TokenEntry) -> bool:
    """Compare with a system and a code, of which None is any; an entry without code is found by none."""
    if not entry.code or code == "" or (system is None and code is None):
        return False
    return system in {None, entry.system} and code in {None, entry.code}


def _in_range(prefix: Prefix, start: datetime, end: datetime, low: datetime, high: datetime) -> bool:
    """Compare [low, high) of the resource with the sought [start, end). https://hl7.org/fhir/R4/search.html#prefix"""
    within = low >= start and high <= end
    found: dict[Prefix, bool] = {
        "eq": within,
        "ne": not within,
        "gt": high > end,
        "lt": low < start,
        "ge": high > end or low >= start,
        "le": low < start or high <= end,
        "sa": low >= end,
        "eb": high <= start,
        "ap": low < end and high > start,
    }
    return found[prefix]

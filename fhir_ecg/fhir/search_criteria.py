"""What must hold of a resource for a search to find it. https://hl7.org/fhir/R4/search.html"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Prefix = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]
Range = tuple[Prefix, datetime, datetime]
"""A prefix, and the time from the first moment up to, not including, the second."""

StringMatch = Literal["starts", "contains", "exact"]


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
    """One of the ranges."""

    parameter: str
    ranges: tuple[Range, ...]


@dataclass(frozen=True)
class StringCriterion:
    """One of the texts: folded, unless they are to be found exactly as they are."""

    parameter: str
    texts: tuple[str, ...]
    match: StringMatch = "starts"


@dataclass(frozen=True)
class PresentCriterion:
    """The element is there."""

    parameter: str
    kind: Literal["token", "reference", "date", "string"]


@dataclass(frozen=True)
class IdCriterion:
    """One of the logical ids."""

    ids: tuple[str, ...]


@dataclass(frozen=True)
class LastUpdatedCriterion:
    """One of the ranges of `meta.lastUpdated`."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True)
class ChainedCriterion:
    """A reference to a resource of a type that itself fulfils a criterion."""

    parameter: str
    target_type: str
    criterion: "Criterion"


@dataclass(frozen=True)
class HasCriterion:
    """A resource of another type, that fulfils a criterion, refers to it."""

    source_type: str
    parameter: str
    criterion: "Criterion"


@dataclass(frozen=True)
class NotCriterion:
    """The criterion does not hold; also where the element is absent."""

    criterion: "Criterion"


@dataclass(frozen=True)
class AnyCriterion:
    """At least one of the criteria holds."""

    criteria: tuple["Criterion", ...]


Criterion = (
    TokenCriterion
    | ReferenceCriterion
    | DateCriterion
    | StringCriterion
    | PresentCriterion
    | IdCriterion
    | LastUpdatedCriterion
    | ChainedCriterion
    | HasCriterion
    | NotCriterion
    | AnyCriterion
)

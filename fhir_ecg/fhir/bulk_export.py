"""What an export is asked for, and its manifest. https://hl7.org/fhir/uv/bulkdata/export.html"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fhir_ecg.fhir.dates import date_range
from fhir_ecg.fhir.outcome import IssueType, MalformedError, Problem
from fhir_ecg.fhir.report import instant
from fhir_ecg.fhir.subset import known_elements, subset

EXPORTED_TYPES = ("Device", "DiagnosticReport", "Observation", "Provenance")
NDJSON = "application/fhir+ndjson"
_FORMATS = (NDJSON, "application/ndjson", "ndjson")
# Read by the HTTP layer, on any interaction.
_NOT_PARAMETERS = {"_format", "_pretty"}


@dataclass(frozen=True)
class ExportWanted:
    """Which resources an export is to have, and which of their elements."""

    kinds: tuple[str, ...]
    since: datetime | None = None
    until: datetime | None = None
    elements: tuple[str, ...] = ()
    """Names such as `status` or `DiagnosticReport.status`; empty for whole resources."""


@dataclass
class _Asked:
    kinds: list[str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    elements: list[str] = field(default_factory=list)


def parse_export(
    query: Iterable[tuple[str, str]], default_kinds: tuple[str, ...], *, lenient: bool = False
) -> ExportWanted:
    """Read the parameters of a kick-off.

    Args:
        query: Names and values in order, decoded.
        default_kinds: The types that are exported where none is named.
        lenient: Leave out what is unknown, as `Prefer: handling=lenient` asks.

    Raises:
        MalformedError: A parameter or type is unknown (unless lenient), or a value is none of its kind.
    """
    asked = _Asked()
    for name, value in query:
        if name in _NOT_PARAMETERS:
            continue
        if name in _READERS:
            _READERS[name](asked, value, lenient)
        elif not lenient:
            text = (
                f"There is no parameter {name[:60]!r} here; there are {', '.join(_READERS)}. "
                "`Prefer: handling=lenient` leaves others out."
            )
            raise _refused(text, "not-supported")
    kinds = tuple(sorted(set(default_kinds if asked.kinds is None else asked.kinds)))
    return ExportWanted(kinds, asked.since, asked.until, tuple(dict.fromkeys(asked.elements)))


def with_elements(resource: dict[str, Any], elements: tuple[str, ...]) -> dict[str, Any]:
    """Leave of a resource the elements that were asked for and the mandatory ones, and say so by a tag."""
    kind = resource["resourceType"]
    names = tuple(name for of, name in map(_split, elements) if of in {"", kind})
    return subset(resource, elements=names) if names else resource


def deletion(kind: str, identity: str) -> dict[str, Any]:
    """Build the line of a file of deletions: a transaction that repeats one."""
    entry = {"request": {"method": "DELETE", "url": f"{kind}/{identity}"}}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}


def manifest(
    transaction_time: datetime,
    request: str,
    files: Iterable[tuple[str, str, int]],
    deleted: Iterable[tuple[str, int]],
    *,
    secured: bool,
) -> dict[str, Any]:
    """Build what a finished export answers with.

    Args:
        transaction_time: The moment of which it is a view.
        request: The address of the kick-off.
        files: Type, address and number of resources of each.
        deleted: Address and number of deletions of each file of them.
        secured: Whether the files need a token.
    """
    return {
        "transactionTime": instant(transaction_time),
        "request": request,
        "requiresAccessToken": secured,
        "output": [{"type": kind, "url": url, "count": count} for kind, url, count in files],
        "deleted": [{"type": "Bundle", "url": url, "count": count} for url, count in deleted],
        "error": [],
    }


def _read_type(asked: _Asked, value: str, lenient: bool) -> None:
    asked.kinds = asked.kinds or []
    for kind in value.split(","):
        if kind in EXPORTED_TYPES:
            asked.kinds.append(kind)
        elif not lenient:
            raise _refused(f"_type={kind[:60]!r} is not exported; {', '.join(EXPORTED_TYPES)} are.", "not-supported")


def _read_elements(asked: _Asked, value: str, lenient: bool) -> None:
    for element in value.split(","):
        kind, name = _split(element.strip().removesuffix("[x]"))
        kinds = (kind,) if kind else EXPORTED_TYPES
        if any(each in EXPORTED_TYPES and name in known_elements(each) for each in kinds):
            asked.elements.append(f"{kind}.{name}" if kind else name)
        elif not lenient:
            text = (
                f"_elements: {element[:60]!r} is no element here. Those of the first level can be named, such as "
                "`status` or `DiagnosticReport.conclusionCode`."
            )
            raise _refused(text, "not-supported")


def _split(element: str) -> tuple[str, str]:
    """Split `DiagnosticReport.status` into type, which may be absent, and name."""
    kind, _, name = element.rpartition(".")
    return kind, name


def _read_since(asked: _Asked, value: str, _lenient: bool) -> None:
    asked.since = _moment("_since", value)


def _read_until(asked: _Asked, value: str, _lenient: bool) -> None:
    asked.until = _moment("_until", value)


def _read_format(_asked: _Asked, value: str, _lenient: bool) -> None:
    # A `+` in the address arrives as a space.
    if value.replace(" ", "+") not in _FORMATS:
        raise _refused(f"_outputFormat={value[:60]!r} is not written; {', '.join(_FORMATS)} are.", "not-supported")


_READERS: dict[str, Callable[[_Asked, str, bool], None]] = {
    "_outputFormat": _read_format,
    "_since": _read_since,
    "_until": _read_until,
    "_type": _read_type,
    "_elements": _read_elements,
}


def _moment(name: str, value: str) -> datetime:
    try:
        return date_range(value)[0]
    except ValueError as error:
        raise _refused(f"{name}: {error}.") from error


def _refused(text: str, code: IssueType = "invalid") -> MalformedError:
    return MalformedError(Problem(code, text))

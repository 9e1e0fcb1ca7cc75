"""Histories: what is asked for, and the Bundle that answers. https://hl7.org/fhir/R4/http.html#history"""

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, StringConstraints, TypeAdapter

from fhir_ecg.fhir.dates import date_range
from fhir_ecg.fhir.outcome import MalformedError, Problem

DEFAULT_COUNT = 20
MAXIMUM_COUNT = 200
CURSOR = "_cursor"
_NOT_CRITERIA = {"_format", "_pretty"}
_MOST_CURSOR_CHARACTERS = 500

Key = tuple[datetime, str, str, int]
"""What versions are ordered by: time, type, id, version."""
_Text = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9\-.]{1,64}$")]
_KEY: TypeAdapter[Key] = TypeAdapter(tuple[AwareDatetime, _Text, _Text, Annotated[int, Field(gt=0, lt=2**31)]])


@dataclass(frozen=True)
class HistoryRequest:
    """Which versions are asked for."""

    count: int
    since: datetime | None
    at: tuple[datetime, datetime] | None
    before: Key | None
    applied: tuple[tuple[str, str], ...]
    """The names and values that were understood, for the links."""


def parse_history(query: Iterable[tuple[str, str]], *, lenient: bool = False) -> HistoryRequest:
    """Read the parameters of a history.

    Raises:
        MalformedError: A parameter is unknown (unless lenient), stands twice, or has no such value.
    """
    given: dict[str, str] = {}
    for name, value in query:
        if name in _NOT_CRITERIA:
            continue
        if name not in {"_count", "_since", "_at", CURSOR}:
            if lenient:
                continue
            raise _refused(f"A history has no parameter {name[:60]!r}. It has _count, _since and _at.")
        if name in given:
            raise _refused(f"{name} stands twice; send it once.")
        given[name] = value
    return HistoryRequest(
        _count(given["_count"]) if "_count" in given else DEFAULT_COUNT,
        _range("_since", given["_since"])[0] if "_since" in given else None,
        _range("_at", given["_at"]) if "_at" in given else None,
        _read_cursor(given[CURSOR]) if CURSOR in given else None,
        tuple((name, value) for name, value in given.items() if name != CURSOR),
    )


def history_bundle(
    entries: Iterable[dict[str, Any]], total: int | None, self_url: str, next_url: str | None
) -> dict[str, Any]:
    """Build the Bundle."""
    link = [{"relation": "self", "url": self_url}]
    if next_url:
        link.append({"relation": "next", "url": next_url})
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "history"}
    if total is not None:
        bundle["total"] = total
    listed = list(entries)
    return bundle | {"link": link} | ({"entry": listed} if listed else {})


def history_entry(
    base: str, kind: str, identity: str, version: int, last_updated: str, content: dict[str, Any] | None
) -> dict[str, Any]:
    """Build the entry of one version; without content it is the deletion. `base` is the address of the FHIR server."""
    address = f"{kind}/{identity}"
    if content is None:
        request, status = {"method": "DELETE", "url": address}, "204 No Content"
    elif version == 1:
        request, status = {"method": "POST", "url": kind}, "201 Created"
    else:
        request, status = {"method": "PUT", "url": address}, "200 OK"
    entry: dict[str, Any] = {"fullUrl": f"{base}/{address}"}
    if content is not None:
        entry["resource"] = content
    response = {"status": status, "etag": f'W/"{version}"', "lastModified": last_updated}
    return entry | {"request": request, "response": response}


def write_cursor(key: Key) -> str:
    """Write where a next page begins."""
    return base64.urlsafe_b64encode(json.dumps([key[0].isoformat(), *key[1:]]).encode()).decode()


def _read_cursor(cursor: str) -> Key:
    try:
        return _KEY.validate_json(base64.urlsafe_b64decode(cursor[:_MOST_CURSOR_CHARACTERS].encode()))
    except ValueError as error:
        text = f"{CURSOR} is no page of this server; take the address from the Bundle's next link."
        raise _refused(text) from error


def _count(value: str) -> int:
    if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
        raise _refused(f"_count is a number from 0 to {MAXIMUM_COUNT}, not {value[:40]!r}.")
    return min(int(value), MAXIMUM_COUNT)


def _range(name: str, value: str) -> tuple[datetime, datetime]:
    try:
        return date_range(value)
    except ValueError as error:
        raise _refused(f"{name}: {error}.") from error


def _refused(text: str) -> MalformedError:
    return MalformedError(Problem("invalid", text))

"""The newest Observations of each code, by the search index."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fhir_ecg.fhir.dates import EARLIEST
from fhir_ecg.store.resources import Resources
from fhir_ecg.store.search_tables import DateRow, TokenRow
from fhir_ecg.store.tables import ResourceRow

Code = tuple[str, str]
"""System and code; for what has a text alone, an empty system and the text."""


def newest_of_each_code(session: Session, resources: Resources, ids: Sequence[str], most: int) -> list[str]:
    """Choose, of the Observations with these ids, the newest of each code; the groups follow each other.

    Observations that share a coding are of one code, as are those that share one with a third.
    """
    codes = _codes(session, resources, ids)
    ages = _ages(session, ids)
    groups: dict[Code, list[str]] = {}
    chief = _chiefs(codes.values())
    # What is deleted at this moment may be in one and not in the other.
    for identity in sorted(ages.keys() & codes.keys(), key=lambda each: ages[each], reverse=True):
        groups.setdefault(chief[codes[identity][0]], []).append(identity)
    return [*chain.from_iterable(group[:most] for group in groups.values())]


def _codes(session: Session, resources: Resources, ids: Sequence[str]) -> dict[str, list[Code]]:
    same = (TokenRow.resource_type == "Observation", TokenRow.parameter == "code", TokenRow.resource_id.in_(ids))
    codes: dict[str, list[Code]] = {}
    rows = select(TokenRow.resource_id, TokenRow.system, TokenRow.code).where(*same, TokenRow.code != "")
    for identity, system, code in session.execute(rows):
        codes.setdefault(identity, []).append((system, code))
    for stored in resources.get_many("Observation", [identity for identity in ids if identity not in codes]):
        codes[stored.content["id"]] = [("", str(stored.content["code"].get("text", "")))]
    return codes


def _ages(session: Session, ids: Sequence[str]) -> dict[str, tuple[datetime, datetime, str]]:
    """Give for each id by what it is ordered: when the recording was made, and where that is equal, stored."""
    same = (DateRow.resource_type == "Observation", DateRow.parameter == "date", DateRow.resource_id.in_(ids))
    dates = select(DateRow.resource_id, func.max(DateRow.low)).where(*same).group_by(DateRow.resource_id)
    recorded: dict[str, datetime] = dict(session.execute(dates).all())
    stored = session.execute(
        select(ResourceRow.id, ResourceRow.last_updated).where(
            ResourceRow.type == "Observation", ResourceRow.id.in_(ids)
        )
    )
    return {identity: (recorded.get(identity, EARLIEST), moment, identity) for identity, moment in stored}


def _chiefs(codings: Iterable[list[Code]]) -> dict[Code, Code]:
    """Name for each code the one that stands for all that it is translated to, directly or not."""
    chief: dict[Code, Code] = {}

    def find(code: Code) -> Code:
        while chief.setdefault(code, code) != code:
            code = chief[code]
        return code

    for first, *others in codings:
        for other in others:
            chief[find(other)] = find(first)
        find(first)
    return {code: find(code) for code in chief}

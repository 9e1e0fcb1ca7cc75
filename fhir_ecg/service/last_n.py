"""The newest Observations of each code. https://hl7.org/fhir/R4/observation-operation-lastn.html"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from fhir_ecg.fhir.outcome import MalformedError, Problem, UnprocessableError
from fhir_ecg.fhir.search import MAXIMUM_COUNT, Search, parse_search, patients_asked_for
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.store.resources import StoredResource

MOST_OF_A_CODE = 100
MOST_MATCHES = 1000
_SUBJECTS = re.compile(r"(patient|subject)([:.].*)?", re.DOTALL)


@dataclass(frozen=True)
class LastN:
    """How many of each code, and among which Observations."""

    most: int
    search: Search

    @property
    def applied(self) -> tuple[tuple[str, str], ...]:
        """The names and values that were understood."""
        return (*self.search.applied, ("max", str(self.most)))


def parse_last_n(query: Iterable[tuple[str, str]], *, lenient: bool = False) -> LastN:
    """Read the parameters of the operation.

    Raises:
        MalformedError: No subject is named, `max` is no positive number, or a criterion cannot be read.
    """
    most, criteria = 1, []
    for name, value in query:
        if name == "max":
            most = _most(value)
        elif name.startswith("_") and name not in {"_id", "_lastUpdated", "_tag", "_security", "_format", "_pretty"}:
            if not lenient:
                text = f"$lastn has no parameter {name[:60]!r}: it chooses and orders the Observations by itself."
                raise MalformedError(Problem("not-supported", text))
        else:
            criteria.append((name, value))
    search = parse_search("Observation", criteria, lenient=lenient)
    if not any(_SUBJECTS.fullmatch(name) and value for name, value in search.applied):
        raise MalformedError(Problem("required", "Name whose Observations are wanted: `patient` or `subject`."))
    return LastN(most, replace(search, count=MOST_MATCHES + 1))


def last_n(application: Application, wanted: LastN, caller: Caller) -> list[StoredResource]:
    """Find the newest Observations of each code.

    Raises:
        UnprocessableError: There are too many to look through, or to answer with.
    """
    with application.store.transaction() as work:
        ids = work.find(wanted.search).ids
        if len(ids) > MOST_MATCHES:
            raise _too_many(f"More than {MOST_MATCHES} Observations match")
        chosen = work.newest_of_each_code(ids, wanted.most)
        if len(chosen) > MAXIMUM_COUNT:
            raise _too_many(f"The answer would have {len(chosen)} Observations, of which at most {MAXIMUM_COUNT} fit")
        resources = work.resources.get_many("Observation", chosen)
        detail = {"type": "Observation", "operation": "lastn", "query": [list(pair) for pair in wanted.applied]}
        work.audit.add(caller.entry("search", resources, detail | patients_asked_for(wanted.search)), now())
    return resources


def _most(value: str) -> int:
    if not re.fullmatch(r"\d{1,40}", value, re.ASCII) or not int(value):
        text = f"max is how many of each code are wanted, from 1 to {MOST_OF_A_CODE}, not {value[:40]!r}."
        raise MalformedError(Problem("invalid", text))
    return min(int(value), MOST_OF_A_CODE)


def _too_many(text: str) -> UnprocessableError:
    return UnprocessableError(Problem("too-long", f"{text}. Narrow them by `code`, `category` or `date`."))

"""Replaying readings: one report's, or all that ended in a time."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from fhir_ecg.fhir.outcome import RefusedError
from fhir_ecg.fhir.search import parse_search
from fhir_ecg.service.application import Application, now
from fhir_ecg.service.kept_models import KeptModels
from fhir_ecg.service.replay_comparison import Comparison, DifferenceError
from fhir_ecg.service.replay_material import MissingError, load_material
from fhir_ecg.service.replay_stages import replay_stages
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.readings import Period, ReadingKey
from fhir_ecg.store.resources import DeletedError, ExpiredError
from fhir_ecg.store.unit_of_work import UnitOfWork

Outcome = Literal["equal", "within tolerance", "different", "impossible", "not read"]
SOUND: tuple[Outcome, ...] = ("equal", "within tolerance")

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_PAGE = 200
_MOST_ENTITIES = 100


class UnknownReportError(LookupError):
    """There is no such report."""


@dataclass(frozen=True)
class Replayed:
    """What the replay of one reading came to."""

    report: str
    """Reference of the report."""
    finished_at: datetime | None
    """When the reading ended; None where there was none."""
    outcome: Outcome
    stage: str | None = None
    """The first stage that differs, or that cannot be computed."""
    what: str | None = None
    """What differs, or is missing."""
    stored: Any = None
    replayed: Any = None
    changes: tuple[str, ...] = ()
    """What may change the last bits and is another here than it was; where nothing is, all must be equal to the bit."""


@dataclass
class Tally:
    """What a run came to so far."""

    counts: Counter[Outcome] = field(default_factory=Counter)
    named: list[str] = field(default_factory=list)
    """Reports that are not sound, up to a number."""

    def add(self, replayed: Replayed) -> None:
        """Count one."""
        self.counts[replayed.outcome] += 1
        if replayed.outcome not in SOUND and len(self.named) < _MOST_ENTITIES:
            self.named.append(replayed.report)

    @property
    def sound(self) -> bool:
        """Whether every replay came to what is stored."""
        return all(outcome in SOUND for outcome in self.counts)


def find_report(application: Application, identity: str) -> str:
    """Find a report's id by that, its reference, or the id or reference of an Observation that it is about.

    Raises:
        UnknownReportError: There is none.
    """
    named = identity.partition("/_history/")[0].rpartition("/")[2]
    found: list[str] = []
    if _ID.fullmatch(named):
        with application.store.transaction(writes=False) as work:
            if work.resources.exists("DiagnosticReport", named):
                return named
            found = work.find(parse_search("DiagnosticReport", [("result", f"Observation/{named}")])).ids
    if not found:
        text = "give the id of a DiagnosticReport, or of an Observation in its result"
        raise UnknownReportError(f"no report is stored of {identity[:200]!r}; {text}")
    return found[0]


def replay_report(application: Application, report_id: str) -> list[Replayed]:
    """Replay every reading of a report; where there was none, that is said."""
    with application.store.transaction(writes=False) as work:
        keys = work.readings.keys_of_report(report_id)
        unread = None if keys else _unread(work, report_id)
    if unread is not None:
        return [unread]
    models = KeptModels(application)
    return [_replay(application, models, key) for key in keys]


def count_readings(application: Application, period: Period) -> int:
    """Count the readings of a period."""
    with application.store.transaction(writes=False) as work:
        return work.readings.count(period)


def replay_period(application: Application, period: Period) -> Iterator[Replayed]:
    """Replay all readings of a period, in the order of their ends."""
    models = KeptModels(application)
    while True:
        with application.store.transaction(writes=False) as work:
            keys = work.readings.keys(period, _PAGE)
        if not keys:
            return
        for key in keys:
            yield _replay(application, models, key)
        period = Period(period.since, period.until, keys[-1])


def reading_after(application: Application, report_id: str) -> ReadingKey:
    """Find where a run goes on that has got as far as a report.

    Raises:
        UnknownReportError: The report has not been read.
    """
    with application.store.transaction(writes=False) as work:
        keys = work.readings.keys_of_report(report_id)
    if not keys:
        raise UnknownReportError(f"DiagnosticReport/{report_id} has not been read, so that no run got as far as that")
    return keys[0]


def record_run(application: Application, tally: Tally, scope: dict[str, Any]) -> None:
    """Leave the audit entry of a run: what it was to replay, and what that came to."""
    entities = (scope["report"],) if "report" in scope else tuple(tally.named)
    detail = {"scope": scope, "outcomes": dict(tally.counts)}
    entry = AuditEntry("replay", "success" if tally.sound else "failure", entities=entities, detail=detail)
    with application.store.transaction() as work:
        work.audit.add(entry, now())


def _replay(application: Application, models: KeptModels, key: ReadingKey) -> Replayed:
    finished_at, report_id = key
    comparison = Comparison()
    found: dict[str, Any]
    try:
        with application.store.transaction(writes=False) as work:
            material = load_material(work, key, comparison)
        replay_stages(material, models, comparison, application.software_version)
        found = {"outcome": "equal" if comparison.exact else "within tolerance"}
    except DifferenceError as error:
        found = {"outcome": "different", "stage": error.stage, "what": error.what}
        found |= {"stored": error.stored, "replayed": error.replayed}
    except MissingError as error:
        found = {"outcome": "impossible", "stage": comparison.stage, "what": str(error)}
    except (RefusedError, DeletedError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        # What is stored has not the form in which it was stored.
        found = {"outcome": "different", "stage": comparison.stage, "what": "what is stored cannot be worked with"}
        found |= {"replayed": f"{type(error).__name__}: {error}"}
    return Replayed(f"DiagnosticReport/{report_id}", finished_at, **found, changes=tuple(comparison.changes))


def _unread(work: UnitOfWork, report_id: str) -> Replayed:
    """Say why there is no record of a reading: none was made, or it has expired with its case."""
    reference = f"DiagnosticReport/{report_id}"
    try:
        return Replayed(reference, None, "not read", what=_why_not_read(work, report_id))
    except ExpiredError as error:
        text = f"the case expired on {error.version.expired_at:%Y-%m-%d}, and the record of its reading with it"
        return Replayed(reference, None, "impossible", "record", text)


def _why_not_read(work: UnitOfWork, report_id: str) -> str:
    report = work.resources.get("DiagnosticReport", report_id)
    status = report.content["status"] if report else "not stored"
    if status == "registered":
        return "the ECG waits to be read; replay it when its report has another status"
    return f"there is no record of a reading; the report is {status}, and its history says why"

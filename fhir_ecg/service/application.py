"""What the use cases work with; `fhir_ecg.bootstrap` puts it together."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fhir_ecg.fhir.repairs import Repair
from fhir_ecg.fhir.report import ReadStatus
from fhir_ecg.store.unit_of_work import Store

if TYPE_CHECKING:
    from fhir_ecg.classifier.inference import Classifier


@dataclass(frozen=True)
class Policy:
    """What an operator decides."""

    lease: timedelta
    wake_again: timedelta
    maximum_attempts: int
    report_status: ReadStatus
    snomed: bool
    repairs: frozenset[Repair]
    same_bytes_within: timedelta
    """An Observation of the same bytes is not taken twice within so long; 0 where it is."""
    worker_silence: timedelta
    """A worker that has given no sign of life for so long counts as gone."""


@dataclass(frozen=True)
class Application:
    """The parts of a running service."""

    store: Store
    wake: Callable[[str], None]
    """Sends a job's id to the workers; never raises, since the job's row is the truth."""
    broker_problem: Callable[[], str | None]
    """Says what keeps wake-ups from being sent; None where nothing does."""
    classifier: "Callable[[], Classifier]"
    """Loads the model at the first call."""
    weights_sha256: Callable[[], str]
    """Digest of the weights that this process would read with."""
    policy: Policy
    software_version: str


@dataclass(frozen=True)
class Caller:
    """Who asks, for the audit."""

    client: str | None = None
    request_id: str | None = None


def now() -> datetime:
    """Tell the time, in whole milliseconds, as FHIR instants carry it."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

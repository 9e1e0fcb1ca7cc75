"""What the use cases work with; `fhir_ecg.bootstrap` puts it together."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from fhir_ecg.ecg.prediction import ModelIdentity
from fhir_ecg.fhir.audit_event import AuditRecord, distinct, patients_of
from fhir_ecg.fhir.repairs import Repair
from fhir_ecg.fhir.report import ReadStatus
from fhir_ecg.service.kept_weights import KeptWeights
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.resources import StoredResource, Version
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
    queue_limit: int
    """While so many ECGs wait to be read, further ones are refused."""
    confirming_clients: frozenset[str]
    """Who may confirm reports; empty where every client may."""
    auditors: frozenset[str]
    """Who may read AuditEvents; empty where every client may."""
    worker_silence: timedelta
    """A worker that has given no sign of life for so long counts as gone."""


Stage = Literal["claim", "decode", "quality", "predict", "write"]
"""What a job goes through; `predict` is preprocessing and inference."""


def _untimed(_stage: Stage) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class Application:
    """The parts of a running service."""

    store: Store
    wake: Callable[[str], None]
    """Sends a job's id to the workers; never raises, since the job's row is the truth."""
    wakes_waiting: Callable[[], int]
    """Counts the wake-ups that no worker has taken; 0 where the broker does not tell."""
    broker_problem: Callable[[], str | None]
    """Says what keeps wake-ups from being sent; None where nothing does."""
    classifier: "Callable[[], Classifier]"
    """Loads the model at the first call."""
    weights_sha256: Callable[[], str]
    """Digest of the weights that this process would read with."""
    model: Callable[[], ModelIdentity]
    """The model that this process would read with."""
    model_card: Callable[[], bytes]
    """The card of that model, in Markdown."""
    kept_weights: KeptWeights
    """Keeps the weights that this process reads with."""
    policy: Policy
    software_version: str
    timed: Callable[[Stage], AbstractContextManager[None]] = _untimed
    """Measures a stage, where somebody counts; never raises what the stage does not raise."""


@dataclass(frozen=True)
class Caller:
    """Who asks, for the audit."""

    client: str | None = None
    request_id: str | None = None
    address: str | None = None
    """Where the connection comes from."""
    user: str | None = None
    """The person for whom the client asks, as the client names them."""

    def entry(
        self,
        action: str,
        resources: Sequence[StoredResource | Version] = (),
        detail: dict[str, Any] | None = None,
        *,
        outcome: str = "success",
    ) -> AuditEntry:
        """Say what was done, to what, for whom: with the versions of the resources, and the patients they are about."""
        about = patients_of(each.content for each in resources if each.content is not None)
        references = [each.versioned_reference for each in resources]
        return self._entry(action, outcome, references, about, detail or {})

    def audited(self, action: str, records: Sequence[AuditRecord], detail: dict[str, Any]) -> AuditEntry:
        """Say that audit entries were read, and about which patients they are."""
        about = [patient for record in records for patient in record.patients]
        return self._entry(action, "success", [record.reference for record in records], about, detail)

    def _entry(
        self, action: str, outcome: str, references: list[str], about: list[dict[str, Any]], detail: dict[str, Any]
    ) -> AuditEntry:
        agent = {name: value for name, value in (("address", self.address), ("user", self.user)) if value}
        patients = distinct([*detail.get("patients", []), *about])
        whole = detail | ({"agent": agent} if agent else {}) | ({"patients": patients} if patients else {})
        return AuditEntry(action, outcome, self.client, self.request_id, tuple(references), whole)


def now() -> datetime:
    """Tell the time, in whole milliseconds, as FHIR instants carry it."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

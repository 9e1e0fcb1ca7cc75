"""Whether the service can do its work, with a reason for each part that cannot."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from fhir_ecg.classifier.weights import WeightsError
from fhir_ecg.service.application import Application, now
from fhir_ecg.service.patience import Patience
from fhir_ecg.store.engine import DatabaseError, database_problem
from fhir_ecg.store.migrations import newer, pending
from fhir_ecg.store.workers import WorkerIdentity

PATIENCE_SECONDS = 4.0
"""Less than watchers commonly wait, more than a connection may take."""


@dataclass(frozen=True)
class QueueState:
    """The jobs and workers at one moment."""

    by_state: dict[str, int]
    oldest_unfinished: datetime | None
    workers_alive: int


@dataclass(frozen=True)
class Readiness:
    """What each part of the service says."""

    problems: dict[str, str | None]
    """By part: None where it is sound, else what is wrong and what to do."""
    notes: list[str]
    """What an operator should know, though ECGs are read."""

    @property
    def ready(self) -> bool:
        """Whether no part has a problem."""
        return not any(self.problems.values())


@dataclass(frozen=True)
class _DatabaseAnswer:
    """What the database says of itself and of the workers."""

    problem: str | None
    alive: tuple[WorkerIdentity, ...] = ()
    note: str | None = None


class HealthProbe:
    """Asks each part, and answers in time even where a part neither answers nor refuses."""

    def __init__(self, application: Application, seconds: float = PATIENCE_SECONDS) -> None:
        self._application = application
        self._patience = Patience(seconds)

    def readiness(self) -> Readiness:
        """Check each dependency, all at once."""
        heard = self._patience.ask(
            {
                "database": partial(_ask_database, self._application),
                "broker": self._application.broker_problem,
                "weights": partial(_weights_problem, self._application),
            }
        )
        silence = f"no answer within {self._patience.seconds:g} s; is it overloaded, or something in between cut?"
        database = heard.get("database", _DatabaseAnswer(f"the database: {silence} FHIR_ECG_DATABASE_URL says where"))
        no_worker = "no worker gives a sign of life; start one with `fhir-ecg worker`, or read its log"
        if database.problem:
            no_worker = "not known: the database would say it"
        weights = heard.get("weights", f"the weights file: {silence}")
        problems = {
            "database": database.problem,
            "broker": heard.get("broker", f"the broker: {silence} FHIR_ECG_BROKER_URL says where"),
            "workers": None if database.alive else no_worker,
            "weights": weights,
        }
        notes = [database.note] if database.note else []
        if not weights:
            notes += _stranger_notes(self._application, database.alive)
        return Readiness(problems, notes)

    def queue_state(self) -> QueueState | None:
        """Count jobs and workers; None where the database does not tell."""
        return self._patience.ask({"queue": partial(_queue_state, self._application)}).get("queue")


def _ask_database(application: Application) -> _DatabaseAnswer:
    try:
        if problem := pending(application.store.engine):
            return _DatabaseAnswer(problem)
        note = newer(application.store.engine)
        with application.store.transaction(writes=False) as work:
            alive = work.workers.since(now() - application.policy.worker_silence)
        return _DatabaseAnswer(None, tuple(alive), note)
    except DatabaseError as error:
        return _DatabaseAnswer(database_problem(error))


def _stranger_notes(application: Application, alive: tuple[WorkerIdentity, ...]) -> list[str]:
    """Name workers that read otherwise than this process expects, as they may while an upgrade is under way."""
    expected = application.weights_sha256(), application.software_version
    return [
        f"{worker.name} reads with weights {worker.weights_sha256[:12]} and version {worker.software_version}, "
        f"{expected[0][:12]} and {expected[1]} are expected here: give every process the same"
        for worker in alive
        if (worker.weights_sha256, worker.software_version) != expected
    ]


def _weights_problem(application: Application) -> str | None:
    try:
        application.weights_sha256()
    except WeightsError as error:
        return str(error)
    return None


def _queue_state(application: Application) -> QueueState | None:
    try:
        with application.store.transaction(writes=False) as work:
            alive = work.workers.since(now() - application.policy.worker_silence)
            return QueueState(work.jobs.count_by_state(), work.jobs.oldest_waiting(), len(alive))
    except DatabaseError:
        return None

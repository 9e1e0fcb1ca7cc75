"""Whether the service can do its work, with a reason for each part that cannot."""

from dataclasses import dataclass
from datetime import datetime

from fhir_ecg.classifier.weights import WeightsError
from fhir_ecg.service.application import Application, now
from fhir_ecg.store.engine import DatabaseError
from fhir_ecg.store.migrations import pending
from fhir_ecg.store.workers import WorkerIdentity


@dataclass(frozen=True)
class QueueState:
    """The jobs at one moment."""

    by_state: dict[str, int]
    oldest_unfinished: datetime | None


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


def readiness(application: Application) -> Readiness:
    """Check each dependency."""
    alive: list[WorkerIdentity] = []
    try:
        database = pending(application.store.engine)
        if database is None:
            with application.store.transaction(writes=False) as work:
                alive = work.workers.since(now() - application.policy.worker_silence)
    except DatabaseError as error:
        database = f"the database does not answer ({type(error).__name__}); is FHIR_ECG_DATABASE_URL right?"
    silence = "no worker gives a sign of life; start one with `fhir-ecg worker`, or read its log"
    weights = _weights_problem(application)
    problems = {
        "database": database,
        "broker": application.broker_problem(),
        "workers": None if alive else silence,
        "weights": weights,
    }
    return Readiness(problems, [] if weights else _stranger_notes(application, alive))


def _stranger_notes(application: Application, alive: list[WorkerIdentity]) -> list[str]:
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


def queue_state(application: Application) -> QueueState:
    """Count the jobs."""
    with application.store.transaction(writes=False) as work:
        return QueueState(work.jobs.count_by_state(), work.jobs.oldest_waiting())

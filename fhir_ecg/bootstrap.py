"""The one place that puts the parts together."""

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from celery import Celery

from fhir_ecg import __version__
from fhir_ecg.broker import WakeUps, make_celery
from fhir_ecg.classifier.card import card_of
from fhir_ecg.classifier.weights import read_weights, weights_bytes
from fhir_ecg.ecg.prediction import ModelIdentity
from fhir_ecg.service.application import Application, Policy
from fhir_ecg.service.kept_weights import KeptWeights
from fhir_ecg.settings import Settings
from fhir_ecg.store.engine import open_engine
from fhir_ecg.store.unit_of_work import Store

if TYPE_CHECKING:
    from fhir_ecg.classifier.inference import Classifier


def bootstrap(settings: Settings, celery: Celery | None = None) -> Application:
    """Build the application from its settings; nothing is connected or loaded before it is used."""
    wake_ups = WakeUps(celery or make_celery(settings.broker_url))

    @cache
    def classifier() -> "Classifier":
        # The web process never needs the model, nor the memory that it and its runtime take.
        from fhir_ecg.classifier.inference import Classifier

        return Classifier.from_file(settings.weights)

    @cache
    def model() -> ModelIdentity:
        return read_weights(settings.weights).identity

    @cache
    def model_card() -> bytes:
        return card_of(read_weights(settings.weights))

    return Application(
        store=Store(open_engine(settings.database_url)),
        wake=wake_ups.send,
        wakes_waiting=wake_ups.waiting,
        broker_problem=wake_ups.problem,
        classifier=classifier,
        weights_sha256=lambda: model().weights_sha256,
        model=model,
        model_card=model_card,
        kept_weights=KeptWeights(lambda: weights_bytes(settings.weights)),
        policy=Policy(
            lease=settings.lease,
            wake_again=settings.wake_again,
            maximum_attempts=settings.maximum_attempts,
            report_status=settings.report_status,
            snomed=settings.snomed,
            repairs=frozenset(settings.repairs),
            same_bytes_within=timedelta(seconds=settings.same_bytes_seconds),
            queue_limit=settings.queue_limit,
            confirming_clients=frozenset(settings.confirming_clients),
            auditors=frozenset(settings.auditors),
            worker_silence=settings.worker_silence,
        ),
        software_version=__version__,
    )

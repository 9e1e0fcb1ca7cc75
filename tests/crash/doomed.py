"""Makes the processes of the service die where the harness says. Nothing of this stands in the service's own code.

Each wrapper calls the real thing; between, it asks the control folder whether the step is armed.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import celery
from control import Control

from fhir_ecg.broker import QUEUE
from fhir_ecg.classifier.inference import Classifier
from fhir_ecg.store.jobs import Jobs
from fhir_ecg.store.unit_of_work import Store, UnitOfWork

_transaction = threading.local()


def doom(control: Control) -> None:
    """Put the steps into this process and those forked from it."""
    _mark("add", "accept")
    _mark("claim", "claim")
    _mark("finish", "result")
    _mark("take_due", "sweep")
    _wrap_transactions(control)
    _wrap_sending(control)
    _wrap_inference(control)


def _mark(method: str, name: str) -> None:
    """Let a method of Jobs that changes something name its transaction."""
    original: Callable[..., Any] = getattr(Jobs, method)

    def marking(self: Jobs, *arguments: Any, **options: Any) -> Any:
        result = original(self, *arguments, **options)
        if result:
            _transaction.name = name
        return result

    setattr(Jobs, method, marking)


def _wrap_transactions(control: Control) -> None:
    original = Store.transaction

    @contextmanager
    def transaction(self: Store, **options: Any) -> Iterator[UnitOfWork]:
        _transaction.name = None
        name = None
        try:
            with original(self, **options) as work:
                yield work
                name = _transaction.name
                if name:
                    control.reach(f"before-{name}")
        except Exception as error:
            control.fail(f"transaction {name or _transaction.name}", error)
            raise
        if name:
            control.reach(f"after-{name}")

    Store.transaction = transaction  # type: ignore[method-assign]


def _wrap_sending(control: Control) -> None:
    original_send = celery.Celery.send_task
    original_rename = Path.rename

    def send_task(self: celery.Celery, *arguments: Any, **options: Any) -> Any:
        try:
            result = original_send(self, *arguments, **options)
        except Exception as error:
            control.fail("send", error)
            raise
        if os.environ["CRASH_ROLE"] == "web":  # workers send too, when they sweep
            control.reach("after-send")
        return result

    def rename(self: Path, target: Any) -> Path:
        if self.parent.name == QUEUE and self.name.startswith(".") and os.environ["CRASH_ROLE"] == "web":
            control.reach("in-send")
        return original_rename(self, target)

    celery.Celery.send_task = send_task
    Path.rename = rename  # type: ignore[assignment,method-assign]


def _wrap_inference(control: Control) -> None:
    original = Classifier.predict

    def predict(self: Classifier, recording: Any, *arguments: Any, **options: Any) -> Any:
        control.reach("in-inference")
        control.taste(recording.sha256())
        return original(self, recording, *arguments, **options)

    Classifier.predict = predict  # type: ignore[method-assign]

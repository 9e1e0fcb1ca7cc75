"""The sweeper over a real queue: what is due is woken, unless wake-ups queue up already."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from fhir_ecg.broker import QUEUE
from fhir_ecg.fhir.document import Form
from fhir_ecg.service.application import Application, Caller
from fhir_ecg.service.submit import submit
from fhir_ecg.service.sweep import BATCH, sweep


def test_a_lost_wake_up_is_sent_again_but_not_behind_many_others(
    application: Application, examples: dict[str, bytes], tmp_path: Path
) -> None:
    impatient = replace(application, policy=replace(application.policy, wake_again=timedelta(0)))
    submit(impatient, examples["normal-sinus-rhythm"], Form(), Caller())
    assert impatient.wakes_waiting() == 1

    shutil.rmtree(tmp_path / "broker" / QUEUE)
    assert impatient.wakes_waiting() == 0
    assert sweep(impatient) == 1
    assert impatient.wakes_waiting() == 1

    for number in range(BATCH):
        impatient.wake(f"another {number}")
    assert sweep(impatient) == 0
    assert impatient.wakes_waiting() == BATCH + 1

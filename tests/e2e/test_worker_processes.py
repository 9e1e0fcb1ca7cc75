"""What a worker's process does with its memory, its lease and SIGTERM."""

import signal
import subprocess
import sys
from uuid import uuid4

from deployed_service import Deployment, clean_environment

from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.settings import Settings
from fhir_ecg.supervisor import GRACE_SECONDS


def test_a_process_that_has_grown_too_large_makes_room_for_a_fresh_one(
    deployment: Deployment, examples: dict[str, bytes]
) -> None:
    deployment.environment["FHIR_ECG_WORKER_MEMORY_MIB"] = "1"  # each job is a process's last
    deployment.start_web()
    worker = deployment.start_worker()
    sent = [deployment.send(body) for body in list(examples.values())[:3]]

    assert {deployment.report_of(observation)["status"] for observation in sent} == {"partial"}
    assert worker.poll() is None
    assert deployment.logs().count("makes room for a fresh one") >= 2


def test_a_worker_ends_in_time_with_a_long_queue(deployment: Deployment, examples: dict[str, bytes]) -> None:
    """Wake-ups of jobs that are done come by the hundred after an outage; they do not keep a worker from ending."""
    deployment.start_web()
    settings = Settings(
        data_dir=deployment.folder / "data",
        database_url=deployment.database_url,
        broker_url=deployment.environment.get("FHIR_ECG_BROKER_URL", ""),
    )
    application = bootstrap(settings)
    for _ in range(500):
        application.wake(str(uuid4()))
    workers = [deployment.start_worker() for _ in range(2)]
    deployment.report_of(deployment.send(examples["normal-sinus-rhythm"]))  # they are at work
    for _ in range(500):
        application.wake(str(uuid4()))

    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    assert [worker.wait(GRACE_SECONDS) for worker in workers] == [0, 0]
    application.store.engine.dispose()
    assert application.wakes_waiting() > 0


def test_a_job_that_outlasts_its_lease_ends_its_process(deployment: Deployment) -> None:
    """The signals that Celery sends around a job, and a job that never ends."""
    code = "import time, worker.app; from celery.signals import task_prerun; task_prerun.send('x'); time.sleep(600)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment() | deployment.environment | {"FHIR_ECG_LEASE_SECONDS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 1
    assert "Timeout" in done.stderr
    assert "most recent call first" in done.stderr

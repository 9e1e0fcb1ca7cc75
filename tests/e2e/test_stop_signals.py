"""SIGTERM that comes again and again: from a container's runtime, a process group and an impatient operator at once."""

import signal
import subprocess
import time

from deployed_service import Deployment


def hammer(process: "subprocess.Popen[bytes]", seconds: float = 0.5) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.0005)


def test_many_signals_end_web_and_worker_as_one_does(deployment: Deployment, examples: dict[str, bytes]) -> None:
    deployment.start_web()
    worker = deployment.start_worker()
    deployment.report_of(deployment.send(examples["normal-sinus-rhythm"]))

    for process in (worker, deployment.processes[0]):
        hammer(process)
    assert [process.wait(30) for process in deployment.processes] == [0, 0]
    assert "Traceback" not in deployment.logs()

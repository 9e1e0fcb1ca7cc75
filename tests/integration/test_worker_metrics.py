"""What a worker's processes count together, and that counting harms no reading.

In processes of their own: prometheus_client decides at its import whether it writes to shared files.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = """
import os, sys, tempfile
from worker.metrics import share_numbers, open_metrics, serve_metrics
share_numbers(int(sys.argv[1]))

def in_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
            status = 0
        except BaseException as error:
            print("harmed by", error)
            status = 1
        sys.stdout.flush()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""

SUM = """
def work():
    metrics = open_metrics()
    with metrics.timed("decode"):
        pass
    try:
        with metrics.timed("predict"):
            raise OSError
    except OSError:
        pass
    metrics.attempted("read")
    metrics.attempted("not claimed")

assert [in_child(work) for _ in range(3)] == [0, 0, 0]
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
print(os.environ["PROMETHEUS_MULTIPROC_DIR"])
"""

OFF = """
assert in_child(lambda: print(open_metrics())) == 0
serve_metrics(0, None)
"""

GONE = """
import logging, shutil
logging.basicConfig()
def work():
    metrics = open_metrics()
    if metrics is None:
        print("counts nothing")
        return
    with metrics.timed("decode"):
        print("decoded")
    metrics.attempted("read")
    print("done")

folder = os.environ["PROMETHEUS_MULTIPROC_DIR"]
shutil.rmtree(folder)
assert in_child(work) == 0
os.mkdir(folder)
metrics = open_metrics()  # the parent's, whose files a child opens anew
shutil.rmtree(folder)
def go_on():
    with metrics.timed("decode"):
        print("decoded")
    metrics.attempted("read")
    print("done")
assert in_child(go_on) == 0
"""


def run(script: str, port: int, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    return subprocess.run(
        [sys.executable, "-c", COUNT + script, str(port)],
        env=environment | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_processes_that_ended_still_count_and_the_folder_goes_with_the_parent(tmp_path: Path) -> None:
    done = run(SUM, 1, tmp_path)

    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert 'fhir_ecg_job_attempts_total{outcome="read"} 3.0' in told
    assert 'fhir_ecg_job_attempts_total{outcome="not_claimed"} 3.0' in told
    assert 'fhir_ecg_job_attempts_total{outcome="cancelled"} 0.0' in told
    assert 'fhir_ecg_stage_duration_seconds_count{stage="decode"} 3.0' in told
    assert 'fhir_ecg_stage_duration_seconds_count{stage="predict"} 3.0' in told
    assert told[-1].startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_without_a_port_nothing_is_counted(tmp_path: Path) -> None:
    done = run(OFF, 0, tmp_path)

    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_harms_no_reading(tmp_path: Path) -> None:
    done = run(GONE, 1, tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["counts nothing", "decoded", "done"]
    assert "could not count" in done.stderr


@pytest.mark.parametrize("port", [0, 1])
def test_the_worker_s_modules_leave_the_choice_open(port: int, tmp_path: Path) -> None:
    """The folder is named before anything imports prometheus_client."""
    script = 'import worker.app, fhir_ecg.commands.serve\nassert "prometheus_client" not in sys.modules\n'
    environment = os.environ | {"FHIR_ECG_DATA_DIR": str(tmp_path), "FHIR_ECG_WORKER_METRICS_PORT": str(port)}
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{script}"], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr

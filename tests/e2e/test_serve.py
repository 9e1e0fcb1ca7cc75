"""`fhir-ecg serve` and `demo` as a newcomer runs them."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from deployed_service import clean_environment, wait_until
from locations import REPOSITORY, free_port

from fhir_ecg.ecg.synthesis import EXAMPLES


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def serve(port: int, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running `serve` with its processes, ready."""
    with (tmp_path / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fhir_ecg", "serve", "--port", str(port), "--data-dir", str(tmp_path / "data")],
            env=clean_environment(),
            stdout=log,
            stderr=log,
        )
    wait_until(lambda: ready(port), 60, "serve is ready")
    # web and one worker
    wait_until(lambda: len(family(process)) == 2, 60, "all processes are there")
    yield process
    for victim in [*family(process), process]:
        victim.kill()
    process.wait()


def ready(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).ok
    except requests.RequestException:
        return False


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_all_processes_end_together(serve: subprocess.Popen[bytes], number: signal.Signals) -> None:
    processes = family(serve)
    serve.send_signal(number)

    assert serve.wait(60) == 0
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert not alive


@pytest.mark.parametrize("victim", ["web", "worker-process"])
def test_a_process_that_dies_comes_back(
    serve: subprocess.Popen[bytes], port: int, victim: str, examples: dict[str, bytes]
) -> None:
    [killed] = [child for child in family(serve) if victim in child.cmdline()]
    killed.kill()

    wait_until(lambda: not killed.is_running() and len(family(serve)) == 2, 60, f"{victim} is back")
    wait_until(lambda: ready(port), 60, "serve is ready again")
    base = f"http://127.0.0.1:{port}/fhir"
    sent = requests.post(
        f"{base}/Observation",
        examples["normal-sinus-rhythm"],
        headers={"Content-Type": "application/fhir+json"},
        timeout=30,
    )
    search = {"result": f"Observation/{sent.json()['id']}", "status": "partial"}
    wait_until(
        lambda: requests.get(f"{base}/DiagnosticReport", search, timeout=30).json()["total"] == 1, 60, "it is read"
    )


def test_what_cannot_start_ends_serve(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [sys.executable, "-m", "fhir_ecg", "serve", "--port", str(taken.getsockname()[1]), "--data-dir", tmp_path],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 1
    assert "the web process could not start" in done.stderr


def test_processes_do_not_outlive_a_killed_serve(serve: subprocess.Popen[bytes]) -> None:
    processes = family(serve)
    serve.kill()

    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive


def test_what_was_stored_is_there_after_a_restart(port: int, tmp_path: Path, examples: dict[str, bytes]) -> None:
    command = [sys.executable, "-m", "fhir_ecg", "serve", "--port", str(port), "--data-dir", str(tmp_path)]
    base = f"http://127.0.0.1:{port}/fhir"
    location = ""
    for _ in range(2):
        process = subprocess.Popen(command, env=clean_environment(), stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: ready(port), 60, "serve is ready")
            if not location:
                headers = {"Content-Type": "application/fhir+json"}
                sent = requests.post(
                    f"{base}/Observation", examples["normal-sinus-rhythm"], headers=headers, timeout=30
                )
                location = sent.headers["Location"]
            else:
                assert requests.get(location, timeout=30).json()["resourceType"] == "Observation"
        finally:
            process.terminate()
            process.wait(60)


def test_beyond_this_machine_it_asks_for_authorisation(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fhir_ecg", "serve", "--host", "0.0.0.0", "--data-dir", str(tmp_path)],  # noqa: S104
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "FHIR_ECG_CLIENTS" in done.stderr


def test_demo_prints_the_reports_of_the_examples() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fhir_ecg", "demo"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("status: partial") == len(EXAMPLES)
    assert "atrial fibrillation (AFIB)" in done.stdout
    assert "UNCONFIRMED" in done.stdout


def test_the_wheel_runs_from_another_folder(tmp_path: Path) -> None:
    """Weights, migrations, examples and the worker travel in the wheel."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    wheel_options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(REPOSITORY)]
    subprocess.run([*pip, "wheel", *wheel_options], check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True, capture_output=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = clean_environment() | {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}

    where = "import fhir_ecg, worker; print(fhir_ecg.__file__, worker.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where], cwd=elsewhere, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.count(str(site)) == 2
    demo = subprocess.run(
        [sys.executable, "-m", "fhir_ecg", "demo"],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert demo.returncode == 0, demo.stderr
    assert not list(elsewhere.iterdir())

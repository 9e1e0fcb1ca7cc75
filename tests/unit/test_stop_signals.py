"""SIGTERM that comes again and again: from a container's runtime, a process group and an impatient operator at once."""

import subprocess
import sys
from pathlib import Path

HAMMERED = """
import functools, os, signal, subprocess, threading
from fhir_ecg.supervisor import supervise

def stop():
    os.kill(os.getpid(), signal.SIGTERM)

def signalled(function):
    @functools.wraps(function)
    def after_a_signal(*args, **kwargs):
        stop()
        return function(*args, **kwargs)
    return after_a_signal

def begin():
    for owner, name in (subprocess.Popen, "terminate"), (subprocess.Popen, "wait"), (signal, "signal"), (os, "killpg"):
        setattr(owner, name, signalled(getattr(owner, name)))
    stop()

threading.Timer(0.5, begin).start()
status = supervise({"worker": ["demo", "--help"]}, {})
print("status", status)
"""


def test_signals_at_every_step_end_a_supervisor_as_one_does(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HAMMERED], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )

    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "status 0"
    assert done.returncode == 0

"""A short run of the fuzzer; the long ones are commands of tests/fuzz/fuzz_door.py."""

import subprocess
import sys

import pytest
from locations import REPOSITORY


@pytest.mark.parametrize(("target", "inputs"), [("decoder", "5000"), ("http", "500")])
def test_damaged_ecgs_are_answered_soundly(target: str, inputs: str) -> None:
    command = [sys.executable, "tests/fuzz/fuzz_door.py", target, "--inputs", inputs, "--seed", "2"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr

"""A short run of Schemathesis over the OpenAPI description; the long one is a command of tests/fuzz/fuzz_openapi.py."""

import subprocess
import sys

from locations import REPOSITORY


def test_every_operation_answers_as_it_is_described() -> None:
    command = [sys.executable, "tests/fuzz/fuzz_openapi.py", "--examples", "300", "--seed", "3"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr

"""Format, lint, types and the direction of imports, as part of the tests."""

import subprocess
import sys

import pytest
from locations import REPOSITORY

CHECKS = [
    [sys.executable, "-m", "ruff", "check", "--no-cache", "."],
    [sys.executable, "-m", "ruff", "format", "--no-cache", "--check", "."],
    [sys.executable, "-m", "mypy", "--no-incremental"],
    [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"],
]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("command", CHECKS, ids=["ruff check", "ruff format", "mypy", "import-linter"])
def test_static_check(command: list[str]) -> None:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_and_no_function_is_too_long() -> None:
    import ast

    long = []
    for path in [*(REPOSITORY / "fhir_ecg").rglob("*.py"), *(REPOSITORY / "worker").rglob("*.py")]:
        text = path.read_text()
        if text.count("\n") > 400:
            long.append(path.name)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 50:
                long.append(f"{path.name}: {node.name}")
    assert not long

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

    sources = [*(REPOSITORY / "fhir_ecg").rglob("*.py"), *(REPOSITORY / "worker").rglob("*.py")]
    assert [path.name for path in sources if path.read_text().count("\n") > 400] == []
    functions = [
        (path.name, node)
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    ]
    assert [(name, node.name) for name, node in functions if (node.end_lineno or 0) - node.lineno >= 50] == []

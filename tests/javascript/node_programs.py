"""Runs the programs beside this file with Node, and installs the packages that they need where these are not yet."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent
_MODULES = FOLDER / "node_modules"


class NodeAbsentError(Exception):
    """This machine has no Node, and need not have it."""


def run_node(program: str, *arguments: str, text: str = "", seconds: float = 300) -> str:
    """Run a program and give what it printed.

    Raises:
        NodeAbsentError: There is no Node here; on a machine of the CI that is a RuntimeError.
        RuntimeError: The packages cannot be installed, or the program failed.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            raise RuntimeError("CI needs Node and npm: two validators and a client run there")
        raise NodeAbsentError("Node and npm are not installed")
    _install(npm)
    done = _run([node, str(FOLDER / program), *arguments], text, seconds)
    if done.returncode:
        # The trace of a bundled package can show its whole code as one line.
        lines = "\n".join(line[:300] for line in (done.stdout + done.stderr).splitlines()[-40:])
        raise RuntimeError(f"{program} ended with {done.returncode}:\n{lines}")
    return done.stdout


def _install(npm: str) -> None:
    wanted = (FOLDER / "package-lock.json").read_text()
    stamp = _MODULES / ".installed"
    with (FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs of the tests may come here at once
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        done = _run([npm, "ci", "--no-audit", "--no-fund"], "", 300)
        if done.returncode:
            raise RuntimeError(f"npm cannot install the packages of {FOLDER / 'package.json'}:\n{done.stderr[-4000:]}")
        stamp.write_text(wanted)


def _run(command: list[str], text: str, seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=FOLDER, input=text, capture_output=True, text=True, timeout=seconds, check=False)

"""Where the repository is, which port is free, where commands are: known to fixtures of several folders."""

import os
import socket
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def free_port() -> int:
    """Find a port on the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def reach_useradd() -> None:
    """Let the PostgreSQL of the wheel make its own user, as it does where it is run as root."""
    folders = os.environ["PATH"].split(os.pathsep)
    if "/usr/sbin" not in folders:
        os.environ["PATH"] = os.pathsep.join([*folders, "/usr/sbin"])

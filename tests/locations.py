"""Where the repository is, and which port is free: known to fixtures of several folders."""

import socket
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def free_port() -> int:
    """Find a port on the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""The web process: gunicorn with one process and many threads."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication


class WebServer(BaseApplication):  # type: ignore[misc]
    """gunicorn over a factory, called in the serving process after the fork."""

    def __init__(self, factory: Callable[[], Flask], options: dict[str, Any]) -> None:
        self._factory = factory
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        """Hand the options to gunicorn."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Build the application."""
        return self._factory()


def serve_web(factory: Callable[[], Flask], host: str, port: int, threads: int) -> None:
    """Serve until SIGTERM or SIGINT; requests in hand are finished."""
    bracketed = f"[{host}]" if ":" in host else host
    options = {
        "bind": f"{bracketed}:{port}",
        "worker_class": "gthread",
        "workers": 1,
        "threads": threads,
        "graceful_timeout": 15,
        "proc_name": "fhir-ecg web",
        "control_socket_disable": True,
    }
    WebServer(factory, options).run()

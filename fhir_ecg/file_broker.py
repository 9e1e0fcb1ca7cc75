"""Celery's messages as files in a folder: for one machine, with no server.

kombu's `filesystem` transport writes into files that others see already. A process that is killed meanwhile, or a full
disk, leaves an empty one, and every worker that fetches it ends. Here a message appears whole or not at all, and what
cannot be read is dropped: it was a wake-up, and the sweeper sends it again.
"""

import json
import logging
from collections import deque
from pathlib import Path
from queue import Empty
from time import time_ns
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, virtual

SCHEME = "fhir-ecg-files"

logger = logging.getLogger(__name__)

TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


class Channel(virtual.Channel):
    """Queues as folders, messages as files named by the time they were sent.

    Bindings are kept in memory, for each process declares the same.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._listed: dict[str, deque[str]] = {}
        """What the last look into a folder showed and has not been fetched since."""

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        name = f"{time_ns():020d}-{uuid4().hex}"
        folder = self._folder(queue)
        written = folder / f".{name}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            written.write_text(json.dumps(message))
            written.rename(folder / name)
        except OSError as error:
            written.unlink(missing_ok=True)
            raise ChannelError(f"no message can be written into {folder}: {error.strerror}") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:  # noqa: ARG002 - kombu's signature
        listed = self._listed.setdefault(queue, deque())
        if not listed:
            listed.extend(self._names(queue))
        while listed:
            if (message := self._fetch(self._folder(queue) / listed.popleft())) is not None:
                return message
        raise Empty

    def _fetch(self, path: Path) -> Any:
        """Take one message; None where another process has taken it, or it cannot be read."""
        taken = path.with_name(f".{uuid4().hex}")
        try:
            path.rename(taken)  # to one process alone
        except FileNotFoundError:
            return None
        try:
            return json.loads(taken.read_text())
        except (OSError, ValueError):
            logger.warning("a broken message was dropped; its job is woken again")
            return None
        finally:
            taken.unlink(missing_ok=True)

    def _size(self, queue: str) -> int:
        return len(self._names(queue))

    def _purge(self, queue: str) -> int:
        return sum(self._fetch(self._folder(queue) / name) is not None for name in self._names(queue))

    def _names(self, queue: str) -> list[str]:
        try:
            return sorted(path.name for path in self._folder(queue).iterdir() if not path.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ChannelError(f"{self._folder(queue)} cannot be read: {error.strerror}") from error

    def _folder(self, queue: str) -> Path:
        return Path(self.connection.client.transport_options["folder"]) / queue


class Transport(virtual.Transport):
    """What kombu knows this broker by."""

    Channel = Channel
    # Folders tell nobody that a file came.
    polling_interval = 0.1
    driver_type = "files"
    driver_name = "files"

    def driver_version(self) -> str:
        """Say that there is no driver."""
        return "none"

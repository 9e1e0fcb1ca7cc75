"""Whether this process still takes wake-ups: one that lives and has gone deaf is worse than a dead one."""

from threading import Lock
from time import monotonic

DEAF_SECONDS = 60.0
"""With wake-ups waiting, a process that is idle takes one at once."""


class Attention:
    """When the process last took a wake-up, and whether one waited since."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._busy = False
        self._idle_beside_work_since: float | None = None

    def begin(self) -> None:
        """Say that a wake-up was taken."""
        with self._lock:
            self._busy = True

    def end(self) -> None:
        """Say that its job is done."""
        with self._lock:
            self._busy, self._idle_beside_work_since = False, None

    def is_deaf(self, waiting: int, moment: float | None = None) -> bool:
        """Tell whether wake-ups have waited for too long beside an idle process.

        Args:
            waiting: How many wait now.
            moment: The time in seconds; now if not given.
        """
        moment = monotonic() if moment is None else moment
        with self._lock:
            if self._busy or waiting == 0:
                self._idle_beside_work_since = None
                return False
            if self._idle_beside_work_since is None:
                self._idle_beside_work_since = moment
            return moment - self._idle_beside_work_since > DEAF_SECONDS

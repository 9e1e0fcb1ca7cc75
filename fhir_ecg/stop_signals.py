"""SIGTERM and SIGINT, however often they come, and at whatever moment."""

import signal
from collections.abc import Callable
from types import FrameType


class StopSignals:
    """Notes that a process was told to end.

    A second signal finds the handler of the first still running, so it raises nothing and takes no lock
    (`threading.Event.set` does); what else is to be done is done once.
    """

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.arrived = False
        self._then = then
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        first, self.arrived = not self.arrived, True
        if first:
            self._then()

    @staticmethod
    def ignore() -> None:
        """Let further signals do nothing: all is done, and the exit status is to say so."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

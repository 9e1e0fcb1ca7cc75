"""Asking what may never answer, such as a database whose machine hangs."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from threading import Lock, Thread
from typing import Any


class Patience:
    """Waits so long for answers; a question that hangs is not asked again before it comes back."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._open: dict[str, Future[Any]] = {}
        self._lock = Lock()

    def ask(self, questions: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        """Ask all at once; gives the answers that came in time, and raises what a question raised."""
        asked = {name: self._ask(name, question) for name, question in questions.items()}
        wait(asked.values(), self.seconds)
        return {name: answer.result() for name, answer in asked.items() if answer.done()}

    def _ask(self, name: str, question: Callable[[], Any]) -> Future[Any]:
        with self._lock:
            earlier = self._open.get(name)
            if earlier is not None and not earlier.done():
                return earlier
            answer = self._open[name] = Future()
        # A thread of an executor would be waited for when the process ends, even one that hangs.
        Thread(target=_answer, args=(answer, question), name=f"asks for {name}", daemon=True).start()
        return answer


def _answer(answer: Future[Any], question: Callable[[], Any]) -> None:
    try:
        answer.set_result(question())
    except Exception as error:
        answer.set_exception(error)

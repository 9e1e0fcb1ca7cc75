"""What may be said of an error where no patient's data may stand: in logs, and with a job that failed.

The text of an error can hold what was sent: the value that pydantic refused, the row that PostgreSQL shows, the
key that was missing. So the class is always told, and the text only where it speaks of the machine alone.
"""

import sqlite3
import traceback

_SPEAK_OF_THE_MACHINE = {
    "builtins.ImportError",
    "builtins.MemoryError",
    "builtins.ModuleNotFoundError",
    "builtins.RuntimeError",  # torch's kind, of tensors' shapes and the like
    "fhir_ecg.classifier.weights.WeightsError",
    "kombu.exceptions.OperationalError",
    "redis.exceptions.ConnectionError",
    "redis.exceptions.TimeoutError",
    "socket.gaierror",
}


def describe_error(error: BaseException) -> str:
    """Tell an error in one line."""
    name = type(error).__name__
    said = _what_it_says(error)
    return f"{name}: {said}" if said else name


def format_error(error: BaseException) -> str:
    """Tell an error, where it arose, and the errors that led to it, the first one first."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    told = ["".join([*traceback.format_tb(each.__traceback__), describe_error(each)]) for each in reversed(chain)]
    return "\n\nwhich led to\n\n".join(told)


def _what_it_says(error: BaseException) -> str | None:
    kind = type(error)
    # A library's own kind of OSError can hold what it was reading or asking for.
    if isinstance(error, OSError) and kind.__module__ == "builtins":
        return str(error)
    if f"{kind.__module__}.{kind.__qualname__}" in _SPEAK_OF_THE_MACHINE or kind.__module__.startswith("onnxruntime."):
        return str(error)
    if kind.__module__ == "sqlalchemy.exc":
        return _what_the_database_says(error)
    if kind.__name__ == "ValidationError" and kind.__module__.startswith("pydantic"):
        return ", ".join(sorted({fault["type"] for fault in error.errors()}))  # type: ignore[attr-defined]
    return None


def _what_the_database_says(error: BaseException) -> str | None:
    """Tell what the driver said: PostgreSQL's texts and details can show a row, SQLite's cannot."""
    cause = getattr(error, "orig", None)
    if cause is None:
        return None
    name = type(cause).__name__
    if isinstance(cause, sqlite3.Error):
        return str(cause)
    if state := getattr(cause, "sqlstate", None):
        constraint = cause.diag.constraint_name
        return f"{name}, SQLSTATE {state}" + (f", constraint {constraint}" if constraint else "")
    # Without a state no statement reached the server: the text is of the connection.
    return f"{name}: {cause}" if type(error).__name__ == "OperationalError" else name

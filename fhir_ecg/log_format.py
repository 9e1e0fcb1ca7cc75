"""Log lines on stderr: as text for a terminal, as JSON for what collects them. No line holds a patient's data.

An access line has the route's template and not the address, whose query can name a patient; of an error its
class, and its text only where that is safe (`fhir_ecg.error_text`); of a line's extras only the known ones.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import Any, Literal, TextIO

from pythonjsonlogger.orjson import OrjsonFormatter

from fhir_ecg.error_text import describe_error, format_error
from fhir_ecg.log_context import log_fields

LogFormat = Literal["text", "json"]

FIELDS = (
    "request_id", "client", "job", "attempt", "report", "observation",
    "method", "route", "status", "duration_ms", "bytes_in", "bytes_out", "outcome",
)  # fmt: skip
"""What a line can carry beside its message."""

_ALWAYS = ("timestamp", "level", "logger", "message", "role", "process")
_ErrorInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def log_handler(stream: TextIO, log_format: LogFormat, level: str, role: str) -> logging.Handler:
    """Write lines of this format, as said by this role, to a stream."""
    handler = logging.StreamHandler(stream)
    handler.setLevel(level)
    handler.addFilter(_complete)
    handler.setFormatter(_JsonLines(role) if log_format == "json" else _TextLines())
    return handler


def configure_logging(log_format: LogFormat, level: str, role: str) -> None:
    """Send every log line of this process to stderr."""
    handler = log_handler(sys.stderr, log_format, level, role)
    # What libraries tell at DEBUG holds addresses, rows and messages.
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for ours in ("fhir_ecg", "worker"):
        logging.getLogger(ours).setLevel(level)
    # Alembic reports each connection, Celery each task and kombu each reconnection; none is news at INFO.
    for chatty in ("alembic", "celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def log_uncaught_errors() -> None:
    """Let errors that nobody caught, and warnings, be log lines too."""
    logger = logging.getLogger("fhir_ecg")

    def tell(error: BaseException | None) -> None:
        logger.critical("nobody caught this error", exc_info=error)

    sys.excepthook = lambda _kind, error, _traceback: tell(error)
    threading.excepthook = lambda arguments: tell(arguments.exc_value)
    logging.captureWarnings(True)


def _complete(record: logging.LogRecord) -> bool:
    """Add the fields of the scope, and take texts of errors out of the message."""
    for name, value in log_fields().items():
        if not hasattr(record, name):
            setattr(record, name, value)
    if isinstance(record.msg, BaseException):
        record.msg = describe_error(record.msg)
    if isinstance(record.args, tuple):
        record.args = tuple(describe_error(a) if isinstance(a, BaseException) else a for a in record.args)
    return True


class _JsonLines(OrjsonFormatter):
    """One JSON object a line."""

    def __init__(self, role: str) -> None:
        renamed = {"levelname": "level", "name": "logger", "exc_info": "exception"}
        super().__init__(
            ["levelname", "name", "message", "process"],
            timestamp=True,
            rename_fields=renamed,
            static_fields={"role": role},
        )

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Keep what is known; libraries attach whole tasks and requests to their lines."""
        known = (*_ALWAYS, *FIELDS, "exception")
        return {name: log_data[name] for name in known if log_data.get(name) is not None}

    def formatException(self, ei: _ErrorInfo) -> str:  # noqa: N802 - logging's name
        """Tell the error without what was sent."""
        return format_error(ei[1]) if ei[1] is not None else ""


class _TextLines(logging.Formatter):
    """A line for people, its fields at the end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Write the line and its error."""
        record.exc_text = None  # where another handler has left the error's whole text
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Write the line with its fields."""
        found = {name: getattr(record, name, None) for name in FIELDS}
        fields = " ".join(f"{name}={value}" for name, value in found.items() if value is not None)
        return f"{super().formatMessage(record)} [{fields}]" if fields else super().formatMessage(record)

    def formatException(self, ei: _ErrorInfo) -> str:  # noqa: N802 - logging's name
        """Tell the error without what was sent."""
        return format_error(ei[1]) if ei[1] is not None else ""

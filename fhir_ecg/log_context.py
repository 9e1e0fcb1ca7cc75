"""Which request or job a log line belongs to, carried along so that no function has to hand it on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

LogFields = Mapping[str, str | int | float | None]

_fields: ContextVar[LogFields | None] = ContextVar("fhir_ecg_log_fields", default=None)


def log_fields() -> LogFields:
    """Give what every line said now carries."""
    return _fields.get() or {}


def add_log_fields(**fields: str | float | None) -> None:
    """Let the lines up to the end of the scope carry more; outside of any there is no end, and nothing is added."""
    if (present := _fields.get()) is not None:
        _fields.set({**present, **fields})


@contextmanager
def log_scope(**fields: str | float | None) -> Iterator[None]:
    """Let the lines within carry these fields, and what is added to them."""
    token = _fields.set({**log_fields(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)

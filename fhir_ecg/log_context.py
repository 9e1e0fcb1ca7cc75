"""Which request or job a log line belongs to, carried along so that no function has to hand it on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

LogFields = Mapping[str, str | int | float | None]

_fields: ContextVar[LogFields] = ContextVar("fhir_ecg_log_fields", default={})  # noqa: B039 - it is only ever replaced


def log_fields() -> LogFields:
    """Give what every line said now carries."""
    return _fields.get()


def add_log_fields(**fields: str | float | None) -> None:
    """Let the lines up to the end of the scope carry more."""
    _fields.set({**_fields.get(), **fields})


@contextmanager
def log_scope(**fields: str | float | None) -> Iterator[None]:
    """Let the lines within carry these fields, and what is added to them."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)

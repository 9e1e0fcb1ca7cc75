"""The web process: waitress, which takes a request whole before one of its threads works on it.

A client that sends or reads slowly therefore costs a connection, of which there is a bounded number, and no thread.
"""

import logging
import socket
from dataclasses import dataclass
from time import monotonic
from typing import Any

from flask import Flask
from waitress import create_server, wasyncore
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer
from waitress.task import ErrorTask
from waitress.utilities import RequestEntityTooLarge, RequestHeaderFieldsTooLarge

from fhir_ecg.api.accounting import tell_unread
from fhir_ecg.fhir.outcome import IssueType, Problem, operation_outcome
from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.stop_signals import StopSignals

logger = logging.getLogger(__name__)

CONNECTIONS = 200
"""So many at once; further ones wait in the system's queue."""
IDLE_SECONDS = 60
LINGER_SECONDS = 5
"""A client that is still sending when it is refused is listened to for so long, so that it sees the answer."""
GRACE_SECONDS = 15
"""Requests in hand at SIGTERM have so long to be answered."""
_HEADER_BYTES = 64 * 1024
# Answers are built whole: a thread is never to wait until a slow reader has taken a part of one.
_UNSENT_BYTES = 2**30


class OutcomeTask(ErrorTask):  # type: ignore[misc]
    """Answers what is no HTTP request, or one too large, with an OperationOutcome as every other refusal."""

    def execute(self) -> None:
        """Write the answer; the connection is closed after it."""
        status, headers, _ = self.request.error.to_response(None)
        body = serialise(operation_outcome([_problem(self.request.error)]))
        self.status = status
        tell_unread(self.channel.application, int(status.split()[0]), type(self.request.error).__name__)
        self.response_headers.extend((name, value) for name, value in headers if name != "Content-Type")
        self.response_headers.append(("Content-Type", "application/fhir+json; fhirVersion=4.0"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that may send one request for so long, and sees a refusal also while it is sending."""

    error_task_class = OutcomeTask

    application: Flask
    request_seconds = 60.0
    _request_due: float | None = None
    _refused = False
    _lingers_until: float | None = None

    @property
    def busy(self) -> bool:
        """Whether a request is in hand or its answer not sent."""
        return bool(self.requests or self.total_outbufs_len)

    def overdue(self, moment: float) -> bool:
        """Tell whether a request, or the end of a refused one, is waited for too long."""
        return any(due is not None and due < moment for due in (self._request_due, self._lingers_until))

    def received(self, data: bytes) -> bool:
        """Take a part of a request."""
        taken = bool(super().received(data))
        if self.request is None:
            self._request_due = None
        elif self._request_due is None:
            self._request_due = monotonic() + self.request_seconds
        self._refused = self._refused or any(request.error for request in self.requests)
        return taken

    def readable(self) -> bool:
        """Tell whether input is listened to."""
        return self._lingers_until is not None or bool(super().readable())

    def writable(self) -> bool:
        """Tell whether output waits."""
        return self._lingers_until is None and bool(super().writable())

    def handle_read(self) -> None:
        """Read input; after a refusal, to throw it away."""
        if self._lingers_until is None:
            super().handle_read()
        else:
            self.recv(self.adj.recv_bytes)

    def handle_close(self) -> None:
        """Close; after a refusal, once the client has ended too, for a reset could overtake the answer."""
        if self._refused and self._lingers_until is None and self.connected:
            self._lingers_until = monotonic() + LINGER_SECONDS
            self.will_close = False
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                super().handle_close()
        else:
            super().handle_close()


@dataclass(frozen=True)
class Limits:
    """What one client may cost."""

    threads: int
    maximum_body_bytes: int
    request_seconds: float
    """A request that has not come whole by then is given up."""


Sockets = dict[int, Any]
"""What waitress listens and talks on, by file descriptor."""


def listen(app: Flask, host: str, port: int, limits: Limits) -> Sockets:
    """Open the address.

    Raises:
        OSError: It cannot be had.
    """
    sockets: Sockets = {}
    create_server(
        app,
        map=sockets,
        host=host,
        port=port,
        threads=limits.threads,
        ident=None,
        connection_limit=CONNECTIONS,
        channel_timeout=IDLE_SECONDS,
        # One byte more: what the application takes must reach it.
        max_request_body_size=limits.maximum_body_bytes + 1,
        max_request_header_size=_HEADER_BYTES,
        outbuf_high_watermark=_UNSENT_BYTES,
    )
    channel = type("Channel", (Channel,), {"application": app, "request_seconds": limits.request_seconds})
    for each in _listening(sockets):
        each.channel_class = channel
    return sockets


def serve_until_signal(sockets: Sockets) -> None:
    """Serve until SIGTERM or SIGINT; requests in hand are finished."""
    listening = _listening(sockets)
    # It warns of every request that waits for a thread.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    logging.getLogger("waitress").addFilter(without_address)
    stop = StopSignals(listening[0].pull_trigger)
    for each in listening:
        logger.info("serving on %s, port %s", each.effective_host, each.effective_port)
    while not stop.arrived:
        _turn(sockets, 1)
    for each in listening:
        wasyncore.dispatcher.close(each)
    deadline = monotonic() + GRACE_SECONDS
    while monotonic() < deadline and any(channel.busy for channel in _channels(sockets)):
        _turn(sockets, 0.1)
    listening[0].task_dispatcher.shutdown()
    stop.ignore()


def without_address(record: logging.LogRecord) -> bool:
    """Take the address, which can name a patient, out of what waitress says of a request."""
    record.msg = str(record.msg).partition(" while serving ")[0]
    return True


def _turn(sockets: Sockets, seconds: float) -> None:
    """Serve what can be served now, waiting for it so long at most; close who is overdue."""
    wasyncore.loop(timeout=seconds, use_poll=True, map=sockets, count=1)
    moment = monotonic()
    for channel in _channels(sockets):
        if channel.overdue(moment):
            HTTPChannel.handle_close(channel)


def _listening(sockets: Sockets) -> list[Any]:
    return [each for each in sockets.values() if isinstance(each, BaseWSGIServer)]


def _channels(sockets: Sockets) -> list[Channel]:
    return [each for each in sockets.values() if isinstance(each, Channel)]


def _problem(error: Any) -> Problem:
    if isinstance(error, RequestEntityTooLarge):
        return Problem("too-long", "The body is larger than this server takes. Send fewer ECGs in one request.")
    code: IssueType = "too-long" if isinstance(error, RequestHeaderFieldsTooLarge) else "structure"
    return Problem(code, f"This is no HTTP request that can be read: {error.reason}.")

"""Celery's messages in Redis, where a Redis that refuses is waited for as one that is away."""

from typing import Any

from kombu.transport import redis as kombu_redis
from redis.exceptions import ResponseError


class Transport(kombu_redis.Transport):
    """kombu's, but an error that Redis answers with is no reason for a worker to end.

    A Redis whose disk or memory is full (`MISCONF`, `OOM`), or that became a replica, refuses for a while.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self.connection_errors = (*self.connection_errors, ResponseError)

"""What not every client may do: the operator names those that may."""

from collections.abc import Collection

from fhir_ecg.fhir.outcome import Problem, RefusedError
from fhir_ecg.service.application import Caller


class NotAllowedError(RefusedError):
    """The client may not do this (HTTP 403)."""


def require_permission(caller: Caller, named: Collection[str], what: str, variable: str) -> None:
    """Refuse a client that is not among those that are named; where none is, every client may.

    Args:
        caller: Who asks.
        named: The names of the clients that may.
        what: What they may do.
        variable: Where the operator names them.

    Raises:
        NotAllowedError: The client is not named.
    """
    # Without authorisation, which is possible on this machine alone, there is no client.
    if caller.client is None or not named or caller.client in named:
        return
    text = f"The client {caller.client} may not {what}. The operator names those that may in {variable}."
    raise NotAllowedError(Problem("forbidden", text))

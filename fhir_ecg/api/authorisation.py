"""Who may call: bearer tokens that the operator has issued, known here by their SHA-256."""

import hmac
from dataclasses import replace
from hashlib import sha256
from ipaddress import ip_address
from secrets import token_urlsafe

from flask import current_app, g, request
from werkzeug.exceptions import Unauthorized

from fhir_ecg.settings import Settings

# What tells nothing of patients, and what a client reads before it has a token.
_OPEN_PATHS = {"/", "/livez", "/readyz", "/metrics", "/fhir/metadata"}


class UnprotectedError(Exception):
    """The service would be open to everyone on a network; its text says how to close it."""


def new_token() -> tuple[str, str]:
    """Make a token and its SHA-256."""
    token = token_urlsafe(32)
    return token, sha256(token.encode()).hexdigest()


def require_protection(host: str, settings: Settings) -> None:
    """Refuse to listen beyond this machine without authorisation.

    Raises:
        UnprotectedError: The host is no loopback address and no client has a token.
    """
    if not settings.clients and not _is_loopback(host):
        raise UnprotectedError(
            f"Listening on {host} without authorisation would show patients' data to everyone who reaches it. "
            "Run `fhir-ecg token NAME` and set FHIR_ECG_CLIENTS as it says, or listen on 127.0.0.1."
        )


def authorise() -> None:
    """Find the client by its bearer token; does nothing where no client has one (loopback only)."""
    settings: Settings = current_app.extensions["fhir_ecg_settings"]
    if not settings.clients or request.path in _OPEN_PATHS:
        return
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    digest = sha256(token.strip().encode()).hexdigest()
    matches = [
        name for name, known in settings.clients.items() if hmac.compare_digest(known.lower().encode(), digest.encode())
    ]
    if scheme.lower() != "bearer" or not matches:
        raise Unauthorized("Send `Authorization: Bearer TOKEN` with a token that this server's operator issued.")
    g.caller = replace(g.caller, client=matches[0])


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"

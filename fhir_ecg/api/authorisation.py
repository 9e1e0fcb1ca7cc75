"""Who may call: bearer tokens that the operator has issued, known here by their SHA-256."""

import hmac
import re
from dataclasses import replace
from hashlib import sha256
from ipaddress import ip_address
from secrets import token_urlsafe

from flask import current_app, g, request
from werkzeug.exceptions import BadRequest, Unauthorized

from fhir_ecg.api.openapi import OPEN_PATHS
from fhir_ecg.service.login import FailedLogins
from fhir_ecg.settings import Settings

# What tells nothing of patients, and what a client reads before it has a token.
_OPEN_PATHS = OPEN_PATHS | {"/", "/livez", "/readyz", "/metrics", "/fhir/metadata"}


USER_HEADER = "X-Remote-User"
_USER = re.compile(r"[!-~](?:[ -~]{0,126}[!-~])?", re.ASCII)


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
    # A browser asks with OPTIONS, and no token, what it may ask with one.
    if not settings.clients or request.path in _OPEN_PATHS or request.method == "OPTIONS":
        return
    failed_logins: FailedLogins = current_app.extensions["fhir_ecg_failed_logins"]
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    digest = sha256(token.strip().encode()).hexdigest()
    matches = [
        name for name, known in settings.clients.items() if hmac.compare_digest(known.lower().encode(), digest.encode())
    ]
    if scheme.lower() != "bearer" or not matches:
        failed_logins.note(g.caller)
        raise Unauthorized("Send `Authorization: Bearer TOKEN` with a token that this server's operator issued.")
    failed_logins.tell()
    g.caller = replace(g.caller, client=matches[0], user=_user())


def _user() -> str | None:
    """Read for whom an authorised client asks: `Practitioner/ID` or any name, as its own people know them.

    Raises:
        BadRequest: It is no name that the audit trail can hold.
    """
    user = request.headers.get(USER_HEADER)
    if user is None or _USER.fullmatch(user):
        return user
    text = f"{USER_HEADER} names a person in 1 to 128 printable ASCII characters, such as Practitioner/12."
    raise BadRequest(text)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"

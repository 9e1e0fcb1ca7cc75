"""Proving that nothing was changed behind the service's back, and checkpoints that an operator signs."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from fhir_ecg.service.application import Application, now
from fhir_ecg.store.adoption import Adopted
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.verification.finding import Finding
from fhir_ecg.store.verification.lanes import Head
from fhir_ecg.store.verification.verify import State, verification

_FORM = "fhir-ecg/checkpoint/1"


class CheckpointError(ValueError):
    """A key or checkpoint that is none; its text says what to do."""


class ForgedError(CheckpointError):
    """A checkpoint whose signature is not that of the key."""


@dataclass(frozen=True)
class Verified:
    """What came of a verification."""

    findings: int
    state: State
    adopted: tuple[Adopted, ...]
    """The rows that operators have taken into the chain: from then on alone it is known that they did not change."""


def verify(
    application: Application,
    checkpoint: Mapping[int, Head],
    tell: Callable[[Finding], None],
    begin: Callable[[int], Callable[[int], None]],
) -> Verified:
    """Verify the chain and all that it holds, and leave an audit entry that says so.

    Args:
        application: The parts.
        checkpoint: What the lanes are to pass through: see `open_checkpoint`.
        tell: Is given each finding.
        begin: Is told how many rows there are; what it returns, how many were looked at.
    """
    found = 0
    with verification(application.store.engine) as view:
        state = view.state()
        for finding in view.findings(checkpoint, begin(sum(state.rows.values()))):
            found += 1
            tell(finding)
    detail: dict[str, Any] = {"findings": found, "rows": state.rows}
    if checkpoint:
        detail["checkpoint"] = {str(lane): list(head) for lane, head in checkpoint.items()}
    with application.store.transaction() as work:
        adopted = tuple(work.adoption.earlier())
        work.audit.add(AuditEntry("verify", "failure" if found else "success", detail=detail), now())
    return Verified(found, state, adopted)


def make_checkpoint(application: Application, private_pem: bytes) -> tuple[bytes, bytes]:
    """Write down where the chain stands, and sign it.

    Returns:
        The checkpoint as JSON, and its Ed25519 signature of 64 bytes.

    Raises:
        CheckpointError: The key is none.
    """
    key = _private_key(private_pem)
    with verification(application.store.engine) as view:
        state = view.state()
    moment = now()
    document = {
        "form": _FORM,
        "time": moment.isoformat(),
        "software": application.software_version,
        "lanes": {str(lane): {"position": head.position, "head": head.digest} for lane, head in state.lanes.items()},
        "rows": state.rows,
    }
    content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    detail = {"sha256": sha256(content).hexdigest()}
    with application.store.transaction() as work:
        work.audit.add(AuditEntry("checkpoint", detail=detail), moment)
    return content, key.sign(content)


def open_checkpoint(content: bytes, signature: bytes, public_pem: bytes) -> dict[int, Head]:
    """Read a checkpoint that is signed.

    Raises:
        CheckpointError: The key or the checkpoint is none.
        ForgedError: The signature is not the key's.
    """
    try:
        key = load_pem_public_key(public_pem)
    except ValueError as error:
        raise CheckpointError("The public key is no PEM file; `fhir-ecg audit key` makes one.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise CheckpointError("The public key is none for Ed25519; `fhir-ecg audit key` makes one.")
    try:
        key.verify(signature, content)
    except InvalidSignature as error:
        text = (
            "The signature of the checkpoint is not that of the key: one of the three files is another, or was changed."
        )
        raise ForgedError(text) from error
    try:
        return _heads(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError("The file is signed, but no checkpoint that this version reads.") from error


def _heads(document: Any) -> dict[int, Head]:
    if document["form"] != _FORM:
        raise ValueError(document["form"])
    return {int(lane): Head(place["position"], place["head"]) for lane, place in document["lanes"].items()}


def make_key() -> tuple[bytes, bytes]:
    """Make a key pair for checkpoints; as PEM, the private key first."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _private_key(pem: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise CheckpointError("The key is no PEM file without a password; `fhir-ecg audit key` makes one.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise CheckpointError("The key is no private key for Ed25519; `fhir-ecg audit key` makes one.")
    return key

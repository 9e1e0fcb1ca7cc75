"""Keeping the weights that read, so that each reading can be computed again as long as its record is kept."""

import logging
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256

from fhir_ecg.classifier.weights import WeightsError, manifest_sha256, weights_bytes
from fhir_ecg.ecg.prediction import ModelIdentity
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.unit_of_work import Store

logger = logging.getLogger(__name__)


class KeptWeights:
    """Keeps the weights of this process in the database, once.

    Args:
        configured: Reads the bytes of the weights file that this process reads with.
    """

    def __init__(self, configured: Callable[[], bytes]) -> None:
        self._configured = configured
        self._known: set[str] = set()

    def keep(self, store: Store, model: ModelIdentity, moment: datetime) -> None:
        """Keep the weights of a model that has read; after the first time in this process this does nothing."""
        if model.weights_sha256 in self._known:
            return
        with store.transaction(writes=False) as work:
            kept = work.weights.holds(model.weights_sha256)
        if not kept and (body := self._body(model)) is not None:
            with store.transaction() as work:
                if work.weights.put_once(model, manifest_sha256(body, model.name), body, moment):
                    work.audit.add(AuditEntry("keep-weights", detail={"weights_sha256": model.weights_sha256}), moment)
        self._known.add(model.weights_sha256)

    def _body(self, model: ModelIdentity) -> bytes | None:
        """Read the file that the model was loaded from; None where it is another by now."""
        try:
            body = self._configured()
        except WeightsError as error:
            logger.warning("the weights that read cannot be kept: %s", error)
            return None
        if sha256(body).hexdigest() == model.weights_sha256:
            return body
        logger.warning("the weights that read cannot be kept: their file has changed since this process loaded it")
        return None

    def find(self, digest: str) -> bytes | None:
        """Find weights that are not kept in the database among the shipped and the configured ones."""
        for read in (self._configured, lambda: weights_bytes(None)):
            try:
                body = read()
            except WeightsError:
                continue
            if sha256(body).hexdigest() == digest:
                return body
        return None

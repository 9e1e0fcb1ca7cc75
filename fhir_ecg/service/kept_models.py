"""The models that read, loaded again by the digests of their weights."""

from hashlib import sha256
from typing import TYPE_CHECKING

from fhir_ecg.classifier.weights import WeightsError, parse_weights
from fhir_ecg.service.application import Application
from fhir_ecg.service.replay_comparison import DifferenceError
from fhir_ecg.service.replay_material import MissingError

if TYPE_CHECKING:
    from fhir_ecg.classifier.inference import Classifier

_MOST_LOADED = 3


class KeptModels:
    """Loads models; a few stay loaded, and what cannot be loaded is not tried again."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._loaded: dict[str, Classifier | DifferenceError | MissingError] = {}

    def get(self, digest: str) -> "Classifier":
        """Load the model whose weights have a digest.

        Raises:
            DifferenceError: What is kept under the digest are other bytes.
            MissingError: They are nowhere, or this version cannot read them.
        """
        if digest not in self._loaded:
            if len(self._loaded) >= _MOST_LOADED:
                del self._loaded[next(iter(self._loaded))]
            try:
                self._loaded[digest] = self._load(digest)
            except (DifferenceError, MissingError) as error:
                self._loaded[digest] = error
        found = self._loaded[digest]
        if isinstance(found, Exception):
            raise found
        return found

    def _load(self, digest: str) -> "Classifier":
        from fhir_ecg.classifier.inference import Classifier

        body = self._bytes(digest)
        try:
            return Classifier(parse_weights(body, f"the model of digest {digest}"))
        except WeightsError as error:
            raise MissingError(
                f"this version cannot read the weights; replay it with the one that read: {error}"
            ) from error

    def _bytes(self, digest: str) -> bytes:
        with self._application.store.transaction(writes=False) as work:
            kept = work.weights.get(digest)
        if kept is None:
            kept = self._application.kept_weights.find(digest)
        if kept is None:
            raise MissingError(
                f"the weights of SHA-256 {digest} are neither kept in the database nor shipped nor configured; get the "
                "file from a backup, and name it in FHIR_ECG_WEIGHTS for this command"
            )
        if (actual := sha256(kept).hexdigest()) != digest:
            raise DifferenceError("weights", "SHA-256 of the kept weights", digest, actual)
        return kept

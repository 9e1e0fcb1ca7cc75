"""From a Recording to a Prediction."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.classifier.calibration import Calibration
from fhir_ecg.classifier.onnx_network import RUNTIME, OnnxNetwork
from fhir_ecg.classifier.preprocessing import SAMPLING_RATE, preprocess
from fhir_ecg.classifier.weights import Decision, Manifest, Weights, WeightsError, read_weights
from fhir_ecg.ecg.contradictions import apply_rules
from fhir_ecg.ecg.prediction import ModelIdentity, Prediction, StatementScore
from fhir_ecg.ecg.quality import CLASSIFIED_SECONDS, QualityFinding
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.ecg.resampling import window


class Classifier:
    """A loaded model."""

    def __init__(self, weights: Weights) -> None:
        if weights.graph is None:
            raise WeightsError(
                f"the weights {weights.manifest.name} {weights.manifest.version} hold no graph for ONNX Runtime, as an "
                "older version wrote them; add it: fhir-ecg weights import OLD.safetensors --out NEW.safetensors"
            )
        self._manifest = weights.manifest
        self._identity = weights.identity
        self._calibration = Calibration(weights.manifest.labels, weights.manifest.decisions)
        self._network = OnnxNetwork(weights.graph, weights.tensors, len(weights.manifest.labels))

    @classmethod
    def from_file(cls, path: Path | None) -> "Classifier":
        """Load a weights file, or the shipped one.

        Raises:
            WeightsError: The file cannot be used.
        """
        return cls(read_weights(path))

    @property
    def model(self) -> ModelIdentity:
        """Which model this is."""
        return self._identity

    @property
    def manifest(self) -> Manifest:
        """What the model is."""
        return self._manifest

    def logits(self, leads: NDArray[np.float32], size: int = 128) -> NDArray[np.float64]:
        """Compute the network's output (records, statements) of preprocessed leads (records, 12, 1000)."""
        return np.concatenate([self._network(leads[i : i + size]) for i in range(0, len(leads), size)]).astype(float)

    def probabilities(self, leads: NDArray[np.float32]) -> NDArray[np.float64]:
        """Compute calibrated probabilities (records, statements) of preprocessed leads (records, 12, 1000)."""
        return self.calibrated(self.logits(leads))

    def calibrated(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Compute the probabilities (records, statements) that logits stand for."""
        return self._calibration.probabilities(logits)

    def network_input(self, recording: Recording) -> NDArray[np.float32]:
        """Compute the network's input (12, 1000) from the first 10 s.

        Raises:
            ValueError: The recording is too short or has a gap; `quality_findings` says so beforehand.
        """
        leads = window(recording, CLASSIFIED_SECONDS, SAMPLING_RATE)
        if leads is None:
            raise ValueError("the recording has no 10 s without a gap")
        return preprocess(leads, self.manifest.preprocessing)

    def predict(self, recording: Recording, warnings: Sequence[QualityFinding] = ()) -> Prediction:
        """Classify a recording whose quality was found sufficient.

        Args:
            recording: The ECG.
            warnings: What was found of its signal; some forbid to assert some statements.

        Raises:
            ValueError: The recording is too short or has a gap.
        """
        leads = np.ascontiguousarray(self.network_input(recording), "<f4")
        logits = self._network(leads[np.newaxis]).astype(float)
        scored = zip(self.manifest.labels, logits[0].tolist(), self.calibrated(logits)[0].tolist(), strict=True)
        scores = tuple(_score(*score, self.manifest.decisions[score[0]]) for score in scored)
        scores = apply_rules(scores, {warning.code for warning in warnings})
        return Prediction(self.model, scores, sha256(leads.tobytes()).hexdigest(), RUNTIME)


def _score(code: str, logit: float, probability: float, decision: Decision) -> StatementScore:
    return StatementScore(
        code, logit, probability, decision.threshold, decision.ruled_out_below, assertable=decision.assertable
    )

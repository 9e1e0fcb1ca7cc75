"""From the network's logits to probabilities."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fhir_ecg.classifier.weights import Decision


class Calibration:
    """Each statement's logit, scaled, and what the logits of other statements add to it.

    A statement's probability is the logistic function of slope * logit + intercept + the sum of weight * other logit.
    """

    def __init__(self, codes: Sequence[str], decisions: Mapping[str, Decision]) -> None:
        ordered = [decisions[code] for code in codes]
        self._slopes = np.array([decision.slope for decision in ordered])
        self._intercepts = np.array([decision.intercept for decision in ordered])
        self._others = np.array([[decision.others.get(code, 0.0) for code in codes] for decision in ordered])

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrate logits (records, statements) in the order of the codes."""
        margins = self._slopes * logits + self._intercepts
        if self._others.any():
            # einsum sums a record in one order, whatever comes beside it; matrix products of BLAS need not.
            margins += np.einsum("rk,jk->rj", logits, self._others)
        calibrated: NDArray[np.float64] = expit(margins)
        return calibrated

"""Calibration and thresholds, fitted on the validation folds."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from fhir_ecg.classifier.training.metrics import sample_f1
from fhir_ecg.classifier.weights import Decision

# As scikit-learn's C=1: with few positives the fit stays near the network's own probabilities.
_PENALTY = 1.0

# Below so many positives a threshold of its own overfits; it is drawn to the common one.
_FULL_WEIGHT_POSITIVES = 50
_GRID = np.linspace(0.05, 0.95, 91)


def fit_platt(labels: NDArray[np.floating], logits: NDArray[np.floating]) -> tuple[float, float]:
    """Fit slope and intercept of one statement's logit by penalised likelihood (Platt 1999).

    The penalty draws the slope to 1 and the intercept to 0, where a statement has little evidence.
    """

    def loss(point: NDArray[np.float64]) -> float:
        margin = np.exp(point[0]) * logits + point[1]
        likelihood = np.sum(np.logaddexp(0, margin) - labels * margin)
        return float(likelihood + _PENALTY / 2 * (point @ point))

    log_slope, intercept = minimize(loss, np.zeros(2), method="L-BFGS-B").x
    return float(np.exp(log_slope)), float(intercept)


def fit_decisions(
    codes: tuple[str, ...], labels: NDArray[np.floating], logits: NDArray[np.floating]
) -> dict[str, Decision]:
    """Fit every statement's calibration and threshold from (records, statements)."""
    fits = [fit_platt(labels[:, j], logits[:, j]) for j in range(len(codes))]
    slopes, intercepts = np.array(fits).T
    probabilities = expit(slopes * logits + intercepts)
    common = max(_GRID.tolist(), key=lambda threshold: sample_f1(labels, probabilities >= threshold))
    return {
        code: Decision(
            slope=slopes[j],
            intercept=intercepts[j],
            threshold=_threshold(labels[:, j], probabilities[:, j], common),
        )
        for j, code in enumerate(codes)
    }


def _threshold(labels: NDArray[np.floating], probabilities: NDArray[np.floating], common: float) -> float:
    """Find the F1-optimal threshold, shrunk to the common one where positives are few."""
    positives = labels.sum()
    weight = min(1.0, positives / _FULL_WEIGHT_POSITIVES)
    if weight == 0:
        return common
    asserted = probabilities[:, None] >= _GRID
    hits = (asserted & (labels[:, None] > 0)).sum(axis=0)
    best = float(_GRID[np.argmax(2 * hits / (asserted.sum(axis=0) + positives))])
    return round(float(weight * best + (1 - weight) * common), 4)

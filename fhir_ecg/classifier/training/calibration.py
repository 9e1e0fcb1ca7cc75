"""Calibration and thresholds, fitted on the validation folds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from fhir_ecg.classifier.training.metrics import sample_f1
from fhir_ecg.classifier.weights import Decision

# As scikit-learn's C=1: with few positives the fit stays near the network's own probabilities.
_PENALTY = 1.0

# Below so many positives a threshold of its own overfits; it is drawn to the common one.
_FULL_WEIGHT_POSITIVES = 50
# With fewer, neither its presence nor its absence can be vouched for.
FEWEST_POSITIVES = 5
# A statement is ruled out where it would have been missed in at most this share of those who had it.
_MISSED = 0.05
# Without positives, that is taken to be so many log-odds below the threshold.
_MARGIN = 2.5
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
    decisions = {}
    for j, code in enumerate(codes):
        threshold = _threshold(labels[:, j], probabilities[:, j], common)
        positives = int(labels[:, j].sum())
        decisions[code] = Decision(
            slope=slopes[j],
            intercept=intercepts[j],
            threshold=threshold,
            ruled_out_below=_ruled_out_below(labels[:, j], probabilities[:, j], threshold),
            evidence=positives,
            assertable=positives >= FEWEST_POSITIVES,
        )
    return decisions


@dataclass(frozen=True)
class CrossFitted:
    """What calibration and thresholds give on records that they were not fitted on; (records, statements) each."""

    probabilities: NDArray[np.float64]
    asserted: NDArray[np.bool_]


def cross_fit(
    codes: tuple[str, ...], labels: NDArray[np.floating], logits: NDArray[np.floating], parts: int = 5, seed: int = 1
) -> CrossFitted:
    """Fit on all parts but one and apply to that one, for each; the parts are drawn at random, by record."""
    place = np.random.default_rng(seed).permutation(len(labels)) % parts
    probabilities = np.empty(labels.shape)
    asserted = np.empty(labels.shape, bool)
    for part in range(parts):
        held = place == part
        decisions = fit_decisions(codes, labels[~held], logits[~held])
        for j, code in enumerate(codes):
            decision = decisions[code]
            probabilities[held, j] = expit(decision.slope * logits[held, j] + decision.intercept)
            asserted[held, j] = (probabilities[held, j] >= decision.threshold) & decision.assertable
    return CrossFitted(probabilities, asserted)


def _ruled_out_below(labels: NDArray[np.floating], probabilities: NDArray[np.floating], threshold: float) -> float:
    """Find the probability below which few of the positives lie; with few positives, a margin below the threshold."""
    found = probabilities[labels > 0]
    weight = min(1.0, len(found) / _FULL_WEIGHT_POSITIVES)
    lowest = float(logit(np.clip(np.quantile(found, _MISSED), 1e-6, 1 - 1e-6))) if len(found) else 0.0
    bounded = weight * lowest + (1 - weight) * (float(logit(threshold)) - _MARGIN)
    return round(min(float(expit(bounded)), threshold), 6)


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

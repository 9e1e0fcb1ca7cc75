"""Calibration and thresholds, fitted on the validation folds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from fhir_ecg.classifier.calibration import Calibration
from fhir_ecg.classifier.training.metrics import sample_f1
from fhir_ecg.classifier.weights import Decision

# As scikit-learn's C=1: with few positives the fit stays near the network's own probabilities.
_PENALTY = 1.0

# Others' logits are that much harder to be swayed by; chosen by cross-fitting (docs/decisions/0016).
_OTHERS_PENALTY = 300.0
# Statements with fewer positives say nothing of others.
_FEWEST_TO_SAY = 20
_WEIGHT_DIGITS = 6

# Below so many positives a threshold of its own overfits; it is drawn to the common one.
_FULL_WEIGHT_POSITIVES = 50
# With fewer, neither its presence nor its absence can be vouched for.
FEWEST_POSITIVES = 5
# A statement is ruled out where it would have been missed in at most this share of those who had it.
_MISSED = 0.05
# Without positives, that is taken to be so many log-odds below the threshold.
_MARGIN = 2.5
_GRID = np.linspace(0.05, 0.95, 91)


@dataclass(frozen=True)
class Scaling:
    """How one statement's log-odds follow from its logit and from others'."""

    slope: float
    intercept: float
    weights: NDArray[np.float64]
    """(others,)"""


def fit_scaling(labels: NDArray[np.floating], logits: NDArray[np.floating], others: NDArray[np.floating]) -> Scaling:
    """Fit one statement's calibration by penalised likelihood: Platt (1999), with other logits beside its own.

    That is matrix scaling (Guo 2017), whose off-diagonal weights are held small (Kull 2019). The penalty draws the
    slope to 1, and the intercept and the weights to 0, where a statement has little evidence.

    Args:
        labels: (records,)
        logits: (records,)
        others: (records, others); logits of other statements.
    """
    mean, deviation = others.mean(axis=0), others.std(axis=0)
    deviation[deviation == 0] = np.inf  # what never changes says nothing
    standard = (others - mean) / deviation
    penalties = np.concatenate([[_PENALTY, _PENALTY], np.full(others.shape[1], _OTHERS_PENALTY)])

    def loss(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        own = np.exp(point[0]) * logits
        margin = own + point[1] + standard @ point[2:]
        likelihood = np.sum(np.logaddexp(0, margin) - labels * margin)
        excess = expit(margin) - labels
        gradient = np.concatenate([[excess @ own, excess.sum()], standard.T @ excess])
        return float(likelihood + penalties @ point**2 / 2), gradient + penalties * point

    log_slope, intercept, *scaled = minimize(loss, np.zeros(len(penalties)), jac=True, method="L-BFGS-B").x
    weights = np.round(np.array(scaled) / deviation, _WEIGHT_DIGITS)
    return Scaling(float(np.exp(log_slope)), float(intercept - weights @ mean), weights)


def fit_decisions(
    codes: tuple[str, ...], labels: NDArray[np.floating], logits: NDArray[np.floating]
) -> dict[str, Decision]:
    """Fit every statement's calibration and threshold from (records, statements)."""
    scaled = _scaled(codes, labels, logits)
    probabilities = Calibration(codes, scaled).probabilities(logits)
    common = max(_GRID.tolist(), key=lambda threshold: sample_f1(labels, probabilities >= threshold))
    decisions = {}
    for j, code in enumerate(codes):
        threshold = _threshold(labels[:, j], probabilities[:, j], common)
        positives = int(labels[:, j].sum())
        ruled_out_below = _ruled_out_below(labels[:, j], probabilities[:, j], threshold)
        decisions[code] = scaled[code].model_copy(
            update={
                "threshold": threshold,
                "ruled_out_below": ruled_out_below,
                "evidence": positives,
                "assertable": positives >= FEWEST_POSITIVES,
            }
        )
    return decisions


def _scaled(codes: tuple[str, ...], labels: NDArray[np.floating], logits: NDArray[np.floating]) -> dict[str, Decision]:
    saying = labels.sum(axis=0) >= _FEWEST_TO_SAY
    scaled = {}
    for j, code in enumerate(codes):
        others = [k for k in np.flatnonzero(saying) if k != j]
        fit = fit_scaling(labels[:, j], logits[:, j], logits[:, others])
        weights = {codes[k]: weight for k, weight in zip(others, fit.weights.tolist(), strict=True) if weight}
        scaled[code] = Decision(slope=fit.slope, intercept=fit.intercept, others=weights)
    return scaled


@dataclass(frozen=True)
class CrossFitted:
    """What calibration and thresholds give on records that they were not fitted on; (records, statements) each."""

    probabilities: NDArray[np.float64]
    asserted: NDArray[np.bool_]
    parts: NDArray[np.int64]
    """(records,): which part a record is of; probabilities of different parts come from different fits."""


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
        probabilities[held] = Calibration(codes, decisions).probabilities(logits[held])
        thresholds, assertable = (
            np.array([getattr(decisions[c], n) for c in codes]) for n in ("threshold", "assertable")
        )
        asserted[held] = (probabilities[held] >= thresholds) & assertable
    return CrossFitted(probabilities, asserted, place)


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

"""Figures of merit over the statements: labels and probabilities are (records, statements)."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

REFERENCE_THRESHOLDS = tuple(t / 10 for t in range(1, 9))


def area_under_curve(labels: NDArray[np.floating], scores: NDArray[np.floating]) -> float:
    """Compute the ROC AUC of one statement by ranks (Mann-Whitney, ties count half); nan for one class."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    ranks = rankdata(scores)
    wins = ranks[labels > 0].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def macro_auc(labels: NDArray[np.floating], scores: NDArray[np.floating]) -> float:
    """Average the AUC over the statements that have both classes."""
    aucs = [area_under_curve(labels[:, j], scores[:, j]) for j in range(labels.shape[1])]
    return float(np.nanmean(aucs))


def sample_f1(labels: NDArray[np.floating], asserted: NDArray[np.bool_]) -> float:
    """Average over records of the F1 between asserted and true statements; 0 where both are empty."""
    true_positives = ((labels > 0) & asserted).sum(axis=1)
    total = (labels > 0).sum(axis=1) + asserted.sum(axis=1)
    return float(np.mean(2 * true_positives / np.maximum(total, 1)))


def reference_f_max(labels: NDArray[np.floating], probabilities: NDArray[np.floating]) -> float:
    """Compute the published model's F-max: the best sample F1 over the thresholds 0.1, 0.2 .. 0.8."""
    return max(sample_f1(labels, probabilities > t) for t in REFERENCE_THRESHOLDS)

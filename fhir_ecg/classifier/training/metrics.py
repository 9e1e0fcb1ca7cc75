"""Figures of merit over the statements: labels, scores and probabilities are (records, statements)."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

REFERENCE_THRESHOLDS = tuple(t / 10 for t in range(1, 9))
CALIBRATION_BINS = 15

_CAFA_THRESHOLDS = np.linspace(0, 1, 101)


def areas_under_curve(
    labels: NDArray[np.floating], scores: NDArray[np.floating], parts: NDArray[np.integer] | None = None
) -> NDArray[np.float64]:
    """Compute each statement's ROC AUC by ranks (Mann-Whitney, ties count half): (statements,); nan for one class.

    Where parts (records,) are given, only records of one part are compared: scores of different parts were fitted
    differently.
    """
    wins, pairs = np.zeros(labels.shape[1]), np.zeros(labels.shape[1])
    for within in parts_of(parts, len(labels)):
        true = labels[within] > 0
        positives = true.sum(axis=0)
        pairs += positives * (len(true) - positives)
        wins += np.where(true, rankdata(scores[within], axis=0), 0).sum(axis=0) - positives * (positives + 1) / 2
    result: NDArray[np.float64] = np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
    return result


def parts_of(parts: NDArray[np.integer] | None, records: int) -> list[NDArray[np.bool_]]:
    """Say of each part which records are of it, or that all are of one."""
    return [np.ones(records, bool)] if parts is None else [parts == part for part in np.unique(parts)]


def mean_of_known(areas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average (..., statements) over the statements that are not nan; nan where all are."""
    known = ~np.isnan(areas)
    counts = known.sum(axis=-1)
    totals = np.where(known, areas, 0).sum(axis=-1)
    result: NDArray[np.float64] = np.divide(totals, counts, out=np.full(totals.shape, np.nan), where=counts > 0)
    return result


def macro_auc(
    labels: NDArray[np.floating], scores: NDArray[np.floating], parts: NDArray[np.integer] | None = None
) -> float:
    """Average the AUC, within parts if there are, over the statements that have both classes."""
    return float(mean_of_known(areas_under_curve(labels, scores, parts)))


def sample_f1(labels: NDArray[np.floating], asserted: NDArray[np.bool_]) -> float:
    """Average over records of the F1 between asserted and true statements; 0 where both are empty."""
    true_positives = ((labels > 0) & asserted).sum(axis=1)
    total = (labels > 0).sum(axis=1) + asserted.sum(axis=1)
    return float(np.mean(2 * true_positives / np.maximum(total, 1)))


def reference_f_max(labels: NDArray[np.floating], probabilities: NDArray[np.floating]) -> float:
    """Compute the published model's F-max: the best sample F1 over the thresholds 0.1, 0.2 .. 0.8."""
    return max(sample_f1(labels, probabilities > t) for t in REFERENCE_THRESHOLDS)


def cafa_f_max(labels: NDArray[np.floating], probabilities: NDArray[np.floating]) -> float:
    """Compute the F-max of the PTB-XL benchmark, which is that of CAFA: the best F1 of mean precision and mean recall.

    At each threshold 0, 0.01 .. 1, precision is averaged over the records for which anything reaches it, recall over
    all records that have a label.

    Source: Strodthoff et al., arXiv 2004.13701, after Radivojac et al., Nat Methods 2013;10:221-227
    (https://www.nature.com/articles/nmeth.2340); grid and ties as in `eval_scores` of `eval_utils_cafa.py`, in
    https://github.com/tmehari/ecg-selfsupervised.
    """
    labelled = (labels > 0).any(axis=1)
    true, scores = labels[labelled] > 0, probabilities[labelled]
    best = 0.0
    for threshold in _CAFA_THRESHOLDS:
        asserted = scores >= threshold
        counts = asserted.sum(axis=1)
        hits = (true & asserted).sum(axis=1)
        if not hits.any():
            break
        precision = np.mean(hits[counts > 0] / counts[counts > 0])
        recall = np.mean(hits / true.sum(axis=1))
        best = max(best, float(2 * precision * recall / (precision + recall)))
    return best


def calibration_error(labels: NDArray[np.floating], probabilities: NDArray[np.floating]) -> float:
    """Compute the expected calibration error of answers (n,) over bins of equal width (Naeini 2015)."""
    places = bin_places(probabilities, CALIBRATION_BINS)
    difference = np.bincount(places, weights=probabilities - labels, minlength=CALIBRATION_BINS)
    return float(np.abs(difference).sum() / max(len(labels), 1))


def bin_places(probabilities: NDArray[np.floating], bins: int) -> NDArray[np.int64]:
    """Say in which of so many bins of equal width each probability lies."""
    return np.minimum((probabilities * bins).astype(np.int64), bins - 1)


def negative_log_likelihood(labels: NDArray[np.floating], probabilities: NDArray[np.floating]) -> float:
    """Average the binary cross-entropy over records and statements, in nats."""
    bounded = np.clip(probabilities.astype(np.float64), 1e-12, 1 - 1e-12)
    return float(-np.mean(labels * np.log(bounded) + (1 - labels) * np.log1p(-bounded)))

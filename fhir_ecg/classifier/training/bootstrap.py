"""How far chance moves an AUC: records are drawn again, with replacement.

A draw is how often each record came up, so that scores are sorted once and not for each draw. Labels and scores are
(records, statements).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.classifier.training.metrics import macro_auc, mean_of_known, parts_of

DRAWS = 1000
SEED = 1
_PERCENTILES = (2.5, 97.5)

Interval = tuple[float, float]


@dataclass(frozen=True)
class AreaIntervals:
    """95 % intervals of AUCs; nan where no draw had both classes."""

    macro: Interval
    statements: list[Interval]


@dataclass(frozen=True)
class PairedDifference:
    """By how much one model's macro AUC exceeds another's on the same records."""

    difference: float
    interval: Interval
    """Of 95 %."""
    share_above_0: float
    """Share of the draws in which the one was better."""


def area_intervals(
    labels: NDArray[np.floating],
    scores: NDArray[np.floating],
    parts: NDArray[np.integer] | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> AreaIntervals:
    """Find the percentile intervals; a statement that lost a class in a draw is left out of that draw's mean.

    Where parts (records,) are given, AUCs are those within parts.
    """
    areas = _drawn_areas(labels, scores, _draw(len(labels), draws, seed), parts)
    return AreaIntervals(_interval(mean_of_known(areas)), [_interval(column) for column in areas.T])


def paired_difference(
    labels: NDArray[np.floating],
    one: NDArray[np.floating],
    other: NDArray[np.floating],
    parts: NDArray[np.integer] | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> PairedDifference:
    """Compare two models' scores of the same records, within parts if there are: both on the same draws."""
    times = _draw(len(labels), draws, seed)
    drawn_one, drawn_other = (mean_of_known(_drawn_areas(labels, scores, times, parts)) for scores in (one, other))
    differences = drawn_one - drawn_other
    return PairedDifference(
        macro_auc(labels, one, parts) - macro_auc(labels, other, parts),
        _interval(differences),
        float(np.mean(differences > 0)),
    )


def _draw(records: int, draws: int, seed: int) -> NDArray[np.float64]:
    """Draw how often each record comes up: (records, draws)."""
    times = np.random.default_rng(seed).multinomial(records, np.full(records, 1 / records), size=draws)
    return np.ascontiguousarray(times.T, np.float64)


def _drawn_areas(
    labels: NDArray[np.floating],
    scores: NDArray[np.floating],
    times: NDArray[np.float64],
    parts: NDArray[np.integer] | None,
) -> NDArray[np.float64]:
    """Compute the AUC of each draw and statement: (draws, statements)."""
    wins, pairs = np.zeros((2, times.shape[1], labels.shape[1]))
    for within in parts_of(parts, len(labels)):
        drawn = times[within]
        for j, (true, column) in enumerate(zip(labels[within].T > 0, scores[within].T, strict=True)):
            counted = _wins_and_pairs(true, column, drawn)
            wins[:, j] += counted[0]
            pairs[:, j] += counted[1]
    result: NDArray[np.float64] = np.divide(wins, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)
    return result


def _wins_and_pairs(
    true: NDArray[np.bool_], scores: NDArray[np.floating], times: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    negatives = np.sort(scores[~true])
    beaten = np.zeros((len(negatives) + 1, times.shape[1]))
    np.cumsum(times[~true][np.argsort(scores[~true])], axis=0, out=beaten[1:])
    below, not_above = (np.searchsorted(negatives, scores[true], side) for side in ("left", "right"))
    drawn = times[true]
    wins = np.einsum("rd,rd->d", drawn, (beaten[below] + beaten[not_above]) / 2)
    return wins, drawn.sum(axis=0) * beaten[-1]


def _interval(values: NDArray[np.float64]) -> Interval:
    known = values[~np.isnan(values)]
    if not known.size:
        return (float("nan"), float("nan"))
    low, high = np.percentile(known, _PERCENTILES)
    return (float(low), float(high))

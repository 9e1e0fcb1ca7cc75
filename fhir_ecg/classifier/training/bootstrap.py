"""How far chance moves an AUC: records are drawn again, with replacement.

A draw is how often each record came up, so that scores are sorted once and not for each draw. Labels and scores are
(records, statements).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.classifier.training.metrics import macro_auc, mean_of_known

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
    labels: NDArray[np.floating], scores: NDArray[np.floating], draws: int = DRAWS, seed: int = SEED
) -> AreaIntervals:
    """Find the percentile intervals; a statement that lost a class in a draw is left out of that draw's mean."""
    areas = _drawn_areas(labels, scores, _draw(len(labels), draws, seed))
    return AreaIntervals(_interval(mean_of_known(areas)), [_interval(column) for column in areas.T])


def paired_difference(
    labels: NDArray[np.floating],
    one: NDArray[np.floating],
    other: NDArray[np.floating],
    draws: int = DRAWS,
    seed: int = SEED,
) -> PairedDifference:
    """Compare two models' scores of the same records: both are measured on the same draws."""
    times = _draw(len(labels), draws, seed)
    drawn_one, drawn_other = (mean_of_known(_drawn_areas(labels, scores, times)) for scores in (one, other))
    differences = drawn_one - drawn_other
    return PairedDifference(
        macro_auc(labels, one) - macro_auc(labels, other), _interval(differences), float(np.mean(differences > 0))
    )


def _draw(records: int, draws: int, seed: int) -> NDArray[np.float64]:
    """Draw how often each record comes up: (records, draws)."""
    times = np.random.default_rng(seed).multinomial(records, np.full(records, 1 / records), size=draws)
    return np.ascontiguousarray(times.T, np.float64)


def _drawn_areas(
    labels: NDArray[np.floating], scores: NDArray[np.floating], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the AUC of each draw and statement: (draws, statements)."""
    columns = zip(labels.T > 0, scores.T, strict=True)
    return np.stack([_areas_of_statement(true, column, times) for true, column in columns], axis=1)


def _areas_of_statement(
    true: NDArray[np.bool_], scores: NDArray[np.floating], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    negatives = np.sort(scores[~true])
    beaten = np.zeros((len(negatives) + 1, times.shape[1]))
    np.cumsum(times[~true][np.argsort(scores[~true])], axis=0, out=beaten[1:])
    below, not_above = (np.searchsorted(negatives, scores[true], side) for side in ("left", "right"))
    drawn = times[true]
    wins = np.einsum("rd,rd->d", drawn, (beaten[below] + beaten[not_above]) / 2)
    pairs = drawn.sum(axis=0) * beaten[-1]
    result: NDArray[np.float64] = np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
    return result


def _interval(values: NDArray[np.float64]) -> Interval:
    known = values[~np.isnan(values)]
    if not known.size:
        return (float("nan"), float("nan"))
    low, high = np.percentile(known, _PERCENTILES)
    return (float(low), float(high))

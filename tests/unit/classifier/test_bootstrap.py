"""The bootstrap against records that are really drawn again, and its intervals against known truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_ecg.classifier.training.bootstrap import _draw, _drawn_areas, area_intervals, paired_difference
from fhir_ecg.classifier.training.metrics import areas_under_curve


def normal_scores(
    generator: np.random.Generator, records: int, statements: int, separation: float
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores whose true AUC follows from the separation of two normal distributions."""
    labels = (generator.uniform(size=(records, statements)) < 0.3).astype(float)
    return labels, generator.normal(size=labels.shape) + separation * labels


@given(st.integers(1, 30), st.integers(0, 10_000), st.booleans())
def test_a_draw_is_the_area_of_the_records_that_it_drew(records: int, seed: int, split: bool) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, (records, 3)).astype(float)
    scores = generator.integers(0, 5, (records, 3)) / 4
    times = _draw(records, 4, seed)

    parts = np.arange(records) % 2 if split else None
    areas = _drawn_areas(labels, scores, times, parts)

    assert times.sum(axis=0).tolist() == [records] * 4
    for drawn, expected in zip(areas, times.T.astype(int), strict=True):
        chosen = np.repeat(np.arange(records), expected)
        wanted = areas_under_curve(labels[chosen], scores[chosen], None if parts is None else parts[chosen])
        np.testing.assert_allclose(drawn, wanted)


def test_intervals_hold_the_truth_about_as_often_as_they_claim() -> None:
    truth = 0.7602499  # of two normal distributions one standard deviation apart: the normal CDF of 1 / sqrt(2)
    held = 0
    for trial in range(200):
        labels, scores = normal_scores(np.random.default_rng(trial), 300, 1, 1.0)
        low, high = area_intervals(labels, scores, draws=200).macro
        held += low <= truth <= high

    assert 0.90 <= held / 200 <= 0.985


def test_a_statement_without_positives_has_no_interval_and_spoils_no_mean() -> None:
    labels, scores = normal_scores(np.random.default_rng(1), 200, 2, 1.0)
    labels[:, 1] = 0

    intervals = area_intervals(labels, scores, draws=100)

    assert np.isnan(intervals.statements[1]).all()
    assert intervals.macro == pytest.approx(intervals.statements[0])


def test_the_same_seed_gives_the_same_interval() -> None:
    labels, scores = normal_scores(np.random.default_rng(2), 100, 2, 0.5)

    assert area_intervals(labels, scores, draws=50) == area_intervals(labels, scores, draws=50)
    assert area_intervals(labels, scores, draws=50) != area_intervals(labels, scores, draws=50, seed=2)


def test_a_better_model_is_told_from_noise() -> None:
    generator = np.random.default_rng(3)
    labels, scores = normal_scores(generator, 1000, 5, 1.5)
    worse = scores + generator.normal(0, 1, scores.shape)

    compared = paired_difference(labels, scores, worse)

    assert compared.difference > 0.05
    assert 0 < compared.interval[0] < compared.difference < compared.interval[1]
    assert compared.share_above_0 == 1


def test_a_paired_interval_is_narrower_than_two_single_ones() -> None:
    generator = np.random.default_rng(4)
    labels, scores = normal_scores(generator, 500, 3, 1.0)
    alike = scores + generator.normal(0, 0.1, scores.shape)

    compared = paired_difference(labels, scores, alike)
    low, high = area_intervals(labels, scores).macro

    assert compared.interval[1] - compared.interval[0] < (high - low) / 3
    assert 0 < compared.share_above_0 < 1


def test_a_model_does_not_differ_from_itself() -> None:
    labels, scores = normal_scores(np.random.default_rng(5), 100, 2, 1.0)

    compared = paired_difference(labels, scores, scores)

    assert (compared.difference, compared.interval, compared.share_above_0) == (0, (0, 0), 0)

"""Figures of merit against small cases worked by hand, and against published predictions."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from locations import REPOSITORY

from fhir_ecg.classifier.training.metrics import (
    areas_under_curve,
    cafa_f_max,
    calibration_error,
    macro_auc,
    negative_log_likelihood,
    reference_f_max,
    sample_f1,
)


@st.composite
def labels_and_probabilities(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Small arrays; few different probabilities, so that many are tied."""
    records, statements = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    cells = records * statements
    labels = draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=cells, max_size=cells))
    steps = draw(st.lists(st.integers(0, 8), min_size=cells, max_size=cells))
    return np.reshape(labels, (records, statements)), np.reshape(steps, (records, statements)) / 8


@pytest.mark.parametrize(
    ("labels", "scores", "area"),
    [
        ([0, 0, 1, 1], [1, 2, 3, 4], 1.0),
        ([1, 1, 0, 0], [1, 2, 3, 4], 0.0),
        ([0, 1, 0, 1], [1, 1, 1, 1], 0.5),
        ([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.75),
        ([0, 1, 1], [0.5, 0.5, 0.9], 0.75),
    ],
)
def test_area_under_curve(labels: list[int], scores: list[float], area: float) -> None:
    assert areas_under_curve(np.array([labels], float).T, np.array([scores]).T) == pytest.approx(area)


def test_statements_of_one_class_are_left_out_of_the_macro_average() -> None:
    labels = np.array([[0, 1.0], [1, 1.0]])

    scores = np.array([[0.1, 0.5], [0.9, 0.5]])

    assert np.isnan(areas_under_curve(labels, scores)).tolist() == [False, True]
    assert macro_auc(labels, scores) == 1.0


def test_without_any_statement_of_both_classes_there_is_no_macro_average() -> None:
    assert np.isnan(macro_auc(np.ones((3, 2)), np.zeros((3, 2))))


@given(labels_and_probabilities())
def test_areas_count_the_pairs_that_are_ordered_right(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = arrays
    for truth, column, area in zip(labels.T, scores.T, areas_under_curve(labels, scores), strict=True):
        wins = [
            1.0 if with_it > without else 0.5 if with_it == without else 0.0
            for with_it in column[truth > 0]
            for without in column[truth == 0]
        ]
        assert area == pytest.approx(np.mean(wins)) if wins else np.isnan(area)


@given(labels_and_probabilities(), st.lists(st.integers(0, 2), min_size=6, max_size=6))
def test_within_parts_only_their_own_pairs_are_counted(arrays: tuple[np.ndarray, np.ndarray], drawn: list[int]) -> None:
    labels, scores = arrays
    parts = np.array(drawn[: len(labels)])
    found = areas_under_curve(labels, scores, parts)
    for truth, column, area in zip(labels.T, scores.T, found, strict=True):
        wins = [
            1.0 if column[i] > column[j] else 0.5 if column[i] == column[j] else 0.0
            for i in np.flatnonzero(truth > 0)
            for j in np.flatnonzero(truth == 0)
            if parts[i] == parts[j]
        ]
        assert area == pytest.approx(np.mean(wins)) if wins else np.isnan(area)


def test_sample_f1_averages_over_records() -> None:
    labels = np.array([[1, 1, 0], [0, 0, 1.0], [0, 0, 0]])
    asserted = np.array([[True, False, False], [False, False, True], [False, False, False]])

    assert sample_f1(labels, asserted) == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_reference_f_max_takes_the_best_threshold() -> None:
    labels = np.array([[1, 0.0], [0, 1.0]])

    assert reference_f_max(labels, np.array([[0.35, 0.25], [0.2, 0.31]])) == pytest.approx(1.0)


def test_cafa_f_max_averages_precision_over_records_with_an_answer_alone() -> None:
    labels = np.array([[1, 1.0], [1, 0]])
    probabilities = np.array([[0.9, 0.1], [0.2, 0.1]])

    # From 0.21 to 0.9 only the first record is answered: precision 1, recall (1/2 + 0) / 2. From 0.11 to 0.2 both
    # are: precision 1, recall (1/2 + 1) / 2. Up to 0.1 all is asserted: precision (1 + 1/2) / 2, recall 1.
    assert cafa_f_max(labels, probabilities) == pytest.approx(2 * 0.75 / 1.75)
    assert reference_f_max(labels, probabilities) == pytest.approx((2 / 3 + 1) / 2)


@given(labels_and_probabilities())
def test_cafa_f_max_is_the_best_over_the_thresholds(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = arrays
    best = 0.0
    for threshold in [step / 100 for step in range(101)]:
        precisions, recalls = [], []
        for truth, row in zip(labels, probabilities, strict=True):
            true = set(np.flatnonzero(truth))
            asserted = set(np.flatnonzero(row >= threshold))
            if true:
                recalls.append(len(true & asserted) / len(true))
            if true and asserted:
                precisions.append(len(true & asserted) / len(asserted))
        if sum(recalls):
            precision, recall = np.mean(precisions), np.mean(recalls)
            best = max(best, float(2 * precision * recall / (precision + recall)))
    assert cafa_f_max(labels, probabilities) == pytest.approx(best)


def test_negative_log_likelihood_of_certain_mistakes_is_large_and_finite() -> None:
    assert negative_log_likelihood(np.array([[1.0, 0]]), np.array([[0.5, 0.5]])) == pytest.approx(np.log(2))
    assert 20 < negative_log_likelihood(np.array([[1.0, 0]]), np.array([[0.0, 1.0]], np.float32)) < 30


def test_calibration_error_of_honest_and_of_boastful_probabilities() -> None:
    generator = np.random.default_rng(1)
    truth = generator.uniform(size=200_000)
    labels = (generator.uniform(size=truth.size) < truth).astype(float)

    assert calibration_error(labels, truth) < 0.01
    assert calibration_error(labels, np.where(truth > 0.5, 0.99, 0.01)) > 0.2


@pytest.mark.ptbxl
def test_published_predictions_are_measured_as_published() -> None:
    oracle = REPOSITORY.parent / "shared" / "oracle" / "xresnet1d101.npz"
    if not Path(oracle).is_file():
        pytest.skip(f"the published predictions are not at {oracle}")
    arrays = np.load(oracle)

    assert round(macro_auc(arrays["y_val"], arrays["p_val"]), 5) == 0.92808
    assert round(macro_auc(arrays["y_test"], arrays["p_test"]), 5) == 0.92544
    assert round(cafa_f_max(arrays["y_test"], arrays["p_test"]), 4) == 0.7641  # with thresholds and ties as it has them
    assert round(reference_f_max(arrays["y_test"], arrays["p_test"]), 4) == 0.7428

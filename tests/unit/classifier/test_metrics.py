"""Figures of merit against small cases worked by hand, and against published predictions."""

from pathlib import Path

import numpy as np
import pytest
from locations import REPOSITORY

from fhir_ecg.classifier.training.evaluation import calibration_error
from fhir_ecg.classifier.training.metrics import area_under_curve, macro_auc, reference_f_max, sample_f1


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
    assert area_under_curve(np.array(labels, float), np.array(scores)) == pytest.approx(area)


def test_statements_of_one_class_are_left_out_of_the_macro_average() -> None:
    labels = np.array([[0, 1.0], [1, 1.0]])

    assert np.isnan(area_under_curve(labels[:, 1], np.array([0.1, 0.2])))
    assert macro_auc(labels, np.array([[0.1, 0.5], [0.9, 0.5]])) == 1.0


def test_sample_f1_averages_over_records() -> None:
    labels = np.array([[1, 1, 0], [0, 0, 1.0], [0, 0, 0]])
    asserted = np.array([[True, False, False], [False, False, True], [False, False, False]])

    assert sample_f1(labels, asserted) == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_reference_f_max_takes_the_best_threshold() -> None:
    labels = np.array([[1, 0.0], [0, 1.0]])

    assert reference_f_max(labels, np.array([[0.35, 0.25], [0.2, 0.31]])) == pytest.approx(1.0)


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
    assert round(reference_f_max(arrays["y_test"], arrays["p_test"]), 4) == 0.7428

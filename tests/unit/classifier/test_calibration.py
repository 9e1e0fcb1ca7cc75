"""Calibration and thresholds on made-up logits whose truth is known."""

import numpy as np
import pytest
from scipy.special import expit

from fhir_ecg.classifier.training.calibration import fit_decisions, fit_platt


def labels_for(probabilities: np.ndarray, seed: int = 1) -> np.ndarray:
    return (np.random.default_rng(seed).uniform(size=probabilities.shape) < probabilities).astype(float)


def test_overconfident_logits_are_drawn_back() -> None:
    truth = np.random.default_rng(2).normal(-1, 1.5, 20_000)

    slope, intercept = fit_platt(labels_for(expit(truth)), 2 * truth + 1)

    assert slope == pytest.approx(0.5, abs=0.03)
    assert intercept == pytest.approx(-0.5, abs=0.06)


def test_a_statement_without_positives_keeps_near_the_networks_own_probability() -> None:
    logits = np.random.default_rng(3).normal(-6, 1, 2000)

    slope, intercept = fit_platt(np.zeros(2000), logits)

    assert 0.3 < slope < 3
    assert -3 < intercept <= 0.1


def test_order_of_records_is_kept() -> None:
    logits = np.random.default_rng(4).normal(0, 2, (500, 2))
    labels = labels_for(expit(logits))

    decisions = fit_decisions(("SR", "AFIB"), labels, logits)

    assert all(decision.slope > 0 for decision in decisions.values())


def test_thresholds_of_rare_statements_stay_near_the_common_one() -> None:
    generator = np.random.default_rng(5)
    logits = generator.normal(-1, 2, (3000, 3))
    labels = labels_for(expit(logits))
    labels[:, 1:] = 0
    # One positive each, the most and the least probable: their own best thresholds would be far apart.
    labels[np.argmax(logits[:, 1]), 1] = 1
    labels[np.argmin(logits[:, 2]), 2] = 1

    decisions = fit_decisions(("SR", "AFIB", "AFLT"), labels, logits)

    assert abs(decisions["AFIB"].threshold - decisions["AFLT"].threshold) < 0.05

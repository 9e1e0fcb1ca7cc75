"""Calibration and thresholds on made-up logits whose truth is known."""

import numpy as np
import pytest
from scipy.special import expit

from fhir_ecg.classifier.calibration import Calibration
from fhir_ecg.classifier.training.calibration import Scaling, cross_fit, fit_decisions, fit_scaling


def labels_for(probabilities: np.ndarray, seed: int = 1) -> np.ndarray:
    return (np.random.default_rng(seed).uniform(size=probabilities.shape) < probabilities).astype(float)


def fit_platt(labels: np.ndarray, logits: np.ndarray) -> Scaling:
    return fit_scaling(labels, logits, np.zeros((len(logits), 0)))


def test_overconfident_logits_are_drawn_back() -> None:
    truth = np.random.default_rng(2).normal(-1, 1.5, 20_000)

    fit = fit_platt(labels_for(expit(truth)), 2 * truth + 1)

    assert fit.slope == pytest.approx(0.5, abs=0.03)
    assert fit.intercept == pytest.approx(-0.5, abs=0.06)


def test_a_statement_without_positives_keeps_near_the_networks_own_probability() -> None:
    logits = np.random.default_rng(3).normal(-6, 1, 2000)

    fit = fit_platt(np.zeros(2000), logits)

    assert 0.3 < fit.slope < 3
    assert -3 < fit.intercept <= 0.1


def test_what_another_statements_logit_says_is_learnt_and_what_says_nothing_is_not() -> None:
    generator = np.random.default_rng(6)
    own, other, noise = generator.normal(-1, 2, 20_000), generator.normal(5, 3, 20_000), generator.normal(0, 2, 20_000)
    labels = labels_for(expit(own - 0.4 * (other - 5)))

    fit = fit_scaling(labels, own, np.stack([other, noise, np.full(20_000, 7.0)], axis=1))

    assert fit.slope == pytest.approx(1, abs=0.05)
    assert fit.weights == pytest.approx([-0.37, 0, 0], abs=0.03)  # held back a little
    assert fit.weights[2] == 0
    assert fit.intercept == pytest.approx(-5 * fit.weights[0], abs=0.15)


def test_few_records_teach_little_of_other_statements() -> None:
    generator = np.random.default_rng(6)
    own, other = generator.normal(-1, 2, (2, 200))

    fit = fit_scaling(labels_for(expit(own + other)), own, other[:, np.newaxis])

    assert 0 < fit.weights[0] < 0.2


def test_a_statement_with_few_positives_says_nothing_of_others() -> None:
    generator = np.random.default_rng(8)
    logits = generator.normal(-1, 2, (2000, 3))
    labels = labels_for(expit(logits + 0.5 * logits[:, [1, 2, 0]]))
    rare = np.flatnonzero(labels[:, 2])[19:]
    labels[rare, 2] = 0

    decisions = fit_decisions(("SR", "AFIB", "AFLT"), labels, logits)

    assert {code: set(decision.others) for code, decision in decisions.items()} == {
        "SR": {"AFIB"},
        "AFIB": {"SR"},
        "AFLT": {"SR", "AFIB"},
    }
    calibrated = Calibration(tuple(decisions), decisions).probabilities(logits)
    for j, decision in enumerate(decisions.values()):
        margin = decision.slope * logits[:, j] + decision.intercept
        for code, weight in decision.others.items():
            margin = margin + weight * logits[:, list(decisions).index(code)]
        np.testing.assert_allclose(calibrated[:, j], expit(margin), rtol=1e-12)
    # Near the share of the records that have it, as the intercept is free.
    np.testing.assert_allclose(calibrated.mean(axis=0), labels.mean(axis=0), atol=0.005)


def test_a_record_is_calibrated_alone_as_among_others() -> None:
    generator = np.random.default_rng(9)
    logits = generator.normal(-1, 2, (300, 2)).astype(np.float32)
    calibration = Calibration(("SR", "AFIB"), fit_decisions(("SR", "AFIB"), labels_for(expit(logits)), logits))

    together = calibration.probabilities(logits)

    alone = np.concatenate([calibration.probabilities(row) for row in logits[:, np.newaxis]])
    assert (together == alone).all()


def test_a_record_s_own_label_does_not_move_its_cross_fitted_probability() -> None:
    generator = np.random.default_rng(10)
    logits = generator.normal(-1, 2, (200, 2))
    labels = labels_for(expit(logits))
    codes = ("SR", "AFIB")
    before = cross_fit(codes, labels, logits)
    held = before.parts == before.parts[0]
    labels[held] = 1 - labels[held]

    after = cross_fit(codes, labels, logits)

    np.testing.assert_array_equal(after.probabilities[held], before.probabilities[held])
    assert (after.probabilities[~held] != before.probabilities[~held]).any()


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

"""Which statements a Prediction asserts, and in what order."""

import pytest

from fhir_ecg.ecg.prediction import ModelIdentity, Prediction, StatementScore

MODEL = ModelIdentity("a model", "1", "0" * 64)


def prediction(*scores: tuple[str, float, float]) -> Prediction:
    """A Prediction of (code, probability, threshold)."""
    return Prediction(MODEL, tuple(StatementScore(code, 0.0, p, t) for code, p, t in scores), "1" * 64, "onnxruntime")


@pytest.mark.parametrize(
    ("probability", "threshold", "present"),
    [(0.5, 0.5, True), (0.4999, 0.5, False), (1.0, 0.0, True), (0.0, 0.1, False)],
)
def test_a_statement_is_present_from_its_threshold_on(probability: float, threshold: float, present: bool) -> None:
    assert StatementScore("SR", 0.0, probability, threshold).present is present


def test_findings_are_the_present_ones_most_probable_first() -> None:
    said = prediction(("AFIB", 0.30, 0.2), ("NORM", 0.90, 0.95), ("SR", 0.80, 0.5), ("STACH", 0.99, 0.5))
    assert [score.code for score in said.findings] == ["STACH", "SR", "AFIB"]
    assert [score.code for score in said.scores] == ["AFIB", "NORM", "SR", "STACH"]


def test_equal_probabilities_keep_the_order_of_the_model() -> None:
    said = prediction(("B", 0.7, 0.5), ("C", 0.9, 0.5), ("A", 0.7, 0.5))
    assert [score.code for score in said.findings] == ["C", "B", "A"]


def test_no_statement_may_be_present() -> None:
    assert prediction(("SR", 0.1, 0.5)).findings == []

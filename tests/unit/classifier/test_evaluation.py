"""Figures and answers of a model on made-up logits whose outcome is known."""

import numpy as np
import pytest
from scipy.special import logit

from fhir_ecg.classifier.training.answers import answers
from fhir_ecg.classifier.training.calibration import fit_decisions
from fhir_ecg.classifier.training.evaluation import measure, rounded, with_intervals
from fhir_ecg.classifier.training.metrics import areas_under_curve, macro_auc
from fhir_ecg.classifier.weights import Decision, Manifest
from fhir_ecg.ecg.contradictions import RULES
from fhir_ecg.ecg.statements import STATEMENT_CODES

CODES = ("SR", "NORM", "AFIB", "IMI", "WPW")
RECORDS = 200


def manifest(**decisions: Decision) -> Manifest:
    return Manifest(
        name="made-up",
        version="1",
        architecture="three-branch",
        preprocessing="band-pass, global scale",
        labels=CODES,
        decisions={code: decisions.get(code, Decision(ruled_out_below=0.2)) for code in CODES},
        training={},
        metrics={},
    )


def label_rows(*listed: set[str]) -> np.ndarray:
    """Labels in the order of all statements, as PTB-XL is read."""
    return np.array([[code in codes for code in STATEMENT_CODES] for codes in listed], np.float32)


def drawn(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    rows = [{code for code in CODES[:4] if generator.uniform() < 0.3} for _ in range(RECORDS)]
    ordered = np.array([[code in row for code in CODES] for row in rows])
    return label_rows(*rows), generator.normal(-1, 1, ordered.shape) + 2.0 * ordered


def test_labels_are_brought_into_the_models_order() -> None:
    labels, logits = drawn()

    measured = measure(manifest(), labels, logits, fitted_here=False)

    for j, code in enumerate(CODES):
        assert (measured.labels[:, j] == labels[:, STATEMENT_CODES.index(code)]).all()


def test_counts_of_a_statement_add_up_and_figures_follow_from_them() -> None:
    labels, logits = drawn()

    total, rows = with_intervals(measure(manifest(), labels, logits, fitted_here=False))

    assert [row["code"] for row in rows] == list(CODES)
    for row in rows[:4]:
        hits, misses = row["true_positives"], row["false_negatives"]
        assert hits + misses == row["positives"]
        assert hits + misses + row["false_positives"] + row["true_negatives"] == RECORDS
        assert row["sensitivity"] == round(hits / (hits + misses), 3)
        assert row["auc_interval"][0] <= row["auc"] <= row["auc_interval"][1]
    assert total["records"] == RECORDS
    assert total["statements_with_both_classes"] == 4
    assert total["macro_auc"] == pytest.approx(np.mean([row["auc"] for row in rows[:4]]), abs=0.001)
    assert total["macro_auc_interval"][0] < total["macro_auc"] < total["macro_auc_interval"][1]


def test_what_does_not_occur_has_no_figure() -> None:
    labels, logits = drawn()

    _, rows = with_intervals(measure(manifest(), labels, logits, fitted_here=False))

    absent = rows[CODES.index("WPW")]
    assert (absent["auc"], absent["auc_interval"], absent["sensitivity"]) == (None, [None, None], None)
    assert absent["specificity"] == 1.0


def test_few_positives_have_an_area_without_an_interval() -> None:
    labels, logits = drawn()
    labels[:4, STATEMENT_CODES.index("WPW")] = 1

    _, rows = with_intervals(measure(manifest(), labels, logits, fitted_here=False))

    absent = rows[CODES.index("WPW")]
    assert absent["auc"] is not None
    assert absent["auc_interval"] == [None, None]


def test_fitting_on_the_measured_records_is_told_from_cross_fitting() -> None:
    generator = np.random.default_rng(7)
    labels = (generator.uniform(size=(RECORDS, len(STATEMENT_CODES))) < 0.3).astype(np.float32)
    noise = generator.normal(size=(RECORDS, len(CODES)))

    total, _ = with_intervals(measure(manifest(), labels, noise, fitted_here=False))

    assert total["cross_fitted"]["negative_log_likelihood"] < total["negative_log_likelihood"]
    assert total["cross_fitted"]["pooled_calibration_error"] < total["pooled_calibration_error"]


def test_where_the_calibration_was_fitted_statements_are_ranked_by_what_did_not_know_their_labels() -> None:
    generator = np.random.default_rng(7)
    labels = (generator.uniform(size=(RECORDS, len(STATEMENT_CODES))) < 0.3).astype(np.float32)
    logits = generator.normal(size=(RECORDS, len(CODES)))
    ordered = labels[:, [STATEMENT_CODES.index(code) for code in CODES]]
    fitted = manifest(**fit_decisions(CODES, ordered, logits))

    here = measure(fitted, labels, logits, fitted_here=True)
    total, rows = with_intervals(here)

    parts = here.cross_fitted.parts
    assert sorted(np.bincount(parts)) == [RECORDS // 5] * 5
    assert [row["auc"] for row in rows] == [
        round(area, 3) for area in areas_under_curve(ordered, here.cross_fitted.probabilities, parts)
    ]
    assert total["cross_fitted"]["macro_auc"] == pytest.approx(np.mean([row["auc"] for row in rows]), abs=0.001)
    low, high = total["cross_fitted"]["macro_auc_interval"]
    assert low < total["cross_fitted"]["macro_auc"] < high
    assert total["macro_auc"] == round(macro_auc(ordered, here.probabilities), 5)
    # Of noise, only what was fitted on the same records makes anything.
    assert total["cross_fitted"]["macro_auc"] < total["macro_auc"]


def test_rules_and_limits_are_counted() -> None:
    never = manifest(WPW=Decision(ruled_out_below=0.2, assertable=False))
    # SR and AFIB exclude each other: the less sure one is withheld. NORM gives way to the infarction.
    probabilities = np.array([[0.9, 0.1, 0.8, 0.1, 0.1], [0.9, 0.9, 0.1, 0.6, 0.1], [0.9, 0.9, 0.3, 0.1, 0.9]])
    labels = label_rows({"AFIB"}, {"SR", "NORM"}, {"SR", "IMI"})

    counted = answers(measure(never, labels, logit(probabilities), fitted_here=False))

    assert counted["indeterminate_because"] == {
        "between_limits": round(1 / 15, 5),
        "too_little_evidence": 0.2,
        "rule": round(2 / 15, 5),
    }
    assert counted["indeterminate_share"] == 0.4
    assert list(counted["rules"]) == list(RULES)
    assert counted["rules"]["one-rhythm"] == {"records": 1, "withheld": 1, "withheld_though_listed": 1}
    assert counted["rules"]["normal-is-not-abnormal"] == {"records": 1, "withheld": 1, "withheld_though_listed": 1}
    assert counted["sample_f1_without_rules"] == round((2 / 3 + 4 / 5 + 1 / 2) / 3, 5)
    assert counted["sample_f1_with_rules"] == round((0 + 1 / 2 + 1 / 2) / 3, 5)
    assert counted["called_normal"] == {"records": 1, "not_listed_as_normal": 1, "with_infarction": 1}


def test_a_rounded_zero_has_no_sign() -> None:
    assert str(rounded(-0.000001, 5)) == "0.0"
    assert rounded(float("nan"), 5) is None

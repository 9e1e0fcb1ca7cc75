"""What the service would answer on labelled records: what stays indeterminate, and what the rules withhold."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fhir_ecg.classifier.training.evaluation import FIGURE_DIGITS, Measured
from fhir_ecg.classifier.training.metrics import sample_f1
from fhir_ecg.ecg.contradictions import RULES, apply_rules
from fhir_ecg.ecg.prediction import Answer, StatementScore
from fhir_ecg.ecg.statements import STATEMENT_BY_CODE

_INFARCTION = "MI"


@dataclass
class _Counts:
    """Indeterminate answers by cause; what each rule withheld; records with the statement that it withheld."""

    causes: Counter[str] = field(default_factory=Counter)
    withheld: Counter[str] = field(default_factory=Counter)
    though_listed: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)


def answers(measured: Measured) -> dict[str, Any]:
    """Count the answers that the stored decisions give, before and after the rules.

    The signals' quality findings are not asked, so the rule for paced rhythms acts on the statement PACE alone.
    """
    counts = _Counts()
    before = np.empty(measured.labels.shape, bool)
    after = np.empty(measured.labels.shape, bool)
    for i, listed in enumerate(measured.labels > 0):
        scores = _scores(measured, i)
        ruled = apply_rules(scores)
        before[i], after[i] = [score.present for score in scores], [score.present for score in ruled]
        _count(counts, ruled, {code for code, is_listed in zip(measured.codes, listed, strict=True) if is_listed})
    return {
        "indeterminate_share": round(counts.causes.total() / measured.labels.size, FIGURE_DIGITS),
        "indeterminate_because": {
            cause: round(counts.causes[cause] / measured.labels.size, FIGURE_DIGITS)
            for cause in ("between_limits", "too_little_evidence", "rule")
        },
        "sample_f1_without_rules": round(sample_f1(measured.labels, before), FIGURE_DIGITS),
        "sample_f1_with_rules": round(sample_f1(measured.labels, after), FIGURE_DIGITS),
        "rules": {
            name: {
                "records": counts.records[name],
                "withheld": counts.withheld[name],
                "withheld_though_listed": counts.though_listed[name],
            }
            for name in RULES
        },
        "called_normal": _called_normal(measured, after),
    }


def _scores(measured: Measured, record: int) -> list[StatementScore]:
    scores = []
    for j, code in enumerate(measured.codes):
        decision = measured.decisions[code]
        logit, probability = float(measured.logits[record, j]), float(measured.probabilities[record, j])
        scores.append(
            StatementScore(
                code,
                logit,
                probability,
                decision.threshold,
                decision.ruled_out_below,
                assertable=decision.assertable,
            )
        )
    return scores


def _count(counts: _Counts, scores: tuple[StatementScore, ...], listed: set[str]) -> None:
    for score in scores:
        if score.answer is Answer.INDETERMINATE:
            counts.causes[_cause(score)] += 1
    withheld = [(score.rule, score.code) for score in scores if score.rule]
    counts.withheld.update(rule for rule, _ in withheld)
    counts.though_listed.update(rule for rule, code in withheld if code in listed)
    counts.records.update({rule for rule, _ in withheld})


def _cause(score: StatementScore) -> str:
    if score.rule:
        return "rule"
    return "between_limits" if score.assertable else "too_little_evidence"


def _called_normal(measured: Measured, present: np.ndarray[Any, np.dtype[np.bool_]]) -> dict[str, int]:
    """Count the worst mistake: an ECG called normal that was not, and those of them with an infarction."""
    normal = measured.codes.index("NORM") if "NORM" in measured.codes else None
    if normal is None:
        return {}
    infarctions = [j for j, c in enumerate(measured.codes) if STATEMENT_BY_CODE[c].diagnostic_class == _INFARCTION]
    called = present[:, normal]
    wrongly = called & (measured.labels[:, normal] == 0)
    missed = wrongly & (measured.labels[:, infarctions] > 0).any(axis=1)
    return {
        "records": int(called.sum()),
        "not_listed_as_normal": int(wrongly.sum()),
        "with_infarction": int(missed.sum()),
    }

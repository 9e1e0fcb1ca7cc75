"""What a model reaches on labelled records. Arrays are (records, statements) in the model's order."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.classifier.calibration import Calibration
from fhir_ecg.classifier.training.bootstrap import Interval, area_intervals
from fhir_ecg.classifier.training.calibration import FEWEST_POSITIVES, CrossFitted, cross_fit
from fhir_ecg.classifier.training.metrics import (
    areas_under_curve,
    cafa_f_max,
    calibration_error,
    macro_auc,
    negative_log_likelihood,
    reference_f_max,
    sample_f1,
)
from fhir_ecg.classifier.weights import Decision, Manifest
from fhir_ecg.ecg.statements import STATEMENT_BY_CODE, STATEMENT_CODES

FIGURE_DIGITS = 5
STATEMENT_DIGITS = 3


@dataclass(frozen=True)
class Measured:
    """A model's output on labelled records."""

    codes: tuple[str, ...]
    decisions: Mapping[str, Decision]
    labels: NDArray[np.float32]
    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    """Calibrated as the manifest says."""
    cross_fitted: CrossFitted
    """Calibrated and decided on other records of the same folds."""
    fitted_here: bool
    """The manifest's calibration was fitted on some of these records."""

    @property
    def ranking(self) -> tuple[NDArray[np.float64], NDArray[np.int64] | None]:
        """What ranks the records without knowing their labels, and the parts within which it does."""
        if self.fitted_here:
            return self.cross_fitted.probabilities, self.cross_fitted.parts
        return self.probabilities, None


def measure(
    manifest: Manifest, labels: NDArray[np.float32], logits: NDArray[np.float64], *, fitted_here: bool
) -> Measured:
    """Calibrate logits in the model's order; the labels come in the order of STATEMENT_CODES."""
    codes = manifest.labels
    ordered = labels[:, [STATEMENT_CODES.index(code) for code in codes]]
    return Measured(
        codes,
        manifest.decisions,
        ordered,
        logits,
        Calibration(codes, manifest.decisions).probabilities(logits),
        cross_fit(codes, ordered, logits),
        fitted_here,
    )


def overall(measured: Measured) -> dict[str, Any]:
    """Measure what concerns all statements together, as stored and cross-fitted."""
    labels, fitted = measured.labels, measured.cross_fitted
    thresholds = np.array([measured.decisions[code].threshold for code in measured.codes])
    return {
        "records": len(labels),
        **_decided(labels, measured.probabilities, measured.probabilities >= thresholds),
        "cross_fitted": _decided(labels, fitted.probabilities, fitted.asserted, fitted.parts),
    }


def with_intervals(measured: Measured) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Measure `overall` with its interval, and a row of figures for each statement."""
    labels, fitted = measured.labels, measured.cross_fitted
    stored = area_intervals(labels, measured.probabilities)
    cross_fitted = area_intervals(labels, fitted.probabilities, fitted.parts)
    intervals = cross_fitted if measured.fitted_here else stored
    areas = areas_under_curve(labels, *measured.ranking)
    total = overall(measured) | {
        "macro_auc_interval": rounded_interval(stored.macro, FIGURE_DIGITS),
        "statements_with_both_classes": int(np.sum(~np.isnan(areas))),
    }
    total["cross_fitted"]["macro_auc_interval"] = rounded_interval(cross_fitted.macro, FIGURE_DIGITS)
    rows = [
        _statement(measured, j, float(area), interval)
        for j, (area, interval) in enumerate(zip(areas, intervals.statements, strict=True))
    ]
    return total, rows


def rounded(value: float, digits: int) -> float | None:
    """Round a figure; None where it does not exist."""
    return None if isnan(value) else round(value, digits) + 0.0  # no -0.0


def rounded_interval(interval: Interval, digits: int) -> list[float | None]:
    """Round an interval's ends."""
    return [rounded(end, digits) for end in interval]


def _decided(
    labels: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    asserted: NDArray[np.bool_],
    parts: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    errors = [calibration_error(truth, column) for truth, column in zip(labels.T, probabilities.T, strict=True)]
    measured = {
        "macro_auc": macro_auc(labels, probabilities, parts),
        "reference_f_max": reference_f_max(labels, probabilities),
        "cafa_f_max": cafa_f_max(labels, probabilities),
        "sample_f1_at_thresholds": sample_f1(labels, asserted),
        "mean_calibration_error": float(np.mean(errors)),
        "pooled_calibration_error": calibration_error(labels.ravel(), probabilities.ravel()),
        "negative_log_likelihood": negative_log_likelihood(labels, probabilities),
    }
    return {name: rounded(value, FIGURE_DIGITS) for name, value in measured.items()}


def _statement(measured: Measured, column: int, area: float, interval: Interval) -> dict[str, Any]:
    code = measured.codes[column]
    decision = measured.decisions[code]
    true = measured.labels[:, column] > 0
    positives = int(true.sum())
    # Resampling a handful of positives says nothing of other patients.
    known = interval if positives >= FEWEST_POSITIVES else (float("nan"), float("nan"))
    return {
        "code": code,
        "display": STATEMENT_BY_CODE[code].display,
        "positives": positives,
        "auc": rounded(area, STATEMENT_DIGITS),
        "auc_interval": rounded_interval(known, STATEMENT_DIGITS),
        "threshold": round(decision.threshold, STATEMENT_DIGITS),
        "ruled_out_below": None if decision.ruled_out_below is None else round(decision.ruled_out_below, 4),
        "assertable": decision.assertable,
        **_confusion(true, measured.cross_fitted.asserted[:, column]),
    }


def _confusion(true: NDArray[np.bool_], asserted: NDArray[np.bool_]) -> dict[str, Any]:
    hits, false_alarms = int((true & asserted).sum()), int((~true & asserted).sum())
    misses, rejections = int((true & ~asserted).sum()), int((~true & ~asserted).sum())
    return {
        "true_positives": hits,
        "false_positives": false_alarms,
        "false_negatives": misses,
        "true_negatives": rejections,
        "sensitivity": _share(hits, hits + misses),
        "specificity": _share(rejections, rejections + false_alarms),
        "positive_predictive_value": _share(hits, hits + false_alarms),
        "negative_predictive_value": _share(rejections, rejections + misses),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, STATEMENT_DIGITS) if whole else None

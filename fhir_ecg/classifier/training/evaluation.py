"""What a model reaches on labelled records."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.classifier.training.metrics import macro_auc, reference_f_max, sample_f1
from fhir_ecg.classifier.weights import Decision


def figures(
    labels: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    decisions: Mapping[str, Decision],
    codes: Sequence[str],
) -> dict[str, Any]:
    """Measure calibrated probabilities (records, statements) against labels of the same shape and order."""
    thresholds = np.array([decisions[code].threshold for code in codes])
    errors = [calibration_error(labels[:, j], probabilities[:, j]) for j in range(len(codes))]
    return {
        "records": len(labels),
        "macro_auc": round(macro_auc(labels, probabilities), 5),
        "reference_f_max": round(reference_f_max(labels, probabilities), 5),
        "sample_f1_at_thresholds": round(sample_f1(labels, probabilities >= thresholds), 5),
        "mean_calibration_error": round(float(np.mean(errors)), 5),
    }


def calibration_error(labels: NDArray[np.floating], probabilities: NDArray[np.floating], bins: int = 15) -> float:
    """Compute the expected calibration error of one statement over bins of equal width (Naeini 2015)."""
    places = np.minimum((probabilities * bins).astype(int), bins - 1)
    counts = np.bincount(places, minlength=bins)
    difference = np.bincount(places, weights=probabilities - labels, minlength=bins)
    return float(np.abs(difference).sum() / max(counts.sum(), 1))

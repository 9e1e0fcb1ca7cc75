"""Pictures of the model card as SVG; the same figures give the same bytes. It needs the extra `train`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.classifier.training.calibration import CrossFitted
from fhir_ecg.classifier.training.evaluation import Measured
from fhir_ecg.classifier.training.loop import LOG
from fhir_ecg.classifier.training.metrics import CALIBRATION_BINS, bin_places

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_FREQUENT = 12
_COLUMNS = 4
_BINS_OF_STATEMENT = 8
# Text stays text: smaller than outlines of letters, and it can be searched.
_STYLE = {"svg.hashsalt": "fhir-ecg", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}
_BLUE, _ORANGE = "#1f5fa8", "#c8641b"


def draw_pictures(measured: Measured, folder: Path, run_dir: Path | None) -> list[str]:
    """Write the pictures into a folder; returns the files' names.

    Args:
        measured: The model's output.
        folder: Where to write; it is made where it is missing.
        run_dir: The training run, whose logs are drawn too.
    """
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type] # its stub wants literal keys
        drawn = {"reliability.svg": _pooled_reliability(measured), "statements.svg": _statement_grid(measured)}
        logs = sorted(run_dir.rglob(LOG)) if run_dir is not None else []
        if run_dir is not None and logs:
            drawn["training.svg"] = _training_curves(run_dir, logs)
        for name, figure in drawn.items():
            figure.savefig(folder / name, format="svg", metadata={"Date": None, "Creator": None})
    return list(drawn)


def _new_figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure((width, height), layout="constrained")


def _pooled_reliability(measured: Measured) -> "Figure":
    figure = _new_figure(5.2, 5.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    labels, fitted = measured.labels.ravel(), measured.cross_fitted.probabilities.ravel()
    _draw_reliability(upper, labels, measured.probabilities.ravel(), CALIBRATION_BINS, _ORANGE, "as stored")
    _draw_reliability(upper, labels, fitted, CALIBRATION_BINS, _BLUE, "cross-fitted")
    upper.set_ylabel("share with the statement")
    upper.legend(loc="upper left", frameon=False)
    lower.hist(fitted, np.linspace(0, 1, CALIBRATION_BINS + 1).tolist(), color=_BLUE, alpha=0.6)
    lower.set(yscale="log", xlabel="probability", ylabel="answers")
    figure.suptitle("All statements together")
    return figure


def _statement_grid(measured: Measured) -> "Figure":
    fitted: CrossFitted = measured.cross_fitted
    frequent = np.argsort(-measured.labels.sum(axis=0), kind="stable")[:_MOST_FREQUENT]
    figure = _new_figure(8.4, 6.6)
    grid = figure.subplots(-(-_MOST_FREQUENT // _COLUMNS), _COLUMNS, sharex=True, sharey=True)
    for axes, j in zip(grid.flat, frequent, strict=False):
        labels = measured.labels[:, j]
        _draw_reliability(axes, labels, fitted.probabilities[:, j], _BINS_OF_STATEMENT, _BLUE, "cross-fitted")
        axes.set_title(f"{measured.codes[j]} ({int(labels.sum())})", fontsize=9)
    figure.supxlabel("probability, cross-fitted")
    figure.supylabel("share with the statement")
    return figure


def _draw_reliability(
    axes: "Axes",
    labels: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    bins: int,
    colour: str,
    label: str,
) -> None:
    """Draw observed shares over mean probabilities with 95 % Wilson intervals (Wilson 1927)."""
    places = bin_places(probabilities, bins)
    counts = np.bincount(places, minlength=bins)
    filled = counts > 0
    n = counts[filled]
    share = np.bincount(places, weights=labels, minlength=bins)[filled] / n
    mean = np.bincount(places, weights=probabilities, minlength=bins)[filled] / n
    z = 1.96
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    spread = np.maximum(0, [share - (centre - half), centre + half - share])
    axes.plot([0, 1], [0, 1], color="0.75", linewidth=0.8, zorder=0)
    axes.errorbar(mean, share, spread, color=colour, marker="o", markersize=3, linewidth=1, capsize=2, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1))


def _training_curves(run_dir: Path, logs: list[Path]) -> "Figure":
    figure = _new_figure(6.4, 5.2)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for log in logs:
        # A run that was killed may have logged an epoch twice: the later line holds.
        lines = {line["epoch"]: line for line in map(json.loads, log.read_text().splitlines())}
        part = log.parent.relative_to(run_dir).as_posix()
        validated = [epoch for epoch in sorted(lines) if "macro_auc" in lines[epoch]]
        upper.plot(sorted(lines), [lines[epoch]["loss"] for epoch in sorted(lines)], label=part)
        lower.plot(validated, [lines[epoch]["macro_auc"] for epoch in validated], marker=".", label=part)
    upper.set_ylabel("training loss")
    lower.set(xlabel="epoch", ylabel="macro AUC, validation folds")
    if logs[0].parent != run_dir:
        upper.legend(frameon=False)
    return figure

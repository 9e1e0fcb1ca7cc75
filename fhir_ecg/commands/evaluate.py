"""`evaluate`: what the model in use reaches on PTB-XL, and its model card."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import click
import numpy as np
import orjson
from numpy.typing import NDArray

from fhir_ecg.classifier.inference import Classifier
from fhir_ecg.classifier.training.answers import answers
from fhir_ecg.classifier.training.bootstrap import paired_difference
from fhir_ecg.classifier.training.card_markdown import PICTURE_FOLDER, card_as_markdown
from fhir_ecg.classifier.training.evaluation import (
    FIGURE_DIGITS,
    Measured,
    measure,
    rounded,
    rounded_interval,
    with_intervals,
)
from fhir_ecg.classifier.training.metrics import macro_auc
from fhir_ecg.classifier.training.model_card import build_card
from fhir_ecg.classifier.training.pictures import draw_pictures
from fhir_ecg.classifier.training.ptbxl import PtbXl, load_millivolts
from fhir_ecg.classifier.training.robustness import AS_RECORDED, logits_of_changed, robustness
from fhir_ecg.classifier.weights import Manifest, WeightsError
from fhir_ecg.settings import Settings

CARD = "model-card.md"
CARD_DATA = "model-card.json"


def evaluate_model(
    ptbxl: Path,
    folds: Sequence[int],
    settings: Settings,
    card: Path | None = None,
    against: Path | None = None,
    run_dir: Path | None = None,
) -> str:
    """Measure the model in use on some folds; returns the figures as JSON.

    Args:
        ptbxl: PTB-XL in either form.
        folds: Its folds to measure on.
        settings: They name the model.
        card: The folder that the model card goes to, where one is wanted.
        against: Another model's probabilities of the same records: array `p` of an npz file.
        run_dir: The training run, whose logs the card shows.

    Raises:
        click.ClickException: The model cannot be used.
        click.UsageError: The folder is not PTB-XL, or what was asked for is not to be had.
    """
    classifier = _classifier(settings)
    if card is not None:
        _check_card_can_be_made(classifier)
    data = _load(ptbxl, folds)
    other = None if against is None else _read_probabilities(against, data.labels.shape[0], classifier.manifest)
    measured = _measure(classifier, data, folds)
    total, statements = with_intervals(measured)
    answered = answers(measured)
    described: dict[str, Any] = {
        "model": classifier.model.name,
        "weights_sha256": classifier.model.weights_sha256,
        "folds": list(folds),
        **total,
        "answers": answered,
    }
    if other is not None:
        described["against"] = {"file": str(against), **_compare(measured, other)}
    if card is not None:
        changed = robustness(classifier, data.leads, measured)
        pictures = draw_pictures(measured, card / PICTURE_FOLDER, run_dir)
        _write_card(
            card,
            build_card(classifier.model, classifier.manifest, folds, total, statements, answered, changed, pictures),
        )
        described["card"] = str(card / CARD)
    return orjson.dumps(described, option=orjson.OPT_INDENT_2).decode()


def _measure(classifier: Classifier, data: PtbXl, folds: Sequence[int]) -> Measured:
    calibrated_on = classifier.manifest.training.get("validation_folds", ())
    logits = logits_of_changed(classifier, data.leads, AS_RECORDED)
    return measure(classifier.manifest, data.labels, logits, fitted_here=bool(set(folds) & set(calibrated_on)))


def _classifier(settings: Settings) -> Classifier:
    try:
        return Classifier.from_file(settings.weights)
    except WeightsError as error:
        raise click.ClickException(str(error)) from error


def _write_card(folder: Path, card: dict[str, Any]) -> None:
    data = orjson.dumps(card, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    (folder / CARD_DATA).write_bytes(data)
    (folder / CARD).write_text(card_as_markdown(card), encoding="utf-8")


def _check_card_can_be_made(classifier: Classifier) -> None:
    if find_spec("matplotlib") is None:
        raise click.UsageError("the card's pictures need matplotlib: pip install 'fhir-ecg[train]'")
    if not {"records", "training_folds", "validation_folds"} <= classifier.manifest.training.keys():
        raise click.UsageError("a card needs weights that `fhir-ecg train` wrote: these do not say their folds")


def _load(ptbxl: Path, folds: Sequence[int]) -> PtbXl:
    try:
        return load_millivolts(ptbxl, folds)
    except FileNotFoundError as error:
        raise click.UsageError(str(error)) from error


def _read_probabilities(path: Path, records: int, manifest: Manifest) -> NDArray[np.float64]:
    """Read another model's probabilities of the same records, in the order of this model's labels."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            other = np.asarray(arrays["p"], np.float64)
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise click.UsageError(f"{path} is no npz file with an array `p`: {error}") from error
    wanted = (records, len(manifest.labels))
    if other.shape != wanted or not np.isfinite(other).all():
        raise click.UsageError(
            f"`p` of {path} has the shape {other.shape} or is not all numbers; {wanted} is needed: the records of "
            "these folds in their order, and the statements in the order of the model's labels"
        )
    return other


def _compare(measured: Measured, other: NDArray[np.float64]) -> dict[str, Any]:
    scores, parts = measured.ranking
    compared = paired_difference(measured.labels, scores, other, parts)
    return {
        "macro_auc": rounded(macro_auc(measured.labels, other, parts), FIGURE_DIGITS),
        "difference": rounded(compared.difference, FIGURE_DIGITS),
        "difference_interval": rounded_interval(compared.interval, FIGURE_DIGITS),
        "share_above_0": compared.share_above_0,
    }

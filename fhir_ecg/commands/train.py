"""`train`."""

from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any

import click
import orjson
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from fhir_ecg import __version__
from fhir_ecg.classifier.branch import Branch
from fhir_ecg.classifier.export import inference_graph, require_exporter
from fhir_ecg.classifier.training.calibration import fit_decisions
from fhir_ecg.classifier.training.config import TrainingConfig
from fhir_ecg.classifier.training.evaluation import measure, overall
from fhir_ecg.classifier.training.loop import predict_logits, train
from fhir_ecg.classifier.training.ptbxl import PtbXl, load_folds
from fhir_ecg.classifier.weights import Manifest, WeightsError, write_weights
from fhir_ecg.ecg.statements import STATEMENT_CODES

MODEL_FILE = "model.safetensors"


def train_model(ptbxl: Path, config_file: Path | None, run_dir: Path, threads: int | None, device: str) -> str:
    """Train, calibrate and write the weights with their manifest; returns what to do with them."""
    if threads is not None:
        torch.set_num_threads(threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise click.UsageError("torch finds no CUDA device here; train with --device cpu")
    _check_weights_can_be_written()
    config = _config(config_file)
    training = _load(ptbxl, config.training_folds, config)
    validation = _load(ptbxl, config.validation_folds, config)
    network = train(config, run_dir, training, validation, device)
    logits = predict_logits(network, validation.leads)
    decisions = fit_decisions(STATEMENT_CODES, validation.labels, logits)
    manifest = Manifest(
        name=config.name,
        version=__version__,
        architecture="committee" if config.branches else "three-branch",
        base_filters=config.base_filters,
        branches=tuple(Branch.model_validate(b.model_dump(include=set(Branch.model_fields))) for b in config.branches),
        preprocessing=config.preprocessing,
        labels=STATEMENT_CODES,
        decisions=decisions,
        training={
            "data": "PTB-XL 1.0.3 (CC BY 4.0)",
            "records": len(training.labels),
            "positives": dict(zip(STATEMENT_CODES, training.labels.sum(axis=0).astype(int).tolist(), strict=True)),
            **config.model_dump(),
        },
        metrics={},
    )
    metrics = overall(measure(manifest, validation.labels, logits, fitted_here=True))
    manifest = manifest.model_copy(update={"metrics": metrics})
    target = run_dir / MODEL_FILE
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    _write(target, manifest, tensors)
    return f"{orjson.dumps(manifest.metrics).decode()}\nWrote {target}. Use it: FHIR_ECG_WEIGHTS={target.absolute()}"


def _check_weights_can_be_written() -> None:
    try:
        require_exporter()
    except WeightsError as error:
        raise click.ClickException(str(error)) from error


def _write(target: Path, manifest: Manifest, tensors: dict[str, NDArray[Any]]) -> None:
    try:
        write_weights(target, manifest, tensors, inference_graph(manifest.structure, tensors))
    except WeightsError as error:
        raise click.ClickException(str(error)) from error


def _config(path: Path | None) -> TrainingConfig:
    try:
        return TrainingConfig.read(path)
    except (ValidationError, TOMLDecodeError) as error:
        raise click.UsageError(f"{path}: {error}") from error


def _load(ptbxl: Path, folds: tuple[int, ...], config: TrainingConfig) -> PtbXl:
    try:
        return load_folds(ptbxl, folds, config.preprocessing)
    except FileNotFoundError as error:
        raise click.UsageError(str(error)) from error

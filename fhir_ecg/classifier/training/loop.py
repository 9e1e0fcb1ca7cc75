"""The training loop: one-cycle AdamW, crops, gain noise, weight averaging; resumable to the same result."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from fhir_ecg.classifier.network import EcgNetwork
from fhir_ecg.classifier.preprocessing import SAMPLES, SAMPLING_RATE
from fhir_ecg.classifier.training.config import TrainingConfig
from fhir_ecg.classifier.training.metrics import macro_auc, reference_f_max
from fhir_ecg.classifier.training.ptbxl import PtbXl

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"


@dataclass
class Run:
    """What a run carries from epoch to epoch, and what a checkpoint holds of it."""

    network: EcgNetwork
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    epoch: int = 0

    def state(self) -> dict[str, Any]:
        """Collect what a checkpoint needs."""
        parts = ("network", "averaged", "optimizer", "schedule")
        return {name: getattr(self, name).state_dict() for name in parts} | {"epoch": self.epoch}

    def load(self, state: dict[str, Any]) -> None:
        """Take up a checkpoint's state."""
        for name in ("network", "averaged", "optimizer", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        self.epoch = state["epoch"]


def start(config: TrainingConfig, records: int) -> Run:
    """Build a run at epoch 0, seeded."""
    torch.manual_seed(config.seed)
    network = EcgNetwork(config.base_filters)
    for branch in (network.morphology_branch, network.global_branch):
        branch.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing in torch's stubs
    average = get_ema_multi_avg_fn(config.average_decay)  # type: ignore[no-untyped-call]
    averaged = AveragedModel(network, multi_avg_fn=average, use_buffers=False)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        config.learning_rate,
        total_steps=config.epochs * (records // config.batch_size),
        pct_start=config.warm_up,
    )
    return Run(network, averaged, optimizer, schedule)


def train(config: TrainingConfig, directory: Path, training: PtbXl, validation: PtbXl) -> EcgNetwork:
    """Train, or go on where the directory's checkpoint ends; returns the averaged network.

    Each epoch is seeded by itself, so an interrupted run ends with the weights of an uninterrupted one.
    """
    directory.mkdir(parents=True, exist_ok=True)
    run = start(config, len(training.labels))
    if (directory / CHECKPOINT).is_file():
        run.load(torch.load(directory / CHECKPOINT, weights_only=True))
    while run.epoch < config.epochs:
        began = time.monotonic()
        loss = _train_epoch(config, run, training)
        run.epoch += 1
        _refresh_statistics(run, training)
        scores = predict_logits(run.averaged, validation.leads)
        probabilities = 1 / (1 + np.exp(-scores))
        line = {
            "epoch": run.epoch,
            "loss": round(loss, 6),
            "macro_auc": round(macro_auc(validation.labels, scores), 5),
            "reference_f_max": round(reference_f_max(validation.labels, probabilities), 5),
            "seconds": round(time.monotonic() - began, 1),
        }
        with (directory / LOG).open("a") as log:
            log.write(json.dumps(line) + "\n")
        _save(run, directory / CHECKPOINT)  # after the log: a killed run may log an epoch twice, never not at all
        tqdm.write(json.dumps(line))
    return cast("EcgNetwork", run.averaged.module).eval()


def has_fast_bfloat16() -> bool:
    """Tell whether this CPU multiplies bfloat16 in hardware; emulated it is hundreds of times slower."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - torch offers no public name


def _train_epoch(config: TrainingConfig, run: Run, training: PtbXl) -> float:
    torch.manual_seed(config.seed * 100_003 + run.epoch)
    generator = np.random.default_rng([config.seed, run.epoch])
    order = generator.permutation(len(training.labels))
    count = len(order) // config.batch_size
    batches = order[: count * config.batch_size].reshape(count, config.batch_size)
    run.network.train()
    total = 0.0
    progress = tqdm(batches, desc=f"epoch {run.epoch + 1}/{config.epochs}", unit="batch", mininterval=2)
    for batch in progress:
        leads = augment(training.leads[batch], config, generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16()):
            logits = run.network(leads)
        loss = functional.binary_cross_entropy_with_logits(logits.float(), torch.from_numpy(training.labels[batch]))
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(run.network.parameters(), config.gradient_clip)
        run.optimizer.step()
        run.schedule.step()
        run.averaged.update_parameters(run.network)
        total += float(loss.detach())
        progress.set_postfix(loss=f"{loss.detach():.4f}", refresh=False)
    return total / len(batches)


def augment(leads: NDArray[np.float32], config: TrainingConfig, generator: np.random.Generator) -> Tensor:
    """Crop each record at a place of its own, all to one length, and change each lead's gain a little."""
    low, high = config.crop_seconds
    length = min(SAMPLES, round(generator.uniform(low, high) * SAMPLING_RATE))
    starts = generator.integers(0, SAMPLES - length + 1, len(leads))
    crops = np.stack([record[:, at : at + length] for record, at in zip(leads, starts, strict=True)])
    gains = np.exp(generator.normal(0, config.gain_noise, (len(leads), leads.shape[1], 1)))
    return torch.from_numpy(crops * gains.astype(np.float32))


@torch.no_grad()
def _refresh_statistics(run: Run, training: PtbXl, batches: int = 40, size: int = 64) -> None:
    """Give the averaged weights batch statistics of their own, from records spread over the training set."""
    step = max(1, math.floor(len(training.leads) / (batches * size)))
    chosen = training.leads[::step][: batches * size]
    loader = (torch.from_numpy(chosen[i : i + size]) for i in range(0, len(chosen), size))
    torch.optim.swa_utils.update_bn(loader, run.averaged)


@torch.inference_mode()
def predict_logits(network: torch.nn.Module, leads: NDArray[np.float32], size: int = 128) -> NDArray[np.float64]:
    """Compute the logits (records, statements) of whole records."""
    network.eval()
    parts = [network(torch.from_numpy(leads[i : i + size])) for i in range(0, len(leads), size)]
    return torch.cat(parts).double().numpy()


def _save(run: Run, path: Path) -> None:
    temporary = path.with_suffix(".new")
    torch.save(run.state(), temporary)
    temporary.replace(path)

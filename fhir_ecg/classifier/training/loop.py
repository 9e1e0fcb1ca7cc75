"""The training loop: one-cycle AdamW, crops, gain noise, weight averaging; resumable to the same result."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from fhir_ecg.classifier.committee import CommitteeNetwork, build_branch
from fhir_ecg.classifier.network import EcgNetwork
from fhir_ecg.classifier.preprocessing import SAMPLES, SAMPLING_RATE
from fhir_ecg.classifier.state_space import StateSpace
from fhir_ecg.classifier.training.config import TrainingConfig
from fhir_ecg.classifier.training.metrics import macro_auc, reference_f_max
from fhir_ecg.classifier.training.ptbxl import PtbXl

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
TRAINING_LOGITS = "training-logits.npz"

_DYNAMICS_RATE = 0.3
"""How fast filters of state-space layers learn, by the other parameters' rate."""


@dataclass
class Run:
    """What a run carries from epoch to epoch, and what a checkpoint holds of it."""

    network: nn.Module
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


def start(config: TrainingConfig, network: nn.Module, records: int) -> Run:
    """Begin a run at epoch 0."""
    average = get_ema_multi_avg_fn(config.average_decay)  # type: ignore[no-untyped-call]
    averaged = AveragedModel(network, multi_avg_fn=average, use_buffers=False)
    groups = _parameter_groups(network, config)
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        [group["lr"] for group in groups],
        total_steps=config.epochs * (records // config.batch_size),
        pct_start=config.warm_up,
    )
    return Run(network, averaged, optimizer, schedule)


def _parameter_groups(network: nn.Module, config: TrainingConfig) -> list[dict[str, Any]]:
    """Decay draws weights to 0; offsets, the scales of norms and filters that are learnt as such must not be drawn."""
    dynamics = {
        parameter
        for module in network.modules()
        if isinstance(module, StateSpace)
        for parameter in (getattr(module, name) for name in StateSpace.DYNAMICS)
    }
    others = [parameter for parameter in network.parameters() if parameter not in dynamics]
    rate, slow = config.learning_rate, config.learning_rate * _DYNAMICS_RATE
    groups: list[dict[str, Any]] = [
        {"params": [p for p in others if p.ndim > 1], "weight_decay": config.weight_decay, "lr": rate},
        {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0, "lr": rate},
        {"params": [p for p in network.parameters() if p in dynamics], "weight_decay": 0.0, "lr": slow},
    ]
    return [group for group in groups if group["params"]]


def train(
    config: TrainingConfig, directory: Path, training: PtbXl, validation: PtbXl, device: str = "cpu"
) -> nn.Module:
    """Train every part, or go on where the directory's checkpoints end; returns the averaged network, frozen.

    A part is a branch, with a folder of its own, or the published network. Each epoch is seeded by itself, so an
    interrupted run ends with the weights of an uninterrupted one.
    """
    if not config.branches:
        torch.manual_seed(config.seed)
        published = EcgNetwork(config.base_filters)
        for plane in (published.morphology_branch, published.global_branch):
            plane.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing in torch's stubs
        return train_part(config, config.seed, published.to(device), directory, training, validation).cpu()
    committee = CommitteeNetwork(config.branches)
    places = [directory / f"{index + 1}-{branch.kind}" for index, branch in enumerate(config.branches)]
    for index, (branch, place) in enumerate(zip(config.branches, places, strict=True)):
        torch.manual_seed(branch.seed)
        part = build_branch(branch).to(memory_format=torch.channels_last)  # type: ignore[call-overload] # as above
        targets = training.labels
        if branch.teacher_share:
            answers = [
                training_logits(network, folder, training, device)
                for network, folder, earlier in zip(committee.branches, places, config.branches[:index], strict=False)
                if not earlier.teacher_share
            ]
            targets = soft_targets(training.labels, answers, branch.teacher_share)
        own = config.model_copy(update=branch.own_settings())
        trained = train_part(own, branch.seed, part.to(device), place, training, validation, targets)
        committee.branches[index] = trained.cpu()
    return committee.eval()


def train_part(
    config: TrainingConfig,
    seed: int,
    network: nn.Module,
    directory: Path,
    training: PtbXl,
    validation: PtbXl,
    targets: NDArray[np.float32] | None = None,
) -> nn.Module:
    """Train one network, or go on where the directory's checkpoint ends; returns its average, frozen.

    It learns the targets (records, statements), or else the labels.
    """
    targets = training.labels if targets is None else targets
    directory.mkdir(parents=True, exist_ok=True)
    run = start(config, network, len(training.labels))
    if (directory / CHECKPOINT).is_file():
        run.load(torch.load(directory / CHECKPOINT, weights_only=True, map_location=_device(network)))
    last = config.stop_after or config.epochs
    while run.epoch < last:
        began = time.monotonic()
        line = {"epoch": run.epoch + 1, "loss": round(_train_epoch(config, seed, run, training, targets), 6)}
        run.epoch += 1
        if run.epoch % config.validate_every == 0 or run.epoch == last:
            _refresh_statistics(run, training)
            scores = predict_logits(run.averaged, validation.leads)
            line["macro_auc"] = round(macro_auc(validation.labels, scores), 5)
            line["reference_f_max"] = round(reference_f_max(validation.labels, expit(scores)), 5)
        line["seconds"] = round(time.monotonic() - began, 1)
        with (directory / LOG).open("a") as log:
            log.write(json.dumps(line) + "\n")
        _save(run, directory / CHECKPOINT)  # after the log: a killed run may log an epoch twice, never not at all
        tqdm.write(json.dumps(line))
    return run.averaged.module.eval()


def has_fast_bfloat16() -> bool:
    """Tell whether this CPU multiplies bfloat16 in hardware; emulated it is hundreds of times slower."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - torch offers no public name


def statement_weights(labels: NDArray[np.float32], exponent: float) -> Tensor:
    """Weigh each statement's loss by its rarity to a power; (statements,) of mean 1."""
    frequency = np.maximum(labels.mean(axis=0), 1 / len(labels))
    weights = np.clip(frequency.mean() / frequency, 0.2, 50) ** exponent
    return torch.from_numpy((weights / weights.mean()).astype(np.float32))


def training_logits(network: nn.Module, directory: Path, training: PtbXl, device: str = "cpu") -> NDArray[np.float32]:
    """Compute a finished branch's logits (records, statements) of the whole training records.

    They are kept in the branch's folder, and used again by the same weights on the same records.
    """
    digest = sha256()
    for record in training.leads:
        digest.update(record.tobytes())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    path = directory / TRAINING_LOGITS
    if path.is_file():
        with np.load(path) as kept:
            if str(kept["digest"]) == digest.hexdigest():
                return np.asarray(kept["logits"], np.float32)
    computed = predict_logits(network.to(device), training.leads, description=f"answers of {directory.name}")
    network.cpu()
    logits = computed.astype(np.float32)
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        np.savez(file, digest=digest.hexdigest(), logits=logits)
    temporary.replace(path)
    return logits


def soft_targets(
    labels: NDArray[np.float32], logits: Sequence[NDArray[np.floating]], share: float
) -> NDArray[np.float32]:
    """Blend labels with the probabilities that the mean of the teachers' logits gives; the share is the teachers'."""
    return np.asarray((1 - share) * labels + share * expit(np.mean(logits, axis=0)), np.float32)


def _train_epoch(config: TrainingConfig, seed: int, run: Run, training: PtbXl, targets: NDArray[np.float32]) -> float:
    torch.manual_seed(seed * 100_003 + run.epoch)
    generator = np.random.default_rng([seed, run.epoch])
    device = _device(run.network)
    precise = device.type == "cpu" and not has_fast_bfloat16()
    weights = statement_weights(training.labels, config.rarity_exponent).to(device)
    order = generator.permutation(len(training.labels))
    count = len(order) // config.batch_size
    batches = order[: count * config.batch_size].reshape(count, config.batch_size)
    run.network.train()
    total = 0.0
    progress = tqdm(batches, desc=f"epoch {run.epoch + 1}/{config.epochs}", unit="batch", mininterval=2)
    for batch in progress:
        leads = augment(training.leads[batch], config, generator)
        labels = torch.from_numpy(targets[batch])
        if config.mix_up and generator.random() < 0.5:
            leads, labels = blend(leads, labels, config.mix_up, generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=not precise):
            logits = run.network(leads.to(device))
        loss = functional.binary_cross_entropy_with_logits(logits.float(), labels.to(device), weights)
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


def blend(leads: Tensor, labels: Tensor, concentration: float, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Blend each record and its labels with another's of the batch, all by one share (mixup, Zhang 2018)."""
    share = float(generator.beta(concentration, concentration))
    others = torch.from_numpy(generator.permutation(len(leads)))
    return share * leads + (1 - share) * leads[others], share * labels + (1 - share) * labels[others]


@torch.no_grad()
def _refresh_statistics(run: Run, training: PtbXl, batches: int = 40, size: int = 64) -> None:
    """Give the averaged weights batch statistics of their own, from records spread over the training set."""
    step = max(1, math.floor(len(training.leads) / (batches * size)))
    chosen = training.leads[::step][: batches * size]
    device = _device(run.network)
    loader = (torch.from_numpy(chosen[i : i + size]).to(device) for i in range(0, len(chosen), size))
    torch.optim.swa_utils.update_bn(loader, run.averaged)


@torch.inference_mode()
def predict_logits(
    network: torch.nn.Module, leads: NDArray[np.float32], size: int = 128, description: str | None = None
) -> NDArray[np.float64]:
    """Compute the logits (records, statements) of whole records; a description asks for a progress bar."""
    network.eval()
    device = _device(network)
    starts = tqdm(
        range(0, len(leads), size), desc=description, unit="batch", mininterval=2, disable=description is None
    )
    parts = [network(torch.from_numpy(leads[i : i + size]).to(device)) for i in starts]
    return torch.cat(parts).double().cpu().numpy()


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _save(run: Run, path: Path) -> None:
    temporary = path.with_suffix(".new")
    torch.save(run.state(), temporary)
    temporary.replace(path)

"""Branches that learn from the branches before them, on noise."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.special import expit

from fhir_ecg.classifier.committee import build_branch
from fhir_ecg.classifier.training import loop
from fhir_ecg.classifier.training.config import TrainedBranch, TrainingConfig
from fhir_ecg.classifier.training.loop import TRAINING_LOGITS, soft_targets, train, training_logits
from fhir_ecg.classifier.training.ptbxl import PtbXl

KINDS = ("rhythm", "morphology", "rhythm")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """For networks so small, threads cost more than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def records() -> PtbXl:
    generator = np.random.default_rng(1)
    leads = generator.normal(size=(16, 12, 1000)).astype(np.float32)
    return PtbXl(list(range(16)), leads, (generator.random((16, 71)) < 0.3).astype(np.float32))


def config(*shares: float, **settings: object) -> TrainingConfig:
    branches = [
        TrainedBranch(kind=kind, widths=(8, 8), kernel=3, seed=seed, teacher_share=share)
        for seed, (kind, share) in enumerate(zip(KINDS, shares, strict=False))
    ]
    return TrainingConfig.model_validate(
        {"branches": branches, "epochs": 3, "batch_size": 4, "mix_up": 0.3, "crop_seconds": (2, 3), **settings}
    )


def learnt_targets(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Collect the targets of each epoch from now on."""
    collected: list[np.ndarray] = []
    real = loop._train_epoch

    def watched(settings: TrainingConfig, seed: int, run: loop.Run, training: PtbXl, targets: np.ndarray) -> float:
        collected.append(targets)
        return real(settings, seed, run, training, targets)

    monkeypatch.setattr(loop, "_train_epoch", watched)
    return collected


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_targets_are_labels_blended_with_the_teachers_probability() -> None:
    labels = np.array([[1, 0]], np.float32)
    logits = [np.array([[2.0, -3.0]]), np.array([[0.0, 1.0]])]

    targets = soft_targets(labels, logits, 0.25)

    np.testing.assert_allclose(targets, [[0.75 + 0.25 * expit(1.0), 0.25 * expit(-1.0)]], rtol=1e-6)
    assert targets.dtype == np.float32


def test_teachers_are_the_branches_before_that_learnt_from_labels_alone(
    records: PtbXl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = learnt_targets(monkeypatch)

    committee = train(config(0, 0.5, 0.25, epochs=2), tmp_path, records, records)

    logits = [loop.predict_logits(branch, records.leads) for branch in committee.branches]  # type: ignore[union-attr]
    assert targets[0] is records.labels
    np.testing.assert_allclose(targets[2], soft_targets(records.labels, logits[:1], 0.5), atol=1e-6)
    np.testing.assert_allclose(targets[4], soft_targets(records.labels, logits[:1], 0.25), atol=1e-6)


def test_without_a_share_a_branch_learns_as_if_alone(records: PtbXl, tmp_path: Path) -> None:
    settings = config(0, 0)
    branch = settings.branches[1]

    committee = train(settings, tmp_path / "both", records, records)

    torch.manual_seed(branch.seed)
    alone = build_branch(branch).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    alone = loop.train_part(settings, branch.seed, alone, tmp_path / "alone", records, records)
    assert same_weights(committee.branches[1], alone)  # type: ignore[index, arg-type]
    assert not list(tmp_path.rglob(TRAINING_LOGITS))


def test_a_run_that_is_resumed_asks_no_teacher_again_and_ends_with_the_same_weights(
    records: PtbXl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(config(0, 0.5), tmp_path / "whole", records, records)
    cut = config(0, 0.5)
    stopped = cut.model_copy(
        update={"branches": (cut.branches[0], cut.branches[1].model_copy(update={"stop_after": 1}))}
    )
    train(stopped, tmp_path / "cut", records, records)
    kept = tmp_path / "cut" / "1-rhythm" / TRAINING_LOGITS
    written = kept.stat().st_mtime_ns

    resumed = train(cut, tmp_path / "cut", records, records)

    assert same_weights(whole, resumed)
    assert kept.stat().st_mtime_ns == written


def test_other_weights_or_records_are_answered_anew(records: PtbXl, tmp_path: Path) -> None:
    branch = config(0).branches[0]
    one, other = build_branch(branch).eval(), build_branch(branch).eval()

    first = training_logits(one, tmp_path, records)
    of_other_weights = training_logits(other, tmp_path, records)
    of_other_records = training_logits(
        other, tmp_path, PtbXl(records.ecg_ids, records.leads[::-1].copy(), records.labels)
    )

    assert not np.allclose(first, of_other_weights)
    np.testing.assert_allclose(of_other_records, of_other_weights[::-1], atol=1e-5)


def test_the_first_branch_has_no_teacher() -> None:
    with pytest.raises(ValidationError, match="no branch before it"):
        config(0.5)

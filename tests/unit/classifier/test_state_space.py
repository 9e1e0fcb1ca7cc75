"""State-space layers filter as their parameters say, and a branch of them reads a record window by window."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from fhir_ecg.classifier.branch import Branch
from fhir_ecg.classifier.committee import build_branch
from fhir_ecg.classifier.state_space import ChannelDropout, StateSpace, StateSpaceBranch, toeplitz
from fhir_ecg.classifier.toeplitz import matrices_for_taps
from fhir_ecg.classifier.training.config import TrainingConfig
from fhir_ecg.classifier.training.loop import predict_logits, start, train
from fhir_ecg.classifier.training.metrics import macro_auc
from fhir_ecg.classifier.training.ptbxl import PtbXl

BRANCH = Branch(kind="state-space", widths=(8, 12), layers=2, window_seconds=2.5, window_hop=0.5)
WITHIN_LEADS = BRANCH.model_copy(update={"widths": (12,), "within_leads": (8, 8, 8)})


@pytest.fixture
def filters() -> StateSpace:
    torch.manual_seed(1)
    return StateSpace(5, 40)


@pytest.fixture(params=[BRANCH, WITHIN_LEADS], ids=["all leads at once", "within leads first"])
def made_of(request: pytest.FixtureRequest) -> Branch:
    assert isinstance(request.param, Branch)
    return request.param


@pytest.fixture
def branch(made_of: Branch) -> StateSpaceBranch:
    torch.manual_seed(2)
    return StateSpaceBranch(made_of, 71)


def test_filters_are_those_of_the_discretised_state_space(filters: StateSpace) -> None:
    with torch.no_grad():
        taps = filters.double().responses(40).numpy()
        through, log_step, log_decay, frequency, cosines, sines = (
            getattr(filters, name).numpy()
            for name in ("through", "log_step", "log_decay", "frequency", "cosines", "sines")
        )

    # x' = A x + B u, y = 2 Re(C x) + D u with B = 1, stepped as a zero-order hold holds u (Gu 2022, section 3).
    step = np.exp(log_step)[..., None]
    dynamics = -np.exp(log_decay) + 1j * frequency
    advance = np.exp(step * dynamics)
    taken = (advance - 1) / dynamics
    answers = np.zeros((2, 5, 40))
    state = taken.copy()
    for time in range(40):
        answers[..., time] = 2 * ((cosines + 1j * sines) * state).real.sum(axis=-1)
        state *= advance
    past, future = answers
    np.testing.assert_allclose(taps[:, 40:], past[:, 1:], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(taps[:, :39], future[:, :0:-1], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(taps[:, 39], past[:, 0] + future[:, 0] + through, rtol=1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_each_channel_is_filtered_by_its_own_taps(filters: StateSpace, training: bool) -> None:
    filters.train(training)
    signal = torch.randn(3, 40, 5)

    with torch.no_grad():
        filtered, taps = filters(signal).numpy(), filters.responses(40).numpy()

    for record in range(3):
        for channel in range(5):
            wanted = np.convolve(signal[record, :, channel].numpy(), taps[channel])[39:79]
            np.testing.assert_allclose(filtered[record, :, channel], wanted, rtol=1e-4, atol=1e-4)


def test_a_crop_of_any_length_is_filtered_in_training(filters: StateSpace) -> None:
    signal = torch.randn(2, 25, 5)

    filtered = filters(signal)

    padded = torch.cat([signal, torch.zeros(2, 15, 5)], dim=1)
    torch.testing.assert_close(filtered, filters(padded)[:, :25], rtol=1e-4, atol=1e-5)


def test_frozen_filters_follow_parameters_that_changed_meanwhile(filters: StateSpace) -> None:
    signal = torch.randn(1, 40, 5)
    before = filters.eval()(signal)
    with torch.no_grad():
        filters.cosines += 1
        filters.taps.zero_()

    after = filters.eval()(signal)

    torch.testing.assert_close(after, filters.train()(signal))
    assert (after - before).abs().max() > 0.1


def test_matrices_are_the_same_with_and_without_torch() -> None:
    taps = torch.randn(3, 2 * 7 - 1)

    named = {"branches.0.taps": taps, "branches.0.sines": taps[:1], "branches.01.sines": taps[:2]}
    laid_out = matrices_for_taps({name: tensor.numpy() for name, tensor in named.items()})

    assert list(laid_out) == ["branches.01.sines", "branches.0.matrices"]
    np.testing.assert_array_equal(laid_out["branches.0.matrices"], toeplitz(taps).numpy())


def test_a_record_is_read_in_windows(made_of: Branch, branch: StateSpaceBranch) -> None:
    leads = torch.randn(2, 12, 1000)
    branch.eval()
    starts = (0, 125, 250, 375, 500, 625, 750)

    with torch.no_grad():
        whole = branch(leads)
        # A window four times over, with those between them, is read as that window where hops are whole windows.
        unlapped = StateSpaceBranch(made_of.model_copy(update={"window_hop": 1.0}), 71)
        unlapped.load_state_dict(branch.state_dict())
        parts = [unlapped.eval()(leads[:, :, start : start + 250].repeat(1, 1, 4)) for start in starts]

    torch.testing.assert_close(whole, torch.stack(parts).mean(dim=0))


def test_every_lead_and_moment_counts(branch: StateSpaceBranch) -> None:
    leads = torch.randn(1, 12, 1000, requires_grad=True)

    branch.eval()(leads).sum().backward()

    assert leads.grad is not None
    assert leads.grad.abs().sum(dim=2).min() > 0
    assert (leads.grad.abs().sum(dim=1) > 0).float().mean() > 0.99


def test_only_a_state_space_branch_can_do_with_one_width() -> None:
    assert Branch(kind="state-space", widths=(16,)).widths == (16,)
    for kind in ("rhythm", "morphology", "global"):
        with pytest.raises(ValidationError, match="at least 2 widths"):
            Branch(kind=kind, widths=(16,))


def test_a_setting_of_state_space_branches_is_refused_elsewhere() -> None:
    with pytest.raises(ValidationError, match="window_hop: a state-space branch has this, a rhythm branch does not"):
        Branch(kind="rhythm", widths=(16, 16), window_hop=0.5)


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("seconds", [1.01, 2.5, 10])
def test_filters_within_leads_are_as_long_as_what_the_stages_leave(stages: int, seconds: float) -> None:
    made_of = WITHIN_LEADS.model_copy(update={"within_leads": (8,) * stages, "window_seconds": seconds})
    read = StateSpaceBranch(made_of, 71).eval()

    assert read(torch.randn(2, 12, 1000)).shape == (2, 71)


def test_the_first_stage_of_all_leads_is_one_where_leads_are_looked_at_before() -> None:
    for setting in ({"widths": (8, 12)}, {"widths": (12,), "kernel": 5}):
        with pytest.raises(ValidationError, match="has one width besides, and kernels that are not set"):
            Branch(kind="state-space", within_leads=(8,), **setting)


def test_whole_channels_are_left_out_of_a_record() -> None:
    dropped = ChannelDropout(0.5)(torch.ones(4, 50, 32))

    zero = dropped == 0
    assert torch.equal(zero, zero[:, :1].expand_as(zero))
    assert 0.2 < zero.float().mean() < 0.8
    assert (zero[0] != zero[1]).any()
    torch.testing.assert_close(dropped[~zero], torch.full_like(dropped[~zero], 2))


@pytest.mark.parametrize("drops_channels", [True, False])
def test_every_layer_leaves_out_as_it_is_set(drops_channels: bool) -> None:
    network = build_branch(BRANCH.model_copy(update={"drops_channels": drops_channels, "layer_dropout": 0.3}))

    kinds = [(type(layer.dropout), layer.dropout.p) for layer in network.get_submodule("layers").children()]

    assert kinds == [(ChannelDropout if drops_channels else torch.nn.Dropout, 0.3)] * BRANCH.layers


@pytest.fixture
def records() -> PtbXl:
    generator = np.random.default_rng(1)
    leads = generator.normal(size=(16, 12, 1000)).astype(np.float32)
    return PtbXl(list(range(16)), leads, (generator.random((16, 71)) < 0.3).astype(np.float32))


TRAINED = TrainingConfig.model_validate({
    "branches": [
        {"kind": "rhythm", "widths": (8, 8), "kernel": 3},
        BRANCH.model_dump() | {
            "widths": (12,), "epochs": 3, "batch_size": 4, "learning_rate": 0.01, "crop_seconds": (2.5, 2.5), "seed": 2
        },
        WITHIN_LEADS.model_dump() | {"drops_channels": True, "crop_seconds": (2.5, 2.5), "seed": 3},
    ],
    "epochs": 1,
    "batch_size": 8,
})  # fmt: skip


def test_it_is_trained_beside_other_branches_and_frozen_with_what_it_learnt(records: PtbXl, tmp_path: Path) -> None:
    committee = train(TRAINED, tmp_path, records, records)

    own = [json.loads(line) for line in (tmp_path / "2-state-space" / "log.jsonl").read_text().splitlines()]
    learnt = committee.get_submodule("branches.1")
    assert [line["epoch"] for line in own] == [1, 2, 3]
    # Validated in each epoch, and without batch statistics: the last taps are those of the last parameters.
    for layer in learnt.get_submodule("layers"):
        torch.testing.assert_close(layer.filters.taps, layer.filters.responses(layer.filters.steps))
    assert macro_auc(records.labels, predict_logits(learnt, records.leads)) == pytest.approx(
        own[-1]["macro_auc"], abs=1e-4
    )


def test_a_run_that_is_taken_up_ends_with_the_same_weights(records: PtbXl, tmp_path: Path) -> None:
    whole = train(TRAINED, tmp_path / "whole", records, records).state_dict()
    cut = TRAINED.model_copy(
        update={"branches": (TRAINED.branches[0], TRAINED.branches[1].model_copy(update={"stop_after": 1}))}
    )
    train(cut, tmp_path / "cut", records, records)

    resumed = train(TRAINED, tmp_path / "cut", records, records).state_dict()

    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_filters_learn_slowly_and_do_not_decay() -> None:
    own = TRAINED.model_copy(update=TRAINED.branches[1].own_settings())
    network = build_branch(TRAINED.branches[1])
    groups = {
        id(parameter): (group["max_lr"], group["weight_decay"])
        for group in start(own, network, 16).optimizer.param_groups
        for parameter in group["params"]
    }

    named = {name: groups[id(parameter)] for name, parameter in network.named_parameters()}
    assert len(named) == len(groups)
    for name in StateSpace.DYNAMICS:
        assert named[f"layers.0.filters.{name}"] == (pytest.approx(0.003), 0)
    assert named["layers.0.mix.weight"] == (0.01, own.weight_decay)
    assert named["layers.0.norm.weight"] == (0.01, 0)

"""The network has the published checkpoint's names and shapes."""

import pytest
import torch

from fhir_ecg.classifier.network import EcgNetwork


def convolution(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def normalisation(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (channels,) for part in parts} | {f"{name}.num_batches_tracked": ()}


def block(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    names = convolution(f"{name}.conv1", outputs, inputs, 7) | normalisation(f"{name}.bn1", outputs)
    names |= convolution(f"{name}.conv2", outputs, outputs, 7) | normalisation(f"{name}.bn2", outputs)
    if inputs != outputs:
        names |= convolution(f"{name}.shortcut.0", outputs, inputs, 1) | normalisation(f"{name}.shortcut.1", outputs)
    return names


def published_names() -> dict[str, tuple[int, ...]]:
    names = convolution("rhythm_branch.initial_conv", 64, 12, 15) | normalisation("rhythm_branch.initial_bn", 64)
    for layer, (inputs, outputs) in enumerate(((64, 64), (64, 128), (128, 256), (256, 512)), start=1):
        names |= block(f"rhythm_branch.layer{layer}.0", inputs, outputs)
        names |= block(f"rhythm_branch.layer{layer}.1", outputs, outputs)
    kernels = {
        "morphology_branch": ((3, 7), (3, 5), (3, 5), (3, 3)),
        "global_branch": ((6, 15), (4, 11), (3, 7), (2, 5)),
    }
    for branch, sizes in kernels.items():
        for layer, (inputs, outputs, size) in enumerate(
            zip((1, 64, 128, 256), (64, 128, 256, 512), sizes, strict=True), start=1
        ):
            names |= convolution(f"{branch}.conv{layer}", outputs, inputs, *size)
            names |= normalisation(f"{branch}.bn{layer}", outputs)
    for place, (inputs, outputs) in {1: (1536, 512), 4: (512, 256), 7: (256, 71)}.items():
        names |= convolution(f"classifier.{place}", outputs, inputs)
    return names


def test_reference_state_dict_loads_strictly() -> None:
    published = {name: torch.zeros(shape) for name, shape in published_names().items()}

    EcgNetwork(base_filters=64).load_state_dict(published, strict=True)


def test_reference_has_the_published_size() -> None:
    network = EcgNetwork(base_filters=64)

    def millions(module: torch.nn.Module) -> float:
        return round(sum(parameter.numel() for parameter in module.parameters()) / 1e6, 2)

    assert millions(network) == 13.84
    assert millions(network.rhythm_branch) == 8.74
    assert millions(network.morphology_branch) == 1.80
    assert millions(network.global_branch) == 2.37
    assert millions(network.classifier) == 0.94


@pytest.mark.parametrize(("base_filters", "samples"), [(1, 1000), (4, 1000), (4, 500), (4, 2500)])
def test_width_and_length_are_free(base_filters: int, samples: int) -> None:
    network = EcgNetwork(base_filters).eval()

    assert network(torch.randn(2, 12, samples)).shape == (2, 71)


def test_every_lead_and_moment_counts() -> None:
    torch.manual_seed(0)
    network = EcgNetwork(4).eval()
    leads = torch.randn(1, 12, 1000, requires_grad=True)

    network(leads).sum().backward()

    assert leads.grad is not None
    assert leads.grad.abs().sum(dim=2).min() > 0
    assert (leads.grad.abs().sum(dim=1) > 0).float().mean() > 0.99

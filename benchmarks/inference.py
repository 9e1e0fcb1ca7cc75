"""What one ECG costs on one thread in torch and in ONNX Runtime, for the published network and for ours.

    python benchmarks/inference.py [--weights model.safetensors] [--repeats 41]

All forms take turns in one run, so that what else the machine does falls on all. The time is the processor's for
this process: on an idle machine it is the clock's, on a busy one it leaves out the waiting. The weights of the
published network are drawn at random, as no form's speed depends on them.
"""  # noqa: INP001 -- a folder of scripts, no package

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fhir_ecg.classifier.architecture import build_network, load_network
from fhir_ecg.classifier.export import exported_graph
from fhir_ecg.classifier.network import LEADS, STATEMENTS
from fhir_ecg.classifier.onnx_network import RUNTIME, OnnxNetwork
from fhir_ecg.classifier.preprocessing import SAMPLES
from fhir_ecg.classifier.structure import Structure
from fhir_ecg.classifier.weights import read_weights

EAGER, CHANNELS_LAST = "torch, eager", "torch, eager, channels last"
PUBLISHED = Structure("three-branch", 64, (), STATEMENTS)

Leads = NDArray[np.float32]
Form = Callable[[Leads], NDArray[np.float32]]


def torch_form(network: nn.Module) -> Form:
    """Compute with torch as it is."""

    def compute(leads: Leads) -> NDArray[np.float32]:
        with torch.inference_mode():
            return network(torch.from_numpy(leads)).numpy()

    return compute


def channels_last(network: nn.Module) -> nn.Module:
    """Lay the weights of 2-D convolutions out channels last."""
    any_network: Any = network  # the argument is missing in torch's stubs
    laid_out: nn.Module = any_network.to(memory_format=torch.channels_last)
    return laid_out


def forms(structure: Structure, tensors: Mapping[str, NDArray[Any]]) -> dict[str, Form]:
    """Every form of a network."""
    return {
        EAGER: torch_form(load_network(structure, tensors)),
        CHANNELS_LAST: torch_form(channels_last(load_network(structure, tensors))),
        RUNTIME: OnnxNetwork(exported_graph(structure), tensors, structure.statements),
    }


def random_tensors(structure: Structure) -> dict[str, NDArray[Any]]:
    """Draw weights, and give the batch norms statistics that fit them."""
    torch.manual_seed(0)
    network = build_network(structure)
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(8, LEADS, SAMPLES))
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def milliseconds(ways: list[Form], leads: Leads, repeats: int) -> list[list[float]]:
    """The times of each way, sorted."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(repeats):
        for way, taken in zip(ways, times, strict=True):
            start = time.process_time()
            way(leads)
            taken.append((time.process_time() - start) * 1000)
    return [sorted(taken) for taken in times]


def size(structure: Structure) -> str:
    """What a network is made of and what it computes for one ECG."""
    network, counter = build_network(structure).eval(), FlopCounterMode(display=False)
    with counter:
        network(torch.zeros(1, LEADS, SAMPLES))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return f"{parameters / 1e6:.2f} M parameters, {counter.get_total_flops() / 1e9:.2f} GFLOP"


def main() -> None:
    """Print a line for each form of each network."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--weights", type=Path, help="the model that is ours; the shipped one unless given")
    arguments.add_argument("--repeats", type=int, default=41)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    weights = read_weights(options.weights)
    ours = weights.manifest.structure
    networks = {
        "published, random weights": (PUBLISHED, random_tensors(PUBLISHED)),
        f"ours, {weights.manifest.name} {weights.sha256[:12]}, {len(ours.branches)} branches": (ours, weights.tensors),
    }
    leads = np.random.default_rng(0).standard_normal((1, LEADS, SAMPLES), np.float32)
    ways = {(name, form): way for name, network in networks.items() for form, way in forms(*network).items()}
    logits = {key: way(leads) for key, way in ways.items()}
    milliseconds(list(ways.values()), leads, 3)  # the first calls choose kernels
    times = dict(zip(ways, milliseconds(list(ways.values()), leads, options.repeats), strict=True))
    budget = statistics.median(times["published, random weights", RUNTIME])

    print(f"one ECG, one thread, torch {torch.__version__}; {options.repeats} repeats; ms of processor time")
    print("eager: ratio to that form; budget: ratio to the published network in ONNX Runtime; error: of a logit")
    for name, (structure, _) in networks.items():
        print(f"\n{name}: {size(structure)}")
        print(f"{'':28}{'median':>8}{'tenth':>8}{'eager':>8}{'budget':>8}{'error':>9}")
        plain = statistics.median(times[name, EAGER])
        for (owner, form), taken in times.items():
            if owner == name:
                median, tenth = statistics.median(taken), taken[len(taken) // 10]
                error = np.abs(logits[owner, form] - logits[owner, EAGER]).max()
                print(f"{form:28}{median:8.1f}{tenth:8.1f}{median / plain:8.2f}{median / budget:8.2f}{error:9.0e}")


if __name__ == "__main__":
    main()

"""What one ECG costs on one thread: forms of torch and ONNX Runtime, for the published network and for ours.

    python benchmarks/inference.py [--config docs/training/committee.toml] [--repeats 41]

All forms take turns in one run, so that what else the machine does falls on all. The time is the processor's for
this process: on an idle machine it is the clock's, on a busy one it leaves out the waiting. Weights are drawn at
random, as no form's speed depends on them. `pip install onnx onnxruntime onnxscript` adds the rows of ONNX Runtime.

Two forms are left out: torch.jit warns that it is deprecated, and torch.compile wants a C++ compiler where it runs.
"""  # noqa: INP001 -- a folder of scripts, no package

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse
from torch.utils.flop_counter import FlopCounterMode

from fhir_ecg.classifier.committee import CommitteeNetwork
from fhir_ecg.classifier.network import LEADS, EcgNetwork
from fhir_ecg.classifier.training.config import TrainingConfig

try:
    import onnxruntime  # type: ignore[import-untyped]
    import onnxscript  # noqa: F401 -- torch exports with it
except ImportError:
    onnxruntime = None

CONFIG = Path(__file__).parents[1] / "docs/training/committee.toml"
ONNX_RUNTIME = "ONNX Runtime"
Form = Callable[[Tensor], Tensor]


class Row(nn.Module):
    """A 1-D convolution as a 2-D one over a single row, whose input torch takes channels-last without a copy."""

    def __init__(self, convolution: nn.Conv1d) -> None:
        super().__init__()
        channels = convolution.in_channels, convolution.out_channels
        size, stride, padding = convolution.kernel_size[0], convolution.stride[0], convolution.padding[0]
        self.plane = nn.Conv2d(*channels, (1, size), (1, stride), (0, int(padding)))
        self.plane.weight = nn.Parameter(convolution.weight.unsqueeze(2))
        self.plane.bias = convolution.bias

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        convolved: Tensor = self.plane(x.unsqueeze(2)).squeeze(2)
        return convolved


class Packed(nn.Module):
    """A 2-D convolution whose weights lie as oneDNN wants them. The operators are torch's own, not for its users."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.layer = convolution
        self.geometry = convolution.padding, convolution.stride, convolution.dilation, convolution.groups
        self.packed: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; the first call packs, since the best order depends on the input's size."""
        if self.packed is None:
            weights = self.layer.weight.detach().contiguous().to_mkldnn()
            pack: Any = torch._C._nn.mkldnn_reorder_conv2d_weight  # noqa: SLF001
            self.packed = pack(weights, *self.geometry, x.shape)
        convolve = torch.ops.mkldnn._convolution_pointwise  # noqa: SLF001
        convolved: Tensor = convolve(x, self.packed, self.layer.bias, *self.geometry, "none", [], "")
        return convolved


def replaced(network: nn.Module, kind: type[nn.Module], replacement: Callable[..., nn.Module]) -> nn.Module:
    """Copy a network with every layer of a kind replaced."""
    network = copy.deepcopy(network)
    for name, layer in list(network.named_modules()):
        if isinstance(layer, kind):
            network.set_submodule(name, replacement(layer))
    return network


def channels_last(network: nn.Module) -> nn.Module:
    """Copy a network with 2-D weights channels-last."""
    copied: Any = copy.deepcopy(network)  # the argument is missing in torch's stubs
    laid_out: nn.Module = copied.to(memory_format=torch.channels_last)
    return laid_out


def onnx_session(network: nn.Module) -> Form:
    """Export a network and load it in ONNX Runtime."""
    program: Any = torch.onnx.export(network, (torch.zeros(1, LEADS, 1000),), dynamo=True, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    graph = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda leads: torch.from_numpy(session.run(None, {name: leads.numpy()})[0])


def forms(network: nn.Module) -> dict[str, Form]:
    """Every form of a network."""
    folded = fuse(network)
    rows = channels_last(replaced(folded, nn.Conv1d, Row))
    ways: dict[str, Form] = {
        "as trained": network,
        "2-D channels-last": channels_last(network),
        "batch norm folded": folded,
        "folded, 2-D channels-last": channels_last(folded),
        "folded, all channels-last": rows,
        "folded, packed weights": replaced(rows, nn.Conv2d, Packed),
    }
    if onnxruntime:
        ways[ONNX_RUNTIME] = onnx_session(network)
    return ways


def settled(network: nn.Module) -> nn.Module:
    """Give the batch norms statistics that fit the weights, and freeze."""
    for _ in range(3):
        network(torch.randn(8, LEADS, 1000))
    return network.eval()


def milliseconds(ways: list[Form], leads: Tensor, repeats: int) -> list[list[float]]:
    """The times of each way, sorted."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(repeats):
        for way, taken in zip(ways, times, strict=True):
            start = time.process_time()
            way(leads)
            taken.append((time.process_time() - start) * 1000)
    return [sorted(taken) for taken in times]


def size(network: nn.Module, leads: Tensor) -> str:
    """What a network is made of and what it computes."""
    counter = FlopCounterMode(display=False)
    with counter:
        network(leads)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return f"{parameters / 1e6:.2f} M parameters, {counter.get_total_flops() / 1e9:.2f} GFLOP"


@torch.no_grad()
def main() -> None:
    """Print a line for each form of each network."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--config", type=Path, default=CONFIG, help="the run whose branches are measured")
    arguments.add_argument("--repeats", type=int, default=41)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    leads = torch.randn(1, LEADS, 1000)
    networks = {
        "published": settled(EcgNetwork(64)),
        "ours": settled(CommitteeNetwork(TrainingConfig.read(options.config).branches)),
    }
    ways = {(name, form): way for name, network in networks.items() for form, way in forms(network).items()}
    errors = {key: (way(leads) - networks[key[0]](leads)).abs().max().item() for key, way in ways.items()}
    milliseconds(list(ways.values()), leads, 3)  # the first calls choose kernels
    times = dict(zip(ways, milliseconds(list(ways.values()), leads, options.repeats), strict=True))
    budget = statistics.median(times.get(("published", ONNX_RUNTIME), [float("nan")]))

    print(f"one ECG, one thread, torch {torch.__version__}; {options.repeats} repeats; ms of processor time")
    print("as trained: ratio to that form; budget: ratio to the published network in ONNX Runtime; error: of a logit")
    if not onnxruntime:
        print("onnxruntime or onnxscript is not installed: their rows and the budget are left out")
    for name, network in networks.items():
        print(f"\n{name}: {size(network, leads)}")
        print(f"{'':28}{'median':>8}{'tenth':>8}{'as trained':>12}{'budget':>8}{'error':>9}")
        plain = statistics.median(times[name, "as trained"])
        for (owner, form), taken in times.items():
            if owner == name:
                median, tenth, error = statistics.median(taken), taken[len(taken) // 10], errors[name, form]
                print(f"{form:28}{median:8.1f}{tenth:8.1f}{median / plain:12.2f}{median / budget:8.2f}{error:9.0e}")


if __name__ == "__main__":
    main()

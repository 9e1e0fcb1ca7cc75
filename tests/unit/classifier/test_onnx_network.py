"""A graph and tensors that belong together run, on one thread and to the same bits; all others are refused."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fhir_ecg.classifier.architecture import build_network
from fhir_ecg.classifier.export import exported_graph
from fhir_ecg.classifier.onnx_network import OnnxNetwork
from fhir_ecg.classifier.structure import Structure
from fhir_ecg.classifier.weights import WeightsError, read_weights

STRUCTURE = Structure("three-branch", 2, (), 71)
FIRST = "rhythm_branch.initial_conv.weight"

Tensors = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def graph() -> bytes:
    return exported_graph(STRUCTURE)


@pytest.fixture
def tensors() -> Tensors:
    torch.manual_seed(2)
    return {name: tensor.numpy() for name, tensor in build_network(STRUCTURE).state_dict().items()}


@pytest.fixture(scope="module")
def leads() -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((7, 12, 1000), np.float32)


def test_the_same_ecgs_give_the_same_bits(leads: NDArray[np.float32]) -> None:
    weights = read_weights(None)
    assert weights.graph is not None
    one, other = (OnnxNetwork(weights.graph, weights.tensors, 71) for _ in range(2))

    first = one(leads)

    assert first.shape == (7, 71)
    assert np.array_equal(one(leads), first)
    assert np.array_equal(other(leads), first)


def test_an_ecg_is_read_alone_as_among_others(leads: NDArray[np.float32]) -> None:
    weights = read_weights(None)
    assert weights.graph is not None
    network = OnnxNetwork(weights.graph, weights.tensors, 71)

    alone = np.concatenate([network(leads[i : i + 1]) for i in range(7)])

    # On the processors that were tried the bits are the same; no kernel promises it.
    np.testing.assert_allclose(alone, network(leads), rtol=0, atol=1e-5)


def test_tensors_may_lie_in_any_order(graph: bytes, tensors: Tensors, leads: NDArray[np.float32]) -> None:
    # torch trains channels last, and hands that order on.
    turned = {name: np.asfortranarray(array) for name, array in tensors.items()}

    assert np.array_equal(OnnxNetwork(graph, turned, 71)(leads), OnnxNetwork(graph, tensors, 71)(leads))


def test_tensors_may_be_dropped_once_they_are_loaded(
    graph: bytes, tensors: Tensors, leads: NDArray[np.float32]
) -> None:
    network = OnnxNetwork(graph, tensors, 71)
    before = network(leads)

    for array in tensors.values():
        array[...] = 0

    assert np.array_equal(network(leads), before)


def test_a_damaged_graph_is_refused_with_what_to_do(graph: bytes, tensors: Tensors) -> None:
    for damaged in (b"", b"graph", graph[: len(graph) // 2], graph[1:], b"\xff" + graph[1:]):
        with pytest.raises(WeightsError, match="get the file again from where it came"):
            OnnxNetwork(damaged, tensors, 71)


def test_tensors_that_are_not_those_of_the_graph_are_refused(graph: bytes, tensors: Tensors) -> None:
    fewer = {name: array for name, array in tensors.items() if name != FIRST}
    others: list[Tensors] = [
        {},
        fewer,
        fewer | {"rhythm_branch.first_conv.weight": tensors[FIRST]},
        tensors | {"extra": np.zeros(1, np.float32)},
        tensors | {FIRST: tensors[FIRST][:1]},
        tensors | {FIRST: tensors[FIRST].astype(np.float64)},
    ]
    for other in others:
        with pytest.raises(WeightsError, match="the tensors do not fit the graph"):
            OnnxNetwork(graph, other, 71)


def test_a_graph_of_other_statements_is_refused(graph: bytes, tensors: Tensors) -> None:
    with pytest.raises(WeightsError, match="which is not what its manifest says"):
        OnnxNetwork(graph, tensors, 70)


READS = {
    "classify": "from fhir_ecg.cli import main; main(['classify', sys.argv[1]], standalone_mode=False)",
    "worker": "from worker.app import celery, settings; from fhir_ecg.bootstrap import bootstrap; "
    "bootstrap(settings, celery).classifier()",
}


@pytest.mark.parametrize("reads", READS)
def test_an_ecg_is_read_without_torch(reads: str, tmp_path: Path, examples: dict[str, bytes]) -> None:
    (tmp_path / "ecg.json").write_bytes(examples["normal-sinus-rhythm"])
    ends = "[name for name in ('onnxruntime', 'torch', 'onnx') if name in sys.modules]"
    code = f"import atexit, sys; atexit.register(lambda: print({ends}, file=sys.stderr)); {READS[reads]}"
    environment = {**os.environ, "FHIR_ECG_DATA_DIR": str(tmp_path), "HOME": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "ecg.json")],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stderr.splitlines()[-1] == "['onnxruntime']"


def test_onnx_runtime_is_told_to_send_nothing(tmp_path: Path) -> None:
    code = "import os, fhir_ecg.classifier.onnx_network; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}

    said = subprocess.check_output([sys.executable, "-c", code], env=environment | {"HOME": str(tmp_path)}, text=True)

    assert said == "1\n"
    assert list(tmp_path.iterdir()) == [], "it keeps an identifier of the device there where it sends"

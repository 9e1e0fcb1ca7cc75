"""What is exported computes what torch does, and says nothing of the machine that exported it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from locations import REPOSITORY
from numpy.typing import NDArray
from scipy.special import expit
from torch import nn

from fhir_ecg.classifier.architecture import build_network, load_network
from fhir_ecg.classifier.branch import Branch
from fhir_ecg.classifier.calibration import Calibration
from fhir_ecg.classifier.export import exported_graph, inference_graph
from fhir_ecg.classifier.inference import Classifier
from fhir_ecg.classifier.onnx_network import OnnxNetwork
from fhir_ecg.classifier.preprocessing import preprocess
from fhir_ecg.classifier.structure import Structure
from fhir_ecg.classifier.weights import WeightsError, read_weights
from fhir_ecg.ecg.synthesis import EXAMPLES, synthesise

PUBLISHED = Structure("three-branch", 2, (), 71)
COMMITTEE = Structure(
    "committee",
    64,
    (
        Branch(kind="rhythm", widths=(8, 12)),
        Branch(kind="morphology", widths=(8, 12, 16)),
        Branch(kind="global", widths=(8, 8, 8, 12), kernel=15),
        Branch(kind="state-space", widths=(8, 12), layers=2),
        Branch(kind="state-space", widths=(12,), within_leads=(8, 8), layers=2),
    ),
    71,
)
SHIPPED = read_weights(None)

Tensors = dict[str, NDArray[Any]]


def trained(structure: Structure) -> Tensors:
    """Weights whose every number, those of the normalisations included, is one that only they have."""
    torch.manual_seed(1)
    network = build_network(structure)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    for _ in range(3):
        network.train()(torch.randn(8, 12, 1000))
    return {name: tensor.numpy() for name, tensor in network.eval().state_dict().items()}


@pytest.fixture(scope="module")
def leads() -> NDArray[np.float32]:
    """Seven synthetic ECGs."""
    recordings = [synthesise(parameters, 10, 100, seed=3) for parameters in list(EXAMPLES.values())[:7]]
    return preprocess(np.stack([recording.leads for recording in recordings]), "band-pass, global scale")


@pytest.mark.parametrize(
    ("structure", "tensors"),
    [
        (PUBLISHED, trained(PUBLISHED)),
        (COMMITTEE, trained(COMMITTEE)),
        (SHIPPED.manifest.structure, SHIPPED.tensors),
    ],
    ids=["published", "committee", "shipped"],
)
@pytest.mark.parametrize("batch", [1, 7])
def test_onnx_runtime_computes_what_torch_does(
    structure: Structure, tensors: Tensors, batch: int, leads: NDArray[np.float32]
) -> None:
    graph = SHIPPED.graph if tensors is SHIPPED.tensors else inference_graph(structure, tensors)
    assert graph is not None
    with torch.inference_mode():
        wanted = load_network(structure, tensors)(torch.from_numpy(leads[:batch])).numpy()

    found = OnnxNetwork(graph, tensors, 71)(leads[:batch])

    assert np.ptp(wanted) > 0.1, "a network that says nothing would agree with any other"
    np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=1e-5)
    np.testing.assert_allclose(expit(found), expit(wanted), rtol=0, atol=1e-6)


def test_calibrated_probabilities_of_the_shipped_model_are_torch_s(leads: NDArray[np.float32]) -> None:
    classifier = Classifier(SHIPPED)
    with torch.inference_mode():
        logits = load_network(SHIPPED.manifest.structure, SHIPPED.tensors)(torch.from_numpy(leads)).double().numpy()
    wanted = Calibration(SHIPPED.manifest.labels, SHIPPED.manifest.decisions).probabilities(logits)

    np.testing.assert_allclose(classifier.probabilities(leads), wanted, rtol=0, atol=1e-6)


def test_a_convolution_has_an_offset_where_the_network_has_one() -> None:
    """One that is computed, if only to zero, would keep ONNX Runtime from joining it with what stands behind it."""
    names = {f"{name}.bias" for name, part in build_network(COMMITTEE).named_modules() if hasattr(part, "kernel_size")}
    graph = onnx.load_model_from_string(exported_graph(COMMITTEE)).graph

    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    offsets = {name for node in convolutions for name in node.input[2:]}
    assert len(convolutions) > 20
    assert offsets == names & set(build_network(COMMITTEE).state_dict())
    assert len(offsets) == 3


def test_a_graph_holds_neither_weights_nor_paths() -> None:
    graph = exported_graph(COMMITTEE)

    assert len(graph) < 100_000
    for place in (REPOSITORY, Path(torch.__file__).parent, Path.home()):
        assert str(place).encode() not in graph
    assert b"stack_trace" not in graph


def test_tensors_that_are_no_numbers_are_not_written() -> None:
    tensors = trained(PUBLISHED)
    tensors["classifier.7.bias"][0] = np.nan

    with pytest.raises(WeightsError, match="differ from torch's by nan"):
        inference_graph(PUBLISHED, tensors)


def test_tensors_of_another_network_are_not_written() -> None:
    with pytest.raises(WeightsError, match="do not fit the architecture"):
        inference_graph(COMMITTEE, trained(PUBLISHED))

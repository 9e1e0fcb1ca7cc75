"""From a torch network to its graph for ONNX Runtime: the operators and their order, without the weights.

This happens once, when weights are written; whoever reads ECGs needs neither torch nor onnx.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import nn

from fhir_ecg.classifier.architecture import build_network, load_network
from fhir_ecg.classifier.network import LEADS
from fhir_ecg.classifier.onnx_network import OnnxNetwork
from fhir_ecg.classifier.preprocessing import SAMPLES
from fhir_ecg.classifier.state_space import StateSpace
from fhir_ecg.classifier.structure import Structure
from fhir_ecg.classifier.weights import WeightsError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

LARGEST_DIFFERENCE = 1e-4
"""Of a probability, between torch and ONNX Runtime."""


def require_exporter() -> None:
    """Check that graphs can be exported here.

    Raises:
        WeightsError: A package is missing.
    """
    if missing := [name for name in ("onnx", "onnxscript") if find_spec(name) is None]:
        raise WeightsError(f"to write weights, {' and '.join(missing)} must be there: pip install 'fhir-ecg[train]'")


def inference_graph(structure: Structure, tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Export the graph that goes into a weights file, and check that it computes what torch does.

    Raises:
        WeightsError: The tensors are another network's or hold what is no number, or a package is missing.
    """
    require_exporter()
    network = load_network(structure, tensors)
    graph = exported_graph(structure)
    leads = np.random.default_rng(0).standard_normal((2, LEADS, SAMPLES), np.float32)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(leads)).numpy()
    found = OnnxNetwork(graph, tensors, structure.statements)(leads)
    difference = float(np.abs(expit(found) - expit(wanted)).max())
    if not difference <= LARGEST_DIFFERENCE:
        raise WeightsError(
            f"ONNX Runtime's probabilities differ from torch's by {difference:.0e}: either the tensors hold what is no "
            "number, or this version of torch exports the network wrongly"
        )
    return graph


@lru_cache(maxsize=8)
def exported_graph(structure: Structure) -> bytes:
    """Export the graph that all networks of a structure share."""
    network = build_network(structure).eval()
    for module in network.modules():
        if isinstance(module, StateSpace):
            module.lay_out()
    with _quiet():
        model = _export(network)
    _drop_zero_offsets(model)
    _forget_where_it_was_made(model)
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = tensor.EXTERNAL
        tensor.external_data.add(key="location", value="tensors-beside-this-graph")
    exported: bytes = model.SerializeToString(deterministic=True)
    return exported


def _export(network: nn.Module) -> "ModelProto":
    batch = torch.export.Dim("batch", min=1, max=4096)
    # Unoptimised, the graph keeps every tensor under the name it has in torch; ONNX Runtime optimises at each load.
    program = torch.onnx.export(
        network,
        (torch.zeros(2, LEADS, SAMPLES),),
        dynamo=True,
        optimize=False,
        verbose=False,
        dynamic_shapes=({0: batch},),
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returns a program where dynamo is on")
    model: ModelProto = program.model_proto
    return model


def _drop_zero_offsets(model: "ModelProto") -> None:
    """Take the offsets away that the exporter computes for convolutions that have none.

    They are zero, but beside them ONNX Runtime joins a convolution neither with the norm and the activation behind it
    nor with its layout of channels in blocks.
    """
    from onnxscript.optimizer import remove_unused_nodes

    makers = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        if node.op_type == "Conv" and len(node.input) > 2 and _is_made_of_zeros(node.input[2], makers):
            del node.input[2]
    remove_unused_nodes(model)


def _is_made_of_zeros(name: str, makers: Mapping[str, "NodeProto"]) -> bool:
    from onnx.numpy_helper import to_array

    node = makers.get(name)
    if node is None:
        return False
    if node.op_type in {"Expand", "CastLike"}:
        return _is_made_of_zeros(node.input[0], makers)
    return any(held.name == "value" and not to_array(held.t).any() for held in node.attribute)


def _forget_where_it_was_made(model: "ModelProto") -> None:
    """Drop stack traces with this machine's paths, and shapes that ONNX Runtime infers itself."""
    graph = model.graph
    for described in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        described.ClearField("metadata_props")
        described.ClearField("doc_string")
    graph.ClearField("value_info")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter says of itself: what it removed, that torchvision is absent, what is deprecated."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

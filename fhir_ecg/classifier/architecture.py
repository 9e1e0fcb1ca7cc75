"""From a structure to the torch network that has it."""

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from fhir_ecg.classifier.committee import CommitteeNetwork
from fhir_ecg.classifier.network import EcgNetwork
from fhir_ecg.classifier.structure import Structure
from fhir_ecg.classifier.weights import WeightsError


def build_network(structure: Structure) -> nn.Module:
    """Build a network (batch, 12, t) -> (batch, statements) with weights drawn at random."""
    if structure.architecture == "committee":
        return CommitteeNetwork(structure.branches, structure.statements)
    return EcgNetwork(structure.base_filters, structure.statements)


def load_network(structure: Structure, tensors: Mapping[str, NDArray[Any]]) -> nn.Module:
    """Build a network with the weights that are given, frozen.

    Raises:
        WeightsError: They are another network's.
    """
    network = build_network(structure)
    try:
        network.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})
    except RuntimeError as error:
        raise WeightsError(f"the tensors do not fit the architecture that the manifest names: {error}") from error
    return network.eval()

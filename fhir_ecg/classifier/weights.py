"""Weights: one safetensors file with its manifest in the header, and the network's graph among its tensors.

The manifest says all that is needed to use the weights and to know them years later; the file's SHA-256 is
the model's name in every prediction. The graph is what ONNX Runtime computes, so the digest covers that too.
"""

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.numpy import load, save

from fhir_ecg.classifier.branch import Branch
from fhir_ecg.classifier.preprocessing import PreprocessingName
from fhir_ecg.classifier.structure import Architecture, Structure
from fhir_ecg.ecg.prediction import ModelIdentity
from fhir_ecg.ecg.statements import STATEMENT_BY_CODE

MANIFEST_KEY = "fhir-ecg-manifest"
GRAPH_TENSOR = "fhir-ecg-graph"
SHIPPED = "fhir-ecg-three-branch.safetensors"


class WeightsError(Exception):
    """A weights file that cannot be used; its text says why and what to do."""


class Decision(BaseModel):
    """How one statement's logit becomes a probability and an answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slope: float = Field(1.0, gt=0)
    intercept: float = 0.0
    others: dict[str, FiniteFloat] = Field(default_factory=dict)
    """What other statements' logits are multiplied by before they are added to this one's log-odds."""
    threshold: float = Field(0.5, ge=0, le=1)
    ruled_out_below: float | None = Field(None, ge=0, le=1)
    """Between this and the threshold the answer is indeterminate."""
    evidence: int | None = Field(None, ge=0)
    """Records with the statement that this was fitted on."""
    assertable: bool = True
    """False where the evidence is too little to assert it, or to rule it out."""


class Manifest(BaseModel):
    """What a model is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str
    architecture: Architecture
    """The published network, or branches whose logits are averaged."""
    base_filters: int = Field(64, ge=1, le=256)
    """The published network's width."""
    branches: tuple[Branch, ...] = ()
    """The committee's branches."""
    preprocessing: PreprocessingName
    labels: tuple[str, ...]
    """The statements in the order in which the network puts them out."""
    decisions: dict[str, Decision]
    training: dict[str, Any]
    """Data, folds and settings it was trained with."""
    metrics: dict[str, Any]
    """What was measured on the validation folds."""

    @property
    def structure(self) -> Structure:
        """What the network is made of."""
        return Structure(self.architecture, self.base_filters, self.branches, len(self.labels))

    @model_validator(mode="after")
    def _labels_are_statements(self) -> Self:
        if unknown := [label for label in self.labels if label not in STATEMENT_BY_CODE]:
            raise ValueError(f"labels {unknown} are no statements of PTB-XL")
        if len(set(self.labels)) != len(self.labels) or set(self.labels) != set(self.decisions):
            raise ValueError("labels must differ, and each needs a decision")
        for code, decision in self.decisions.items():
            if strangers := sorted(decision.others.keys() - (set(self.labels) - {code})):
                raise ValueError(f"{code} is calibrated by {strangers}: they are no other statements of this model")
        return self


@dataclass(frozen=True)
class Weights:
    """A model as it was read."""

    manifest: Manifest
    tensors: dict[str, NDArray[Any]]
    graph: bytes | None
    """What ONNX Runtime computes; None in files that were written before there were graphs in them."""
    sha256: str

    @property
    def identity(self) -> ModelIdentity:
        """Name of the model in predictions and reports."""
        return ModelIdentity(self.manifest.name, self.manifest.version, self.sha256)


def weights_bytes(path: Path | None) -> bytes:
    """Read the bytes of a weights file, or of the shipped one.

    Raises:
        WeightsError: There is no such file.
    """
    if path is None:
        return files("fhir_ecg.classifier").joinpath("shipped", SHIPPED).read_bytes()
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} is no readable safetensors file: {error}") from error


def read_weights(path: Path | None) -> Weights:
    """Read a weights file, or the shipped one.

    Raises:
        WeightsError: There is no such file, or it is no weights file of ours.
    """
    return parse_weights(weights_bytes(path), str(path or SHIPPED))


def parse_weights(body: bytes, name: str) -> Weights:
    """Read weights from the bytes of their file; `name` is what errors call it.

    Raises:
        WeightsError: It is no weights file of ours.
    """
    try:
        tensors = load(body)
    except SafetensorError as error:
        raise WeightsError(f"{name} is no readable safetensors file: {error}") from error
    graph = tensors.pop(GRAPH_TENSOR, None)
    manifest = _read_manifest(body, name)
    return Weights(manifest, tensors, None if graph is None else graph.tobytes(), sha256(body).hexdigest())


def manifest_sha256(body: bytes, name: str) -> str:
    """Digest the manifest of a weights file as it is written there.

    Raises:
        WeightsError: It holds none.
    """
    return sha256(_manifest_json(body, name).encode()).hexdigest()


def write_weights(path: Path, manifest: Manifest, tensors: dict[str, NDArray[Any]], graph: bytes) -> None:
    """Write weights with their manifest and the graph that `fhir_ecg.classifier.export` made for them."""
    # safetensors writes memory as it lies: an array in channels-last order would come back scrambled.
    plain = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    plain[GRAPH_TENSOR] = np.frombuffer(graph, np.uint8)
    # save_file would make a file that its owner alone may read.
    path.write_bytes(save(plain, metadata={MANIFEST_KEY: manifest.model_dump_json()}))


def _manifest_json(body: bytes, name: str) -> str:
    # https://github.com/huggingface/safetensors#format: 8 bytes length, then the header as JSON
    length = int.from_bytes(body[:8], "little")
    metadata: dict[str, str] = orjson.loads(body[8 : 8 + length]).get("__metadata__", {})
    if MANIFEST_KEY not in metadata:
        raise WeightsError(
            f"{name} holds no manifest of fhir-ecg. `fhir-ecg train` writes one, and `fhir-ecg weights import` makes "
            "one of the published model."
        )
    return metadata[MANIFEST_KEY]


def _read_manifest(body: bytes, name: str) -> Manifest:
    try:
        return Manifest.model_validate_json(_manifest_json(body, name))
    except ValidationError as error:
        raise WeightsError(f"{name} has a manifest that this version cannot read: {error}") from error

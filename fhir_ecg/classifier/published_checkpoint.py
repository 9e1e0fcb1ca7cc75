"""The checkpoint of the published Clinical ECG Classifier, read without running anything that is in it.

It is a dictionary that `torch.save` wrote; the hub has it as `zackyabd/clinical-ecg-classifier`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from sys import float_info
from typing import Any, TypeGuard
from zipfile import ZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fhir_ecg.classifier.network import STATEMENTS, EcgNetwork
from fhir_ecg.classifier.weights import Decision, Manifest, WeightsError
from fhir_ecg.ecg.statements import STATEMENT_BY_CODE

NAME = "clinical-ecg-classifier"
THRESHOLD = 0.3
LARGEST_BYTES = 1024**3
LARGEST_BASE_FILTERS = 256

_STATE = "model_state_dict"
_FIRST_CONVOLUTION = "rhythm_branch.initial_conv.weight"
_NUMBERS = ("epoch", "best_auc", "val_loss", "train_loss")

# What a numpy float64 is pickled with. The function that makes scalars has a private name, which changed
# with numpy 2; a checkpoint may have been written by either.
_MAKE_SCALAR: Any = np.float64().__reduce__()[0]
_NUMPY_GLOBALS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_MAKE_SCALAR, "numpy.core.multiarray.scalar"),
    (_MAKE_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
]


class _UnfitError(Exception):
    """Why a file is not the checkpoint."""


@dataclass(frozen=True)
class PublishedCheckpoint:
    """What is kept of the checkpoint; the optimizer's state is not."""

    tensors: dict[str, NDArray[Any]]
    """The state of `EcgNetwork(base_filters)`."""
    labels: tuple[str, ...]
    """The 71 statements in the order in which this network puts them out."""
    numbers: dict[str, float]
    """`epoch`, `best_auc`, `val_loss` and `train_loss`, as its authors wrote them."""
    sha256: str
    """Digest of the file."""

    @property
    def base_filters(self) -> int:
        """The network's width; 64 in the published file."""
        return int(self.tensors[_FIRST_CONVOLUTION].shape[0])

    def manifest(self, source: str) -> Manifest:
        """Describe it as a model of ours, uncalibrated and with the one threshold of its authors.

        Args:
            source: Where the file came from, for the record.
        """
        decision = Decision(slope=1.0, intercept=0.0, threshold=THRESHOLD)
        return Manifest(
            name=NAME,
            version=self.sha256[:12],
            architecture="three-branch",
            base_filters=self.base_filters,
            preprocessing="band-pass, z-score per lead",
            labels=self.labels,
            decisions=dict.fromkeys(self.labels, decision),
            training={
                "data": "PTB-XL 1.0.3, as its authors say",
                "epoch": int(self.numbers["epoch"]),
                "source": source,
                "source_sha256": self.sha256,
            },
            metrics={"claimed": {name: number for name, number in self.numbers.items() if name != "epoch"}},
        )


def read_published_checkpoint(path: Path) -> PublishedCheckpoint:
    """Read and check the checkpoint.

    Raises:
        WeightsError: The file cannot be read, is too large, holds objects other than tensors, numbers and
            text, or is another model's.
    """
    try:
        body = _read(path)
        checkpoint = _unpickle(body)
        return PublishedCheckpoint(
            tensors=_tensors(checkpoint[_STATE]),
            labels=_labels(checkpoint["all_labels"]),
            numbers=_numbers(checkpoint),
            sha256=sha256(body).hexdigest(),
        )
    except (OSError, _UnfitError) as error:
        raise WeightsError(f"{path} is not the published checkpoint: {error}") from error


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise _UnfitError("there is no such file")
    if path.stat().st_size > LARGEST_BYTES:
        raise _UnfitError(f"it is larger than {LARGEST_BYTES} bytes")
    return path.read_bytes()


def _unpickle(body: bytes) -> dict[str, Any]:
    if _unpacked_size(body) > LARGEST_BYTES:
        raise _UnfitError(f"it unpacks to more than {LARGEST_BYTES} bytes")
    try:
        with torch.serialization.safe_globals(_NUMPY_GLOBALS):
            checkpoint = torch.load(BytesIO(body), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile pickle can end in any of them
        raise _UnfitError(
            "it is damaged, or it holds objects, such as a whole pickled module, which are never loaded; "
            "only a dictionary with a state dict is"
        ) from error
    if not isinstance(checkpoint, dict):
        raise _UnfitError(f"it holds a {type(checkpoint).__name__} instead of a dictionary")
    _refuse("misses", {_STATE, "all_labels", *_NUMBERS} - checkpoint.keys())
    return checkpoint


def _unpacked_size(body: bytes) -> int:
    try:
        with ZipFile(BytesIO(body)) as archive:
            return sum(entry.file_size for entry in archive.infolist())
    except Exception as error:  # BadZipFile, and others where a field of the archive is odd
        raise _UnfitError("it is no archive of torch.save, or it is cut off; download it again") from error


def _labels(labels: object) -> tuple[str, ...]:
    if not isinstance(labels, list | tuple) or not all(isinstance(label, str) for label in labels):
        raise _UnfitError("its all_labels are no list of codes")
    if len(labels) != STATEMENTS:
        raise _UnfitError(f"it has {len(labels)} labels instead of {STATEMENTS}")
    _refuse("has labels that are no statements of PTB-XL:", set(labels) - STATEMENT_BY_CODE.keys())
    _refuse("has labels more than once:", {label for label in labels if labels.count(label) > 1})
    return tuple(labels)


def _numbers(checkpoint: dict[str, Any]) -> dict[str, float]:
    _refuse("has no finite number as", {name for name in _NUMBERS if not _is_finite(checkpoint[name])})
    return {name: float(checkpoint[name]) for name in _NUMBERS}


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) <= float_info.max


def _tensors(state: object) -> dict[str, NDArray[Any]]:
    if not isinstance(state, dict):
        raise _UnfitError(f"its {_STATE} is no dictionary")
    with torch.device("meta"):  # names and shapes alone, without memory
        expected = EcgNetwork(_base_filters(state)).state_dict()
    _refuse("misses the tensors", expected.keys() - state.keys())
    _refuse("has tensors that the network does not have:", state.keys() - expected.keys())
    _refuse("has tensors of another shape:", {name for name in expected if not _fits(state[name], expected[name])})
    _refuse("has tensors that are not finite:", {name for name in expected if not state[name].isfinite().all()})
    return {name: state[name].numpy(force=True) for name in expected}


def _base_filters(state: dict[str, Any]) -> int:
    first = state.get(_FIRST_CONVOLUTION)
    if not _is_plain(first) or first.ndim == 0 or not 1 <= len(first) <= LARGEST_BASE_FILTERS:
        raise _UnfitError(f"it has no {_FIRST_CONVOLUTION} of 1 to {LARGEST_BASE_FILTERS} filters")
    return len(first)


def _fits(value: object, expected: Tensor) -> bool:
    return _is_plain(value) and (value.shape, value.dtype) == (expected.shape, expected.dtype)


def _is_plain(value: object) -> TypeGuard[Tensor]:
    return (
        isinstance(value, Tensor)
        and not value.is_nested
        and value.layout == torch.strided
        and value.device.type == "cpu"
    )


def _refuse(what: str, names: Iterable[object]) -> None:
    found = sorted(repr(name)[:80] for name in names)
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise _UnfitError(f"it {what} {', '.join(found[:3])}{more}")

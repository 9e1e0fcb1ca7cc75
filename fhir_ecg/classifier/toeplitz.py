"""Filters as the matrices that ONNX Runtime multiplies by: weights files hold their taps, which are far smaller."""

from collections.abc import Mapping
from typing import Any

from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

TAPS, MATRICES = "taps", "matrices"
"""What tensors are called that hold the one or the other, after the name of their layer."""


def matrices_for_taps(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Replace all that state-space layers hold by their matrices (channels, t, t), laid out from (channels, 2 t - 1).

    Entry (j, i) of a matrix is tap i - j + t - 1: by how much step j of a signal counts at step i of the filtered one.
    The taps are what is computed with; the parameters from which they were made stay behind.
    """
    layers = {name.removesuffix(TAPS): taps for name, taps in tensors.items() if name.endswith(f".{TAPS}")}
    replaced = {name: array for name, array in tensors.items() if f"{name.rpartition('.')[0]}." not in layers}
    for layer, taps in layers.items():
        steps = (taps.shape[-1] + 1) // 2
        replaced[f"{layer}{MATRICES}"] = sliding_window_view(taps, steps, axis=-1)[:, ::-1]
    return replaced

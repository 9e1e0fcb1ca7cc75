"""Filters as the matrices that ONNX Runtime multiplies by: weights files hold their taps, which are far smaller."""

from collections.abc import Mapping
from typing import Any

from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

TAPS, MATRICES = "taps", "matrices"
"""What tensors are called that hold the one or the other, after the name of their layer."""


def matrices_of_taps(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Lay the taps (channels, 2 t - 1) of every state-space layer out as Toeplitz matrices (channels, t, t).

    Entry (j, i) of a matrix is tap i - j + t - 1: by how much step j of a signal counts at step i of the filtered one.
    """
    laid_out = {}
    for name, taps in tensors.items():
        layer, _, last = name.rpartition(".")
        if last == TAPS:
            steps = (taps.shape[-1] + 1) // 2
            laid_out[f"{layer}.{MATRICES}"] = sliding_window_view(taps, steps, axis=-1)[:, ::-1]
    return laid_out

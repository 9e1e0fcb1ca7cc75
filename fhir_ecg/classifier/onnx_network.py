"""A network in ONNX Runtime: its graph, and the tensors that the graph computes with."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.classifier.preprocessing import SAMPLES
from fhir_ecg.classifier.toeplitz import matrices_for_taps
from fhir_ecg.classifier.weights import WeightsError
from fhir_ecg.ecg.leads import TWELVE_LEADS

# From 1.29 on it would send usage data to its maker, unless told not to before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

RUNTIME = f"onnxruntime {onnxruntime.__version__}"

_RAISED_NOT_LOGGED = 4


class OnnxNetwork:
    """Preprocessed leads (batch, 12, 1000) to logits (batch, statements), on one thread.

    A process a core is faster than many threads beside each other, and one thread sums in one order.

    Args:
        graph: What `fhir_ecg.classifier.export` wrote.
        tensors: The weights by the names that the graph calls them.
        statements: How many logits come out.

    Raises:
        WeightsError: The graph cannot be read, or is of another network than the tensors.
    """

    def __init__(self, graph: bytes, tensors: Mapping[str, NDArray[Any]], statements: int) -> None:
        # What is not of this type are counters of the training's batches. The session borrows the memory of the others,
        # which must lie in C order, and has its own copy once it is made: until then `used` keeps it.
        used = {
            name: np.asarray(array, order="C")
            for name, array in matrices_for_taps(tensors).items()
            if array.dtype == np.float32
        }
        try:
            options = _options()
            options.add_external_initializers(
                list(used), [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in used.values()]
            )
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:  # its errors have no class in common
            raise WeightsError(
                "the tensors do not fit the graph of the weights file, or the graph is damaged; get the file again "
                f"from where it came ({error})"
            ) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        takes = [(node.type, *node.shape[1:]) for node in inputs]
        gives = [(node.type, *node.shape[1:]) for node in outputs]
        floats = "tensor(float)"
        if (takes, gives) != ([(floats, len(TWELVE_LEADS), SAMPLES)], [(floats, statements)]):
            raise WeightsError(
                f"the graph of the weights file turns {takes} into {gives}, which is not what its manifest says; get "
                "the file again from where it came"
            )
        self._input = inputs[0].name

    def __call__(self, leads: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the logits."""
        logits: NDArray[np.float32] = self._session.run(None, {self._input: leads})[0]
        return logits


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = _RAISED_NOT_LOGGED
    return options

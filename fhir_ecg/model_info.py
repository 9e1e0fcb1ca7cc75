"""Which software and model a process runs with, as Prometheus is told by web and worker alike."""

import platform
from collections.abc import Callable, Iterator

from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from fhir_ecg import __version__
from fhir_ecg.classifier.weights import WeightsError
from fhir_ecg.ecg.prediction import ModelIdentity


class ModelInfo(Collector):
    """`fhir_ecg_build_info` and `fhir_ecg_model_info`."""

    def __init__(self, model: Callable[[], ModelIdentity]) -> None:
        self._model = model

    def collect(self) -> Iterator[Metric]:
        """List the metrics; a model that cannot be read has none, and `/readyz` says why."""
        build = {"version": __version__, "python": platform.python_version()}
        yield InfoMetricFamily("fhir_ecg_build", "Version of fhir-ecg", value=build)
        try:
            model = self._model()
        except WeightsError:
            return
        value = {"name": model.name, "version": model.version, "weights_sha256": model.weights_sha256}
        yield InfoMetricFamily("fhir_ecg_model", "Model that this process reads with, or expects workers to", value)

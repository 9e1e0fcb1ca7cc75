"""`weights show`."""

import click

from fhir_ecg.classifier.weights import WeightsError, read_weights
from fhir_ecg.settings import Settings


def describe_weights(settings: Settings) -> str:
    """Describe the model in use as JSON: its digest, its size and its manifest."""
    import orjson

    try:
        weights = read_weights(settings.weights)
    except WeightsError as error:
        raise click.ClickException(str(error)) from error
    described = {
        "sha256": weights.sha256,
        "parameters": sum(tensor.size for tensor in weights.tensors.values()),
        "manifest": weights.manifest.model_dump(),
    }
    return orjson.dumps(described, option=orjson.OPT_INDENT_2).decode()

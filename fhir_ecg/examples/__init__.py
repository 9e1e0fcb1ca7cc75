"""Synthetic example ECGs as an EHR would send them. `python -m fhir_ecg.examples` makes them again."""

from importlib.resources import files


def example_observations() -> dict[str, bytes]:
    """Read the shipped examples: Observations as JSON by name."""
    found = (path for path in files(__package__).iterdir() if path.name.endswith(".json"))
    return {path.name.removesuffix(".json"): path.read_bytes() for path in sorted(found, key=lambda path: path.name)}

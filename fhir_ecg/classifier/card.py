"""The card of a model: the one that was measured and is shipped, or what the manifest of other weights tells."""

from pathlib import Path
from typing import Any

from fhir_ecg.classifier.weights import Weights

_PACKAGE = Path(__file__).parent
_INSTALLED = _PACKAGE / "shipped" / "model-card.md"
_CHECKOUT = _PACKAGE.parents[1] / "docs" / "model-card.md"


def card_of(weights: Weights) -> bytes:
    """Give a model's card in Markdown."""
    for place in (_INSTALLED, _CHECKOUT):
        if place.is_file():
            card = place.read_bytes()
            if weights.sha256.encode() in card:
                return card
    return _short_card(weights).encode()


def _short_card(weights: Weights) -> str:
    """Write what the manifest tells; nobody has measured more."""
    manifest = weights.manifest
    never = [code for code, decision in manifest.decisions.items() if not decision.assertable]
    return f"""\
# {manifest.name} {manifest.version}

This card was written from the manifest of the weights. They are not the ones that fhir-ecg ships: how well they read
ECGs is not told here, and the shipped model's card does not hold for them. Measure them before you use them:
`fhir-ecg evaluate --card DIR` writes a whole card, with the source attributes of 45 CFR 170.315(b)(11).

It supports a clinician and replaces none. It is not a medical device.

| | |
| --- | --- |
| Weights SHA-256 | `{weights.sha256}` |
| Architecture | {manifest.architecture} |
| Preprocessing | {manifest.preprocessing} |
| Statements | {len(manifest.labels)} |
| Never asserted | {", ".join(never) or "none"} |

## Training

{_listed(manifest.training)}

## Measured when it was made

{_listed(manifest.metrics)}
"""


def _listed(values: dict[str, Any]) -> str:
    lines = [f"- {name}: {value}" for name, value in values.items() if not isinstance(value, dict)]
    return "\n".join(lines) or "Not told."

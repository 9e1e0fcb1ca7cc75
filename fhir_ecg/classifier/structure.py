"""What a network is made of, without its weights. It needs no torch, as manifests say it."""

from dataclasses import dataclass
from typing import Literal

from fhir_ecg.classifier.branch import Branch

Architecture = Literal["three-branch", "committee"]


@dataclass(frozen=True)
class Structure:
    """Two networks of one structure differ in their weights alone."""

    architecture: Architecture
    base_filters: int
    """The published network's width."""
    branches: tuple[Branch, ...]
    """The committee's."""
    statements: int
    """How many logits come out."""

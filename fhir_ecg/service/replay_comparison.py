"""Comparing what is stored of a reading with what its replay comes to."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

Stage = Literal[
    "record", "bytes", "observation", "recording", "quality", "weights", "input", "logits", "probabilities", "answers",
    "report",
]  # fmt: skip
"""In the order in which a reading goes through them."""

# Weights are refused on whose logits two runtimes differ by more: docs/decisions/0009. Runtimes, processors and
# libraries were seen to differ by 8e-6. A probability changes by a quarter of it at most, for the slopes in use.
TOLERANCE = 1e-4


class DifferenceError(Exception):
    """The replay comes to something else than what is stored."""

    def __init__(self, stage: Stage, what: str, stored: Any, replayed: Any) -> None:
        super().__init__(f"{what} differs")
        self.stage: Stage = stage
        self.what = what
        self.stored = stored
        self.replayed = replayed


class Comparison:
    """One replay's comparison: to the bit, or within the tolerance where something that may change bits has changed.

    Attributes:
        stage: What is being compared.
        changes: What may change bits and is another here than it was.
        exact: Whether all was the same to the bit so far.
    """

    def __init__(self) -> None:
        self.stage: Stage = "record"
        self.changes: Sequence[str] = ()
        self.exact = True

    def equal(self, what: str, stored: Any, replayed: Any) -> None:
        """Demand the same.

        Raises:
            DifferenceError: It is not; the first place in which it differs is named.
        """
        if stored != replayed:
            place, one, other = _first_difference(stored, replayed)
            raise DifferenceError(self.stage, what + place, one, other)

    def equal_bits(self, what: str, stored: Any, replayed: Any) -> None:
        """Demand the same, unless something that may change bits has changed: there, what follows decides."""
        if not self.changes:
            self.equal(what, stored, replayed)
        elif stored != replayed:
            self.exact = False

    def close(self, what: str, stored: float, replayed: float) -> None:
        """Demand the same number, or one within the tolerance where something that may change bits has changed."""
        if self.changes and stored != replayed and abs(stored - replayed) <= TOLERANCE:
            self.exact = False
        else:
            self.equal(what, stored, replayed)


def _first_difference(stored: Any, replayed: Any) -> tuple[str, Any, Any]:
    """Find the first place in which two JSON documents differ: its path, and what stands there in each."""
    for step, one, other in _parts(stored, replayed):
        if one != other:
            path, *values = _first_difference(one, other)
            return step + path, values[0], values[1]
    return "", stored, replayed


def _parts(stored: Any, replayed: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(stored, dict) and isinstance(replayed, dict):
        for name in stored | replayed:
            yield f".{name}", stored.get(name), replayed.get(name)
    elif isinstance(stored, list) and isinstance(replayed, list) and len(stored) == len(replayed):
        for index, (one, other) in enumerate(zip(stored, replayed, strict=True)):
            yield f"[{index}]", one, other

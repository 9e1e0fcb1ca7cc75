"""What a model says of a Recording."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelIdentity:
    """Which model it was."""

    name: str
    version: str
    weights_sha256: str


@dataclass(frozen=True)
class StatementScore:
    """A model's answer on one statement."""

    code: str
    """SCP-ECG code, one of the model's labels."""
    logit: float
    """What the network put out."""
    probability: float
    """Calibrated, 0 to 1."""
    threshold: float
    """The probability from which on the statement counts as present."""

    @property
    def present(self) -> bool:
        """Whether the statement is asserted."""
        return self.probability >= self.threshold


@dataclass(frozen=True)
class Prediction:
    """A model's answer on every statement, in the model's order."""

    model: ModelIdentity
    scores: tuple[StatementScore, ...]
    input_sha256: str
    """Digest of the network's input, float32 little-endian."""
    runtime: str
    """What computed it, such as `torch 2.13.0+cpu`."""

    @property
    def findings(self) -> list[StatementScore]:
        """The statements that are present, most probable first."""
        present = [score for score in self.scores if score.present]
        return sorted(present, key=lambda score: -score.probability)

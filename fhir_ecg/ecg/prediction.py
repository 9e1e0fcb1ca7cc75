"""What a model says of a Recording."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class ModelIdentity:
    """Which model it was."""

    name: str
    version: str
    weights_sha256: str


class Answer(StrEnum):
    """What a model's probability comes to."""

    PRESENT = "present"
    ABSENT = "absent"
    INDETERMINATE = "indeterminate"


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
    ruled_out_below: float | None = None
    """The probability below which it counts as absent; None where that is the threshold."""
    assertable: bool = True
    """Whether there was enough evidence in validation to say anything of this statement."""
    rule: str | None = None
    """The rule that forbade to assert it, where one did."""

    @property
    def answer(self) -> Answer:
        """Present, absent, or neither: too close, too little evidence, or forbidden by a rule."""
        if not self.assertable or self.rule:
            return Answer.INDETERMINATE
        if self.probability >= self.threshold:
            return Answer.PRESENT
        if self.ruled_out_below is not None and self.probability >= self.ruled_out_below:
            return Answer.INDETERMINATE
        return Answer.ABSENT

    @property
    def present(self) -> bool:
        """Whether the statement is asserted."""
        return self.answer is Answer.PRESENT


@dataclass(frozen=True)
class Prediction:
    """A model's answer on every statement, in the model's order."""

    model: ModelIdentity
    scores: tuple[StatementScore, ...]
    input_sha256: str
    """Digest of the network's input, float32 little-endian."""
    runtime: str
    """What computed it, such as `onnxruntime 1.28.0`."""

    @property
    def findings(self) -> list[StatementScore]:
        """The statements that are present, most probable first."""
        present = [score for score in self.scores if score.present]
        return sorted(present, key=lambda score: -score.probability)

    @property
    def withheld(self) -> list[StatementScore]:
        """The statements that a rule forbade to assert."""
        return [score for score in self.scores if score.rule]

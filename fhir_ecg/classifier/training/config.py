"""What a training run is made of; one TOML file a run, every value with its default here."""

import tomllib
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fhir_ecg.classifier.branch import Branch
from fhir_ecg.classifier.preprocessing import PreprocessingName

_OWN_SETTINGS = {
    "epochs", "stop_after", "weight_decay", "mix_up", "batch_size", "learning_rate", "warm_up", "crop_seconds"
}  # fmt: skip


class TrainedBranch(Branch):
    """A branch and the chance it is trained with."""

    seed: int = 1
    epochs: int | None = Field(None, ge=1)
    stop_after: int | None = Field(None, ge=1)
    weight_decay: float | None = Field(None, ge=0)
    mix_up: float | None = Field(None, ge=0)
    batch_size: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    warm_up: float | None = Field(None, gt=0, lt=1)
    crop_seconds: tuple[float, float] | None = None
    """These are the branch's own, where they are not the run's."""
    teacher_share: float = Field(0.0, ge=0, le=1)
    """How much of each target is the probability that the branches before this one give together (Hinton 2015).

    Branches that learnt from others do not teach: they would teach what they were taught.
    """

    def own_settings(self) -> dict[str, object]:
        """What it overrides in the run's configuration."""
        return self.model_dump(include=_OWN_SETTINGS, exclude_none=True)


class TrainingConfig(BaseModel):
    """Settings of one run; the run's digest of them guards a resume against a changed file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "fhir-ecg-three-branch"
    base_filters: int = Field(16, ge=1, le=256)
    """The width of the published architecture, which is trained where no branches are named."""
    branches: tuple[TrainedBranch, ...] = ()
    """Each is trained by itself, one after the other."""
    preprocessing: PreprocessingName = "band-pass, global scale"
    epochs: int = Field(24, ge=1)
    stop_after: int | None = Field(None, ge=1)
    """The epoch that is the last, where that is before the schedule's end."""
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    warm_up: float = Field(0.25, gt=0, lt=1)
    gradient_clip: float = Field(1.0, gt=0)
    average_decay: float = Field(0.998, ge=0, lt=1)
    crop_seconds: tuple[float, float] = (5.0, 9.0)
    gain_noise: float = Field(0.1, ge=0)
    mix_up: float = Field(0.0, ge=0)
    """Half of the batches are blended with themselves by a Beta(x, x) share (Zhang 2018); 0 for none."""
    rarity_exponent: float = Field(0.0, ge=0, le=1)
    """A statement's loss weighs as its rarity to this power, so that rare ones are heard."""
    validate_every: int = Field(1, ge=1)
    """In epochs."""
    seed: int = 1
    training_folds: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    validation_folds: tuple[int, ...] = (9,)

    @model_validator(mode="after")
    def _teachers_come_first(self) -> Self:
        if self.branches and self.branches[0].teacher_share:
            raise ValueError("the first branch has no branch before it, so its teacher_share must be 0")
        return self

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """Read a TOML file, or take every default.

        Raises:
            pydantic.ValidationError: A name is unknown or a value out of range.
        """
        return cls() if path is None else cls.model_validate(tomllib.loads(path.read_text()))

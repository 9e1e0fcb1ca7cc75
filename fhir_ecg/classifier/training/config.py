"""What a training run is made of; one TOML file a run, every value with its default here."""

import tomllib
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from fhir_ecg.classifier.preprocessing import PreprocessingName


class TrainingConfig(BaseModel):
    """Settings of one run; the run's digest of them guards a resume against a changed file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "fhir-ecg-three-branch"
    base_filters: int = Field(16, ge=1, le=256)
    preprocessing: PreprocessingName = "band-pass, global scale"
    epochs: int = Field(24, ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    warm_up: float = Field(0.25, gt=0, lt=1)
    gradient_clip: float = Field(1.0, gt=0)
    average_decay: float = Field(0.998, ge=0, lt=1)
    crop_seconds: tuple[float, float] = (5.0, 9.0)
    gain_noise: float = Field(0.1, ge=0)
    seed: int = 1
    training_folds: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    validation_folds: tuple[int, ...] = (9,)

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """Read a TOML file, or take every default.

        Raises:
            pydantic.ValidationError: A name is unknown or a value out of range.
        """
        return cls() if path is None else cls.model_validate(tomllib.loads(path.read_text()))

"""What a branch of a committee is made of. It needs no torch, as a manifest names branches."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Width = Annotated[int, Field(ge=8, le=1024, multiple_of=4)]


class Branch(BaseModel):
    """What a branch is made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["rhythm", "morphology", "global"]
    widths: tuple[Width, ...] = Field(min_length=2, max_length=8)
    """Channels of each stage; the time axis is halved between stages."""
    kernel: int = Field(7, ge=3, le=63)
    """Samples that a kernel of the residual blocks spans; odd."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the pooled features that are left out in training."""

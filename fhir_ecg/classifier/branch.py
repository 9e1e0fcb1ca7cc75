"""What a branch of a committee is made of. It needs no torch, as a manifest names branches."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

OF_STATE_SPACE = frozenset(
    {"within_leads", "layers", "layer_dropout", "drops_channels", "window_seconds", "window_hop"}
)
"""Settings of state-space branches alone."""

Width = Annotated[int, Field(ge=8, le=1024, multiple_of=4)]


class Branch(BaseModel):
    """What a branch is made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["rhythm", "morphology", "global", "state-space"]
    widths: tuple[Width, ...] = Field(min_length=1, max_length=8)
    """Channels of each stage; the time axis is halved between stages."""
    kernel: int = Field(7, ge=3, le=63)
    """Samples that a kernel spans; odd. It is that of residual blocks, or of a stem that mixes all leads at once."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the pooled features that are left out in training."""
    within_leads: tuple[Width, ...] = Field((), max_length=8)
    """Channels of stages that look along time within each lead before the leads are mixed; none if all mix at once."""
    layers: int = Field(4, ge=1, le=16)
    layer_dropout: float = Field(0.15, ge=0, lt=1)
    """Share of each layer's values that are left out in training."""
    drops_channels: bool = False
    """What is left out of a layer are channels, over the whole window, instead of values by themselves."""
    window_seconds: float = Field(2.5, ge=1, le=10)
    """What the branch reads at once; a record is read in windows, by `window_hop` of their length apart."""
    window_hop: float = Field(1.0, ge=0.1, le=1)
    """These six are of state-space branches alone, the last of whose widths is that of the layers."""

    @model_validator(mode="after")
    def _settings_fit_the_kind(self) -> Self:
        if self.kind == "state-space":
            if self.within_leads and (
                len(self.widths) != 1 or self.kernel != type(self).model_fields["kernel"].default
            ):
                raise ValueError("a branch that looks within leads has one width besides, and kernels that are not set")
            return self
        if len(self.widths) < 2:
            raise ValueError(f"a {self.kind} branch needs at least 2 widths")
        defaults = type(self).model_fields
        if others := [name for name in sorted(OF_STATE_SPACE) if getattr(self, name) != defaults[name].default]:
            raise ValueError(f"{', '.join(others)}: a state-space branch has this, a {self.kind} branch does not")
        return self

"""From channels over time to logits, as every branch of a committee ends."""

import torch
from torch import Tensor, nn


class Head(nn.Module):
    """Logits from the mean and the maximum over time: (batch, channels, t) -> (batch, statements)."""

    def __init__(self, channels: int, statements: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(2 * channels, statements)

    def forward(self, x: Tensor) -> Tensor:
        """Pool and classify."""
        pooled = torch.cat([x.mean(-1), x.amax(-1)], dim=1)
        logits: Tensor = self.linear(self.dropout(pooled))
        return logits

"""Kernels along time that all leads share, and what mixes the leads after them."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from fhir_ecg.classifier.network import LEADS


class LeadStem(nn.Module):
    """Look along time within each lead, then mix the leads: (batch, 12, t) -> (batch, mixed, 1, t / 2 / 2^pools).

    The first convolution halves time, as do the poolings that stand before the others. Where a norm follows, an offset
    of the mixed leads is of no use.
    """

    def __init__(self, within: Sequence[int], mixed: int, pools: int, *, offset: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, within[0], (1, 15), (1, 2), (0, 7), bias=False)
        self.bn = nn.BatchNorm2d(within[0])
        self.convs = nn.ModuleList(
            nn.Conv2d(inputs, outputs, (1, 7), padding=(0, 3), bias=False) for inputs, outputs in pairwise(within)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs) for outputs in within[1:])
        self.mix = nn.Conv2d(within[-1], mixed, (LEADS, 1), bias=offset)
        self.pools = pools

    def forward(self, x: Tensor) -> Tensor:
        """Mix the leads."""
        plane = functional.relu(self.bn(self.stem(x.unsqueeze(1))))
        for index, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            if index < self.pools:
                plane = functional.max_pool2d(plane, (1, 3), (1, 2), (0, 1))
            plane = functional.relu(norm(conv(plane)))
        mixed: Tensor = self.mix(plane)
        return mixed

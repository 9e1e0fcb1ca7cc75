"""A network of branches that each read the whole ECG by themselves; their logits are averaged.

Rhythm: a 1-D residual network with squeeze-and-excitation (Hu 2018) and self-attention over time (Vaswani 2017).
Morphology: a 2-D network whose first kernels look along time within each lead and are shared by the leads, before
the leads are mixed. Global: as morphology, with kernels that span more than a beat after the mixing. State-space:
filters as long as a window, learnt as oscillations (`fhir_ecg.classifier.state_space`).

Averaging branches that were trained by themselves gains as an ensemble does, at the cost of one network.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from fhir_ecg.classifier.branch import Branch
from fhir_ecg.classifier.lead_stem import LeadStem
from fhir_ecg.classifier.network import LEADS, STATEMENTS
from fhir_ecg.classifier.pooling import Head
from fhir_ecg.classifier.state_space import StateSpaceBranch


class SqueezeExcitation(nn.Module):
    """Weigh channels by what the whole signal holds: (batch, channels, t) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(8, channels // 8)
        self.squeeze = nn.Linear(channels, squeezed)
        self.excite = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the weights."""
        weights = torch.sigmoid(self.excite(functional.relu(self.squeeze(x.mean(-1)))))
        return x * weights.unsqueeze(-1)


class ExcitedBlock(nn.Module):
    """Two convolutions, squeeze-and-excitation, and a shortcut: (batch, inputs, t) -> (batch, outputs, t / stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int, kernel: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm1d(outputs)
        self.conv2 = nn.Conv1d(outputs, outputs, kernel, 1, kernel // 2, bias=False)
        self.bn2 = nn.BatchNorm1d(outputs)
        self.excitation = SqueezeExcitation(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut.append(nn.AvgPool1d(stride, ceil_mode=True))
        if stride != 1 or inputs != outputs:
            self.shortcut.append(nn.Conv1d(inputs, outputs, 1, bias=False))
            self.shortcut.append(nn.BatchNorm1d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.excitation(self.bn2(self.conv2(y)))
        return functional.relu(y + self.shortcut(x))


class Attention(nn.Module):
    """Self-attention over time with a shortcut: (batch, channels, t) -> the same."""

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, 3 * channels)
        self.output = nn.Linear(channels, channels)
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        """Let each moment look at every other."""
        steps = x.transpose(1, 2)
        batch, time, channels = steps.shape
        projected = self.project(self.norm(steps)).view(batch, time, 3, self.heads, channels // self.heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value)
        attended: Tensor = self.output(seen.transpose(1, 2).reshape(batch, time, channels))
        return x + attended.transpose(1, 2)


class TimeBranch(nn.Module):
    """Rhythm: convolutions over time that see all leads at once: (batch, 12, t) -> (batch, statements)."""

    def __init__(self, branch: Branch, statements: int) -> None:
        super().__init__()
        widths = branch.widths
        self.stem = nn.Conv1d(LEADS, widths[0], 15, 2, 7, bias=False)
        self.bn = nn.BatchNorm1d(widths[0])
        self.blocks = nn.Sequential(*(
            ExcitedBlock(widths[max(i - 1, 0)], width, 1 if i == 0 else 2, branch.kernel)
            for i, width in enumerate(widths)
        ))  # fmt: skip
        self.attention = Attention(widths[-1])
        self.head = Head(widths[-1], statements, branch.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the branch's own logits."""
        x = functional.relu(self.bn(self.stem(x)))
        logits: Tensor = self.head(self.attention(self.blocks(x)))
        return logits


class LeadBranch(LeadStem):
    """Morphology and global: kernels shared by the leads, then the leads mixed: (batch, 12, t) -> (batch, statements).

    `widths` are those within each lead, twice or more, and last that of the mixed leads.
    """

    def __init__(self, branch: Branch, statements: int) -> None:
        within, mixed = branch.widths[:-1], branch.widths[-1]
        super().__init__(within, mixed, pools=2, offset=False)
        self.mix_norm = nn.BatchNorm2d(mixed)
        self.blocks = nn.Sequential(
            ExcitedBlock(mixed, mixed, 1, branch.kernel), ExcitedBlock(mixed, mixed, 2, branch.kernel)
        )
        self.attention = Attention(mixed)
        self.head = Head(mixed, statements, branch.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the branch's own logits."""
        mixed = functional.relu(self.mix_norm(super().forward(x))).squeeze(2)
        logits: Tensor = self.head(self.attention(self.blocks(mixed)))
        return logits


def build_branch(branch: Branch, statements: int = STATEMENTS) -> nn.Module:
    """Build one branch with weights drawn at random."""
    match branch.kind:
        case "rhythm":
            return TimeBranch(branch, statements)
        case "state-space":
            return StateSpaceBranch(branch, statements)
        case "morphology" | "global":
            return LeadBranch(branch, statements)


class CommitteeNetwork(nn.Module):
    """The branches' logits, averaged: (batch, 12, t) -> (batch, statements)."""

    def __init__(self, branches: Sequence[Branch], statements: int = STATEMENTS) -> None:
        super().__init__()
        self.branches = nn.ModuleList(build_branch(branch, statements) for branch in branches)

    def forward(self, x: Tensor) -> Tensor:
        """Classify preprocessed leads at 100 Hz, in the order I II III aVR aVL aVF V1..V6."""
        return torch.stack([branch(x) for branch in self.branches]).mean(dim=0)

"""The three-branch network: 1-D ResNet for rhythm, 2-D CNNs for local morphology and the global picture.

Layer names are the published checkpoint's state-dict keys, so `base_filters=64` loads it strictly. The
published network is the Clinical ECG Classifier (`zackyabd/clinical-ecg-classifier`); this is written from a
description of its layers.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

LEADS = 12
STATEMENTS = 71


class ResidualBlock(nn.Module):
    """Two k7 convolutions and a shortcut: (batch, inputs, t) -> (batch, outputs, ceil(t / stride))."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, outputs, 7, stride=stride, padding=3)
        self.bn1 = nn.BatchNorm1d(outputs)
        self.conv2 = nn.Conv1d(outputs, outputs, 7, padding=3)
        self.bn2 = nn.BatchNorm1d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut.append(nn.Conv1d(inputs, outputs, 1, stride=stride))
            self.shortcut.append(nn.BatchNorm1d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return functional.relu(y + self.shortcut(x))


class RhythmBranch(nn.Module):
    """1-D ResNet over time: (batch, 12, t) -> (batch, 8 * base_filters)."""

    def __init__(self, base_filters: int) -> None:
        super().__init__()
        f = base_filters
        self.initial_conv = nn.Conv1d(LEADS, f, 15, stride=2, padding=7)
        self.initial_bn = nn.BatchNorm1d(f)
        self.pool = nn.MaxPool1d(3, stride=2, padding=1)
        self.layer1 = nn.Sequential(ResidualBlock(f, f, 1), ResidualBlock(f, f, 1))
        self.layer2 = nn.Sequential(ResidualBlock(f, 2 * f, 2), ResidualBlock(2 * f, 2 * f, 1))
        self.layer3 = nn.Sequential(ResidualBlock(2 * f, 4 * f, 2), ResidualBlock(4 * f, 4 * f, 1))
        self.layer4 = nn.Sequential(ResidualBlock(4 * f, 8 * f, 2), ResidualBlock(8 * f, 8 * f, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Extract the rhythm features."""
        x = self.pool(functional.relu(self.initial_bn(self.initial_conv(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=-1)


class PlaneBranch(nn.Module):
    """2-D CNN over the (lead, time) plane: (batch, 1, 12, t) -> (batch, 8 * base_filters).

    Args:
        base_filters: Channels of the first convolution; each following one has twice as many.
        kernels: Four kernel sizes as (leads, samples).
        strides: Four strides over time.
        paddings: Four paddings as (leads, samples).
        pools: Three max-pool kernels as (leads, samples); each has stride (1, 2) and pads time by 1.
    """

    def __init__(
        self,
        base_filters: int,
        kernels: tuple[tuple[int, int], ...],
        strides: tuple[int, ...],
        paddings: tuple[tuple[int, int], ...],
        pools: tuple[tuple[int, int], ...],
    ) -> None:
        super().__init__()
        channels = (1, *(base_filters * 2**i for i in range(4)))
        for i in range(4):
            conv = nn.Conv2d(channels[i], channels[i + 1], kernels[i], stride=(1, strides[i]), padding=paddings[i])
            self.add_module(f"conv{i + 1}", conv)
            self.add_module(f"bn{i + 1}", nn.BatchNorm2d(channels[i + 1]))
        self.pools = pools

    def forward(self, x: Tensor) -> Tensor:
        """Extract the features of the plane."""
        for i in range(4):
            x = functional.relu(self.get_submodule(f"bn{i + 1}")(self.get_submodule(f"conv{i + 1}")(x)))
            if i < len(self.pools):
                x = functional.max_pool2d(x, self.pools[i], stride=(1, 2), padding=(0, 1))
        return x.mean(dim=(-2, -1))


def morphology_branch(base_filters: int) -> PlaneBranch:
    """Build the branch that looks at the form of single beats in neighbouring leads."""
    return PlaneBranch(
        base_filters,
        kernels=((3, 7), (3, 5), (3, 5), (3, 3)),
        strides=(2, 2, 2, 2),
        paddings=((1, 3), (1, 2), (1, 2), (1, 1)),
        pools=((2, 3), (2, 3), (2, 3)),
    )


def global_branch(base_filters: int) -> PlaneBranch:
    """Build the branch that looks at the whole picture, with large kernels."""
    return PlaneBranch(
        base_filters,
        kernels=((6, 15), (4, 11), (3, 7), (2, 5)),
        strides=(4, 3, 2, 2),
        paddings=((2, 7), (1, 5), (1, 3), (0, 2)),
        pools=((2, 4), (2, 4), (2, 3)),
    )


class EcgNetwork(nn.Module):
    """Twelve leads to the logits of the statements: (batch, 12, t) -> (batch, statements).

    Args:
        base_filters: The width; 64 is the published network (13.84 M parameters).
        statements: How many logits come out.
    """

    def __init__(self, base_filters: int = 64, statements: int = STATEMENTS) -> None:
        super().__init__()
        f = 8 * base_filters
        self.rhythm_branch = RhythmBranch(base_filters)
        self.morphology_branch = morphology_branch(base_filters)
        self.global_branch = global_branch(base_filters)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(3 * f, f),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(f, f // 2),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(f // 2, statements),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Classify preprocessed leads at 100 Hz, in the order I II III aVR aVL aVF V1..V6."""
        plane = x.unsqueeze(1)
        features = [self.rhythm_branch(x), self.morphology_branch(plane), self.global_branch(plane)]
        logits: Tensor = self.classifier(torch.cat(features, dim=1))
        return logits

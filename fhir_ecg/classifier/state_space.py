"""A branch of diagonal state-space layers that read both ways (S4D, Gu 2022).

Each channel is filtered by a sum of decaying oscillations, which are learnt as such: with few numbers a filter is as
long as the signal. Within windows of a few seconds a filter is a product with a Toeplitz matrix.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from fhir_ecg.classifier.branch import Branch
from fhir_ecg.classifier.lead_stem import LeadStem
from fhir_ecg.classifier.network import LEADS
from fhir_ecg.classifier.pooling import Head
from fhir_ecg.classifier.preprocessing import SAMPLES, SAMPLING_RATE
from fhir_ecg.classifier.toeplitz import MATRICES, TAPS

_OSCILLATIONS = 8
_SHORTEST_STEP, _LONGEST_STEP = 0.001, 0.1
_DIRECTIONS = 2


class StateSpace(nn.Module):
    """Filter each channel by an impulse response of its own in each direction: (batch, t, channels) -> the same.

    Frozen, the responses are the `taps` (channels, 2 t - 1) of one length t, from the past to the future.
    """

    taps: Tensor
    matrices: Tensor | None
    DYNAMICS = ("log_step", "log_decay", "frequency")
    """Parameters that decay would draw to other filters, and that a large step would make useless."""

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__()
        shape = (_DIRECTIONS, channels, _OSCILLATIONS)
        low, high = math.log(_SHORTEST_STEP), math.log(_LONGEST_STEP)
        self.log_step = nn.Parameter(torch.empty(_DIRECTIONS, channels).uniform_(low, high))
        self.log_decay = nn.Parameter(torch.full(shape, math.log(0.5)))
        self.frequency = nn.Parameter(math.pi * torch.arange(_OSCILLATIONS).expand(shape).clone())
        self.cosines = nn.Parameter(torch.randn(shape) / math.sqrt(2))
        self.sines = nn.Parameter(torch.randn(shape) / math.sqrt(2))
        self.through = nn.Parameter(torch.randn(channels))
        self.register_buffer(TAPS, torch.zeros(channels, 2 * steps - 1))
        self.register_buffer(MATRICES, None, persistent=False)
        self.steps = steps

    def train(self, mode: bool = True) -> "StateSpace":
        """Leave training with the taps of the parameters as they are now."""
        if not mode:
            with torch.no_grad():
                self.taps.copy_(self.responses(self.steps))
        return super().train(mode)

    def lay_out(self) -> None:
        """Hold the taps as matrices from here on, which a graph can then name as a tensor."""
        self.matrices = toeplitz(self.taps).contiguous()

    def responses(self, steps: int) -> Tensor:
        """Compute the taps (channels, 2 steps - 1) of a signal of so many steps."""
        step = self.log_step.exp().unsqueeze(-1)
        decay, frequency = self.log_decay.exp(), self.frequency
        # Zero-order hold: (exp(step * (-decay + i frequency)) - 1) / (-decay + i frequency), in real numbers.
        shrunk = torch.exp(-decay * step)
        real, imaginary = shrunk * torch.cos(frequency * step) - 1, shrunk * torch.sin(frequency * step)
        norm = decay.square() + frequency.square()
        held_real = (imaginary * frequency - real * decay) / norm
        held_imaginary = -(imaginary * decay + real * frequency) / norm
        cosines = self.cosines * held_real - self.sines * held_imaginary
        sines = self.cosines * held_imaginary + self.sines * held_real
        time = step.unsqueeze(-1) * torch.arange(steps, device=step.device)
        turned = frequency.unsqueeze(-1) * time
        waves = cosines.unsqueeze(-1) * torch.cos(turned) - sines.unsqueeze(-1) * torch.sin(turned)
        past, future = 2 * (torch.exp(-decay.unsqueeze(-1) * time) * waves).sum(dim=2)
        now = (past[:, :1] + future[:, :1]) + self.through.unsqueeze(-1)
        return torch.cat([future[:, 1:].flip(-1), now, past[:, 1:]], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the filters; in training to signals of any length, else to those of the frozen length."""
        if self.training:
            with torch.autocast(x.device.type, enabled=False):
                matrices = toeplitz(self.responses(x.shape[1]))
        else:
            matrices = toeplitz(self.taps) if self.matrices is None else self.matrices
        # (channels, batch, t) times (channels, t, t)
        filtered: Tensor = torch.bmm(x.permute(2, 0, 1), matrices).permute(1, 2, 0)
        return filtered


def toeplitz(taps: Tensor) -> Tensor:
    """Lay taps (channels, 2 t - 1) out as (channels, t, t): rows times these are the filtered rows.

    Entry (j, i) is by how much the step j of a signal counts at step i, taps[i - j + t - 1].
    """
    steps = (taps.shape[1] + 1) // 2
    return taps.unfold(-1, steps, 1).flip(-2)


class ChannelNorm(nn.LayerNorm):
    """Bring the channels of each step to mean 0 and deviation 1: (batch, t, channels) -> the same.

    Frozen, it is written out, as ONNX Runtime's own kernel for it takes several times as long.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the norm."""
        if self.training:
            return super().forward(x)
        centred = x - x.mean(dim=-1, keepdim=True)
        scale = torch.rsqrt((centred * centred).mean(dim=-1, keepdim=True) + self.eps)
        return centred * scale * self.weight + self.bias


class ChannelDropout(nn.Dropout1d):
    """Leave out whole channels of a record: (batch, t, channels) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the dropout."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class StateSpaceLayer(nn.Module):
    """Filters in time, then a gated mixture of channels, and a shortcut: (batch, t, channels) -> the same."""

    def __init__(self, channels: int, steps: int, dropout: nn.Module) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.filters = StateSpace(channels, steps)
        self.mix = nn.Linear(channels, 2 * channels)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        filtered = self.dropout(functional.gelu(self.filters(self.norm(x))))
        mixed: Tensor = self.dropout(functional.glu(self.mix(filtered), dim=-1))
        return x + mixed


def _all_leads_at_once(branch: Branch) -> nn.Sequential:
    stem = nn.Sequential()
    for place, (inputs, outputs) in enumerate(pairwise((LEADS, *branch.widths))):
        if place > 0:
            stem.append(nn.BatchNorm1d(inputs))
            stem.append(nn.ReLU())
        stem.append(nn.Conv1d(inputs, outputs, branch.kernel, 2, branch.kernel // 2))
    return stem


class StateSpaceBranch(nn.Module):
    """Convolutions that halve time, then state-space layers: (batch, 12, t) -> (batch, statements).

    In training it reads a crop as it comes. Frozen, it reads whole records of 1000 samples in windows, and answers with
    the mean of their logits.
    """

    def __init__(self, branch: Branch, statements: int) -> None:
        super().__init__()
        channels = branch.widths[-1]
        self.stem: nn.Module
        if branch.within_leads:
            self.stem = nn.Sequential(LeadStem(branch.within_leads, channels, pools=1, offset=True), nn.Flatten(2))
            halvings = min(len(branch.within_leads), 2)
        else:
            self.stem = _all_leads_at_once(branch)
            halvings = len(branch.widths)
        self.window = round(branch.window_seconds * SAMPLING_RATE)
        steps = self.window
        for _ in range(halvings):
            steps = (steps + 1) // 2
        dropout = ChannelDropout if branch.drops_channels else nn.Dropout
        self.layers = nn.Sequential(
            *(StateSpaceLayer(channels, steps, dropout(branch.layer_dropout)) for _ in range(branch.layers))
        )
        self.norm = ChannelNorm(channels)
        self.head = Head(channels, statements, branch.dropout)
        count = max(1, round((SAMPLES - self.window) / (self.window * branch.window_hop)) + 1)
        self.starts = [round(i * (SAMPLES - self.window) / max(1, count - 1)) for i in range(count)]

    def forward(self, x: Tensor) -> Tensor:
        """Compute the branch's own logits."""
        if self.training:
            return self._logits(x)
        windows = torch.cat([x[:, :, start : start + self.window] for start in self.starts])
        logits = self._logits(windows)
        return logits.reshape(len(self.starts), -1, logits.shape[1]).mean(dim=0)

    def _logits(self, x: Tensor) -> Tensor:
        steps = self.layers(self.stem(x).transpose(1, 2))
        logits: Tensor = self.head(self.norm(steps).transpose(1, 2))
        return logits

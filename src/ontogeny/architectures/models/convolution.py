"""The short causal convolution that Mamba and xLSTM have in each layer: every channel with itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def convolved(x: Tensor, conv: nn.Conv1d, window: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """[B, T, width] from [B, T, width], and the window [B, kernel - 1, width] of what came last, to go on from.

    window: of the tokens before these; without it zeros
    """
    before = conv.kernel_size[0] - 1
    whole = F.pad(x, (0, 0, before, 0)) if window is None else torch.cat([window, x], dim=1)
    found = F.conv1d(whole.transpose(1, 2), conv.weight, conv.bias, groups=conv.groups)
    return found.transpose(1, 2), whole[:, whole.shape[1] - before :]

"""A recorder in the training loop: how the optimiser is doing, every so many steps.  It reads, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from ontogeny.training.state import TrainingState

WHOLE = -1  # the number of the row that is of all tensors together
SPIKE = 6.0  # median absolute deviations above the median of the losses before
WINDOW = 100  # of them
SATURATED = 0.9  # of the step that a coordinate can make at most
TINY = 1e-30
COLUMNS = ("step", "tensor", "update", "agreement", "saturated", "gradient", "clipped", "spikes")


class Health:
    """Of each tensor after every `every` steps, and of all together (COLUMNS):

    update: log10 of the weights' change over their norm; agreement: cosine of that change with minus the gradient; saturated: the
    share of coordinates whose AdamW step, mhat / (sqrt vhat + eps), exceeds .9; gradient: mean squared gradient over mean vhat.  Of
    all together also clipped: the share of steps since the last row whose gradient was clipped; spikes: how many of them had a loss
    above the median of the 100 before by 6 median absolute deviations.
    """

    def __init__(self, every: int, clip: float):
        self.every, self.clip = every, clip
        self.rows: list[tuple[float, ...]] = []

    @torch.no_grad()
    def before(self, state: TrainingState) -> list[Tensor] | None:
        """The weights before the update of a step that is recorded; None at others."""
        due = (state.step + 1) % self.every == 0
        return [parameter.detach().clone() for parameter in state.model.parameters()] if due else None

    @torch.no_grad()
    def after(self, state: TrainingState, before: list[Tensor], norm: float, loss: float) -> None:
        """Records a step, its gradients still there.  One transfer from the device."""
        eps = state.optimiser.defaults["eps"]
        parts = []
        for parameter, old in zip(state.model.parameters(), before, strict=True):
            kept = state.optimiser.state.get(parameter)
            if parameter.grad is None or not kept:
                parts.append(torch.full((7,), torch.nan, dtype=torch.float64, device=parameter.device))
                continue
            betas, t = state.optimiser.defaults["betas"], float(kept["step"])
            mean, square = kept["exp_avg"] / (1 - betas[0] ** t), kept["exp_avg_sq"] / (1 - betas[1] ** t)
            change, gradient = (parameter - old).flatten(), parameter.grad.flatten()
            full = (mean.abs() / (square.sqrt() + eps) > SATURATED).sum()
            values = [change @ change, old.flatten() @ old.flatten(), -(change @ gradient), gradient @ gradient, full, square.sum()]
            parts.append(torch.stack([value.double() for value in (*values, torch.tensor(old.numel(), device=old.device))]))
        found = torch.stack(parts).cpu().double().numpy()
        step = state.step + 1
        losses = np.array([*(row[0] for row in state.history[-(self.every + WINDOW) + 1 :]), loss])
        norms = [*(row[2] for row in state.history[-self.every + 1 :]), norm] if self.every > 1 else [norm]
        clipped = float(np.mean([self.clip > 0 and one > self.clip for one in norms]))
        self.rows += [(step, number, *_of(one), np.nan, np.nan) for number, one in enumerate(found) if not np.isnan(one).any()]
        self.rows.append((step, WHOLE, *_of(np.nansum(found, axis=0)), clipped, float(spikes(losses, self.every))))


def _of(sums: Any) -> tuple[float, float, float, float]:
    change, weight, along, gradient, full, square, n = (float(value) for value in sums)
    return (
        float(np.log10(max(change, TINY) / max(weight, TINY)) / 2),
        along / max(np.sqrt(change * gradient), TINY),
        full / max(n, 1.0),
        gradient / max(square, TINY),
    )


def spikes(losses: Any, last: int) -> int:
    """How many of the last losses lie above the median of the WINDOW before them by SPIKE of their median absolute deviations."""
    found = 0
    for at in range(max(len(losses) - last, WINDOW), len(losses)):
        before = losses[at - WINDOW : at]
        median = np.median(before)
        found += int(losses[at] > median + SPIKE * np.median(np.abs(before - median)))
    return found

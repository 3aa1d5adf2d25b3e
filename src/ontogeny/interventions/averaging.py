"""Averages of weights: what checkpoints keep, while training goes on from the weights themselves.

exponential   a_t = decay a_{t-1} + (1 - decay) w_t, from a_0 = w_0 (Tarvainen & Valpola 2017)
uniform       the mean of all that entered (Polyak & Juditsky 1992; stochastic weight averaging: Izmailov et al. 2018)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ontogeny.interventions.kinds import Course
from ontogeny.interventions.reset import step_at, total_steps
from ontogeny.records import OntogenyError
from ontogeny.training.treatment import Change

if TYPE_CHECKING:
    from ontogeny.interventions.context import InterventionContext
    from ontogeny.training.state import TrainingState

DECAY = 0.999


class Averaging(Course):
    """Checkpoints keep an average of the weights since `when` began; after it ends, and before, the weights themselves.

    The losses written in training are of the weights themselves.  Buffers are not averaged: a checkpoint has those of the moment
    (a running mean as batch normalisation keeps would belong to other weights; none of our architectures has one).
    """

    kind: Literal["averaging"] = "averaging"
    mean: Literal["exponential", "uniform"] = "exponential"
    """exponential: older weights count less and less.  uniform: all count alike."""
    decay: float = Field(DECAY, gt=0, lt=1)
    """What is left of the exponential average when weights enter it; not with `mean: uniform`."""
    every: int = Field(1, ge=1)
    """Steps from one entry of weights to the next; the first are those at which `when` begins."""

    @model_validator(mode="after")
    def _decays_or_not(self) -> Averaging:
        if self.mean == "uniform" and self.decay != DECAY:
            raise ValueError("is a uniform mean and has a decay; leave decay out, or set mean: exponential")
        return self

    def change(self, context: InterventionContext, seed: int) -> Change:
        """As Course has it.  Raises OntogenyError for two averages, or one that has only one entry."""
        if len([part for part in context.recipe.interventions if isinstance(part, Averaging)]) > 1:
            raise OntogenyError("interventions: averaging is there twice, but a checkpoint can keep one average; list it once")
        steps = total_steps(context)
        first, last = (step_at(share, steps) for share in (self.when.start, self.when.until))
        if last - first < self.every:
            raise OntogenyError(
                f"interventions: averaging holds from step {first} to {last}, but weights enter it every {self.every} steps: "
                "one entry is no average; make every smaller"
            )
        return Average(self)


class Average(Change):
    """An average of the weights of one seed's training; empty before it begins and after it has ended."""

    def __init__(self, part: Averaging):
        self.part = part
        self.average: dict[str, Tensor] = {}  # by the parameter's name, a tied one once

    def before(self, state: TrainingState, step: int, steps: int) -> None:
        """Begins with the weights at which the window begins, and ends where it ends."""
        if step == step_at(self.part.when.start, steps):
            self.average = {name: parameter.detach().clone() for name, parameter in state.model.named_parameters()}
        if step == step_at(self.part.when.until, steps):
            self.average = {}

    @torch.no_grad()
    def after(self, state: TrainingState, step: int, steps: int) -> None:
        """Lets the new weights enter where it is their turn."""
        entries, rest = divmod(step + 1 - step_at(self.part.when.start, steps), self.part.every)
        if not self.average or rest:
            return
        share = 1 / (entries + 1) if self.part.mean == "uniform" else 1 - self.part.decay
        for name, parameter in state.model.named_parameters():
            self.average[name] = self.average[name].to(parameter.device).lerp_(parameter, share)

    @contextmanager
    def kept(self, state: TrainingState) -> Iterator[None]:
        """As Change has it; the weights are back, bit for bit, when it ends."""
        parameters = dict(state.model.named_parameters())
        own = {name: parameters[name].detach().clone() for name in self.average}
        try:
            _put(self.average, parameters)
            yield
        finally:
            _put(own, parameters)

    def tensors(self) -> dict[str, Tensor]:
        """The average."""
        return self.average

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Takes it back."""
        self.average = dict(tensors)


@torch.no_grad()
def _put(values: dict[str, Tensor], parameters: dict[str, torch.nn.Parameter]) -> None:
    for name, value in values.items():
        parameters[name].copy_(value)

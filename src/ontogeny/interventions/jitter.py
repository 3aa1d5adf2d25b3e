"""The intervention that does nothing: first weights are nudged by so little that only chance decides what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field

from ontogeny.interventions.kinds import Course, Window
from ontogeny.records import OntogenyError
from ontogeny.training.treatment import Change

if TYPE_CHECKING:
    from ontogeny.interventions.context import InterventionContext
    from ontogeny.training.state import TrainingState


class Jitter(Course):
    """Adds noise to the weights before the first step, and leaves text, order, objective and schedule alone.

    Two trainings that differ by it part ways as two seeds do, only later, and neither way is better: the arm of a study in
    which there is nothing to find, with the variation from training to training that seeds have.
    """

    kind: Literal["jitter"] = "jitter"
    size: float = Field(1e-3, gt=0)
    """Standard deviation of the noise, as a share of each tensor's root mean square; where that is 0, nothing is added."""
    seed: int = Field(0, ge=0)
    """Of the noise, beside the training's own."""

    def change(self, context: InterventionContext, seed: int) -> Change:
        """As Course has it.  Raises OntogenyError for a window: there is one moment for it."""
        if self.when != Window():
            raise OntogenyError("interventions: jitter comes before the first step; leave its `when` out")
        return Jittered(self, seed)


class Jittered(Change):
    """The noise of one seed's training."""

    def __init__(self, part: Jitter, seed: int):
        self.part = part
        self.seed = seed

    @torch.no_grad()
    def before(self, state: TrainingState, step: int, steps: int) -> None:
        """Before the first step alone, so that the checkpoint at step 0 is the one that arms share."""
        if step:
            return
        generator = torch.Generator().manual_seed(1_000_003 * self.part.seed + self.seed + 1)
        for parameter in state.model.parameters():
            noise = torch.randn(parameter.shape, generator=generator).to(parameter)
            parameter.add_(self.part.size * parameter.square().mean().sqrt() * noise)

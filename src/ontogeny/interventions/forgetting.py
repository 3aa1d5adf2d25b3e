"""Active forgetting (Chen et al. 2023, "Improving language plasticity via pretraining with active forgetting").

The token embeddings are reset again and again while the rest of the network goes on learning, so that it cannot lean on what it
knows of single words for long.  Forgetting that stops before the end of training (`when: {until: 0.5}`) is temporary.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

from ontogeny.interventions.kinds import Course, Window
from ontogeny.interventions.reset import Steps, begun, embeddings, renew, step_at, total_steps
from ontogeny.records import OntogenyError
from ontogeny.training.schedule import multiples
from ontogeny.training.treatment import Change

if TYPE_CHECKING:
    from ontogeny.interventions.context import InterventionContext
    from ontogeny.training.state import TrainingState


class ActiveForgetting(Course):
    """The token embeddings are drawn anew from their initial distribution every so many steps.

    Positions are not among them.  A head that is tied to the embeddings, as OPT's is, is the same numbers and is drawn anew
    with them; one that is not stays.  The learning rate goes on as it was: re-warming changes it.
    """

    kind: Literal["active-forgetting"] = "active-forgetting"
    every: Steps
    """Distance of two resets, counted from the beginning of `when`: steps if a whole number, a share of all steps if below 1."""
    moments: bool = True
    """Whether the optimiser forgets what it knows of the embeddings: AdamW's two moments, and the step they count from."""

    def change(self, context: InterventionContext, seed: int) -> Change:
        """As Course has it.  Raises OntogenyError if nothing would ever be reset."""
        steps = total_steps(context)
        if not resets(self.every, self.when, steps):
            raise OntogenyError(
                f"interventions: active-forgetting resets nothing: every is {self.every:g}, but it holds from step "
                f"{step_at(self.when.start, steps)} to {step_at(self.when.until, steps)}; make every smaller"
            )
        return Forgetting(self, context, seed)


class Forgetting(Change):
    """Active forgetting, for one seed's training."""

    def __init__(self, part: ActiveForgetting, context: InterventionContext, seed: int):
        self.part, self.context, self.seed = part, context, seed

    def before(self, state: TrainingState, step: int, steps: int) -> None:
        """Resets where it is time; a checkpoint at that moment holds the embeddings of before."""
        if step in resets(self.part.every, self.part.when, steps):
            model = begun(self.context, self.seed, step)
            renew(state, model, embeddings(model), self.part.moments)


@cache
def resets(every: float, when: Window, steps: int) -> tuple[int, ...]:
    """Optimiser steps done when the embeddings are reset: each `every` after the window begins, and before it ends."""
    first, last = step_at(when.start, steps), step_at(when.until, steps)
    apart = every if every >= 1 else every * steps
    return tuple(sorted({first + distance for distance in multiples(apart, steps) if 0 < distance < last - first}))

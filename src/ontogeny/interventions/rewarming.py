"""Re-warming: the learning rate is warmed up again in the midst of training, as when text of another kind begins.

With `then: cosine` and moments from 0 on this is the cosine annealing with warm restarts of Loshchilov & Hutter (2017), whose
restarts jump back to the peak: `over: 1`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from ontogeny.interventions.kinds import Course
from ontogeny.interventions.reset import Steps, check_no_window, step_at, total_steps
from ontogeny.recipe import Training
from ontogeny.records import OntogenyError
from ontogeny.training import schedule
from ontogeny.training.treatment import Change

if TYPE_CHECKING:
    from ontogeny.interventions.context import InterventionContext


class ReWarming(Course):
    """The learning rate drops to a floor and rises linearly again, at given moments; then it follows a schedule.

    Before the first moment it is what it would be without.  Two of these do not add up: the last one listed decides.
    """

    kind: Literal["re-warming"] = "re-warming"
    at: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(min_length=1)
    """Shares of training at which it is warmed again; 0 stands in for the warm-up that training begins with."""
    over: Steps
    """Length of each warm-up: steps if a whole number, a share of all steps if below 1."""
    floor: float = Field(0.0, ge=0, le=1)
    """Where a warm-up rises from, as a share of `training.learning_rate`; its first step is one part in `over` above it."""
    then: Literal["schedule", "constant", "linear", "cosine"] = "schedule"
    """schedule: each warm-up rises to what the recipe's schedule says and follows it.  The others: to `peak`, and from there, as
    `training.schedule` has them, to the next moment or the end; linear and cosine end at `training.final_share` of the peak."""
    peak: float = Field(1.0, gt=0)
    """Where a warm-up ends, as a share of `training.learning_rate`; not with `then: schedule`."""

    @model_validator(mode="after")
    def _moments_in_order(self) -> ReWarming:
        check_no_window(self)
        if any(later <= earlier for earlier, later in zip(self.at, self.at[1:], strict=False)):
            raise ValueError("has moments out of order; `at` lists shares of training, each above the one before")
        if self.then == "schedule" and self.peak != 1:
            raise ValueError("follows the schedule and has a peak; leave peak out, or set then: constant, linear or cosine")
        if self.then == "schedule" and self.at[0] == 0:
            raise ValueError("follows the schedule from 0 on, which has a warm-up there already: that is training.warmup")
        return self

    def change(self, context: InterventionContext, seed: int) -> Change:
        """As Course has it.  Raises OntogenyError for a warm-up that does not end before the next begins, or training ends."""
        steps = total_steps(context)
        for start, until, warmup in cycles(self, steps):
            if until - start < warmup:
                raise OntogenyError(
                    f"interventions: re-warming from step {start} takes {warmup} steps, but {until - start} are left until the "
                    "next, or the end of training; make over smaller, or the moments fewer"
                )
        return Warming(self, context.recipe.training)


class Warming(Change):
    """Re-warming, for one seed's training: the learning rate is a function of the step alone."""

    def __init__(self, part: ReWarming, training: Training):
        self.part, self.training = part, training

    def rate(self, rate: float, step: int, steps: int) -> float:
        """As Change has it."""
        cycle = next((cycle for cycle in reversed(cycles(self.part, steps)) if cycle.start <= step), None)
        if cycle is None:
            return rate
        done, floor = step - cycle.start, self.part.floor * self.training.learning_rate
        if done >= cycle.warmup:
            return self._own(cycle, done) if self.part.then != "schedule" else rate
        top = rate if self.part.then == "schedule" else self.part.peak * self.training.learning_rate
        return floor + (top - floor) * (done + 1) / cycle.warmup

    def _own(self, cycle: Cycle, done: int) -> float:
        """The rate `done` steps into a cycle, which past its warm-up is as a training of its own."""
        own = {"learning_rate": self.part.peak * self.training.learning_rate, "schedule": self.part.then, "warmup": cycle.warmup}
        return schedule.learning_rate(self.training.model_copy(update=own), done, cycle.until - cycle.start)


class Cycle(NamedTuple):
    """From one warm-up to the next."""

    start: int  # steps done when it begins
    until: int
    warmup: int  # steps


def cycles(part: ReWarming, steps: int) -> list[Cycle]:
    """The warm-ups of a training, in order."""
    starts = [step_at(share, steps) for share in part.at]
    warmup = int(part.over) if part.over >= 1 else max(1, round(part.over * steps))
    return [Cycle(start, until, warmup) for start, until in zip(starts, [*starts[1:], steps], strict=True)]

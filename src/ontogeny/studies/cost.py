"""What a study will cost in time and disk, said before it starts: from a short measured trial of each kind of training in it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ontogeny.disk import content_key, human_size
from ontogeny.display import QUIET, Display
from ontogeny.laboratory import Run
from ontogeny.recipe import Recipe
from ontogeny.studies.plan import Arm, Study
from ontogeny.studies.running import ArmSeed

WARM_UP = 3  # steps before the clock starts
STEPS = 12  # steps that are timed, if the training has as many


@dataclass(frozen=True, slots=True)
class SeedCost:
    """One seed of one kind of training, alone on the machine."""

    steps: int
    checkpoints: int
    step_seconds: float
    read_seconds: float  # all suites and the dev loss at one checkpoint
    disk: int  # bytes of checkpoints and state

    @property
    def seconds(self) -> float:
        """Of a whole training with every checkpoint read."""
        return self.steps * self.step_seconds + self.checkpoints * self.read_seconds


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a study, or of what is missing of it."""

    trainings: int
    seconds: float  # one after the other
    disk: int
    jobs: int
    per_training: tuple[float, float]  # shortest and longest, seconds

    def __str__(self) -> str:
        least, most = self.per_training
        each = f"{most:,.0f} s" if round(least) == round(most) else f"{least:,.0f} to {most:,.0f} s"
        return (
            f"{self.trainings} trainings of about {each}: {duration(self.seconds / self.jobs)} with {self.jobs} at a time "
            f"(more where they share memory and caches), {human_size(self.disk)} of disk"
        )


def cost(study: Study, pieces: Sequence[ArmSeed], jobs: int, display: Display = QUIET) -> Cost:
    """The cost of these trainings.  Each kind of training among them is tried for a few steps in a folder that is then deleted."""
    kinds = {kind_of(piece.arm): piece.arm for piece in pieces}
    with display.bar("what it will cost", len(kinds), "trials") as advance:
        trials = {}
        for kind, arm in kinds.items():
            trials[kind] = trial(arm.recipe, jobs)
            advance(1)
    each = [trials[kind_of(piece.arm)] for piece in pieces]
    seconds = [found.seconds for found in each] or [0.0]
    return Cost(len(pieces), sum(seconds), sum(found.disk for found in each), jobs, (min(seconds), max(seconds)))


def kind_of(arm: Arm) -> str:
    """Arms of one kind do the same arithmetic: one model, one size of batch, the same objectives, one reading."""
    training = arm.recipe.training.model_dump(mode="json", include={"context", "batch", "unit", "steps", "epochs", "precision"})
    return content_key(arm.recipe.model, training, _objectives(arm.recipe), arm.recipe.suites, arm.recipe.corpus.kind)


def _objectives(recipe: Recipe) -> list[Any]:
    from ontogeny.interventions import Objective

    return [part for part in recipe.interventions if isinstance(part, Objective)]


def trial(recipe: Recipe, jobs: int = 1) -> SeedCost:
    """A few steps of a recipe, and the reading of one checkpoint, timed.  Edits of the text cost no time in training: left out."""
    from ontogeny.training.loop import train
    from ontogeny.training.session import build, save_model
    from ontogeny.training.state import TrainingState

    plain = recipe.model_copy(update={"interventions": tuple(_objectives(recipe)), "seeds": recipe.seeds[:1], "name": "trial"})
    with TemporaryDirectory() as folder:
        here = Run.begin(plain, folder)
        plan, treatment = here.training_plan(jobs), here.treatment(plain.seeds[0])
        plan.engine.start()
        state = TrainingState(treatment.model(build(plain, here.text)).to(plan.engine.device), plain.training, treatment.changes)
        begun = min(WARM_UP, plan.steps - 1)
        ended = min(begun + STEPS, plan.steps)
        clock = []
        for moment in train(state, treatment, plain.training, plan.engine, plain.seeds[0], plan.steps, {begun, ended}):
            clock.append(time.perf_counter())
            if moment.step >= ended:
                break
        here.folder.write_checkpoint(
            plain.seeds[0], ended, lambda place: save_model(state.model, here.text.tokenizer, place), tokens=0, words=0
        )
        here.score_seed(plain.seeds[0])  # the suites are made and tokenised
        started = time.perf_counter()
        Run(Path(folder) / "trial").score_seed(plain.seeds[0], [ended])
        read = time.perf_counter() - started
    return SeedCost(plan.steps, len(plan.checkpoints), (clock[-1] - clock[0]) / (ended - begun), read, plan.disk(1))


def duration(seconds: float) -> str:
    """For people: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

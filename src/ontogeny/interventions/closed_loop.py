"""Closed loop: what early warning says while training goes on decides what is read more of from the next checkpoint on."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from ontogeny import disk
from ontogeny.interventions.counter_evidence import CounterEvidence, ReadsMore
from ontogeny.interventions.kinds import CorpusEdit, Course
from ontogeny.interventions.streams import edited
from ontogeny.records import OntogenyError
from ontogeny.tokens.rows import Rows, some_rows
from ontogeny.training.treatment import Change

if TYPE_CHECKING:
    from ontogeny.interventions.context import InterventionContext


class ClosedLoop(ReadsMore, Course):
    """Counter-evidence for the paradigms of `alarms` that early warning speaks of, from the next checkpoint on, seed by seed.

    Warnings are calibrated on finished runs; an alarm ends after two checkpoints in a row at which its paradigm is not below
    chance.  What stood when, and what was read for it, is kept beside the run's interventions.
    """

    kind: Literal["closed-loop"] = "closed-loop"
    finished: tuple[Path, ...] = Field(min_length=1)
    """Folders of finished runs that nothing was changed in, or tables of accuracies, to calibrate warnings on."""
    at: tuple[float, ...] = (0.1, 0.2, 0.35, 0.5)
    """Shares of training at which it listens, each to the newest checkpoint until then."""
    alpha: float = Field(0.1, gt=0, lt=1)
    """The share of paradigms that end well of which an alarm is raised all the same."""
    answers: Literal["alarms", "others"] = "alarms"
    """others: the control, documents for as many of the paradigms of which no alarm stands."""

    @field_validator("at")
    @classmethod
    def _within(cls, at: tuple[float, ...]) -> tuple[float, ...]:
        if wrong := [share for share in at if not 0 < share < 1]:
            raise ValueError(f"has {wrong[0]:g}; moments are shares of training between 0 and 1")
        return at

    def change(self, context: InterventionContext, seed: int) -> Change:
        """As Course has it.  Raises OntogenyError where nothing can be heard, or something else edits the text."""
        if other := next((part.kind for part in context.recipe.interventions if isinstance(part, CorpusEdit)), None):
            raise OntogenyError(f"interventions: closed-loop replaces documents of the untouched text; leave {other} out")
        scoring = context.recipe.scoring
        if not scoring.live or scoring.beside != "off":
            raise OntogenyError(
                "interventions: closed-loop hears of a checkpoint before training goes on from it; set scoring: {beside: off}"
                + ("" if scoring.live else " and live: true")
            )
        return Looped(self, context, seed)


class Looped(Change):
    """The loop of one seed's training."""

    def __init__(self, part: ClosedLoop, context: InterventionContext, seed: int):
        self.part, self.context, self.seed = part, context, seed
        self.standing = context.listen(seed, part.finished, part.at, part.alarms, part.alpha)
        self.answer = lru_cache(maxsize=None)(self._answer)
        self.heard: dict[int, list[str]] = {}  # by checkpoint

    def rows(self, rows: Rows, step: int, steps: int) -> Rows:
        """Those of the text with counter-evidence, while an alarm stands at the newest checkpoint."""
        first, end = min(self.part.at) * steps, self.part.when.until * steps
        newest = max((known for known in self.context.folder.steps(self.seed) if known <= step), default=0)
        if not first <= newest or step >= end:
            return rows
        if newest not in self.heard:
            self.heard[newest] = self.standing(newest, steps)
            self._keep()
        wanted = self._answered(self.heard[newest])
        return (self.answer(wanted) if wanted else None) or rows

    def _answered(self, standing: list[str]) -> tuple[str, ...]:
        others = [name for name in self.part.alarms if name not in standing]
        return tuple(standing if self.part.answers == "alarms" else others[: len(standing)])

    def _answer(self, alarms: tuple[str, ...]) -> Rows | None:
        """None, and why is said, where the text has nothing for them."""
        own = self.part.model_dump(include=set(CounterEvidence.model_fields) - {"kind", "alarms"})
        training = self.context.recipe.training
        try:
            text = edited(CounterEvidence.model_validate({**own, "alarms": alarms}), self.context)
        except OntogenyError as error:
            self.context.warn(f"seed {self.seed} reads on as it did: {error}")
            return None
        return some_rows(text, training.unit, training.context)

    def _keep(self) -> None:
        path, now = self.context.folder.loop(self.seed), max(self.heard)
        before = [row for row in (disk.read_json(path) if path.exists() else []) if row["step"] < now]  # of before a kill, too
        own = self.heard[now]
        disk.write_json(path, [*before, {"step": now, "alarms": own, "answered": self._answered(own)}])

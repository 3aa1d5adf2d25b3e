"""Closed loop: what early warning says while training goes on decides what is read more of, or counts more, from then on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from ontogeny import disk
from ontogeny.interventions.counter_evidence import CounterEvidence, ReadsMore
from ontogeny.interventions.kinds import CorpusEdit, Course, Intervention
from ontogeny.interventions.streams import edited
from ontogeny.records import OntogenyError
from ontogeny.tokens.rows import Rows, some_rows
from ontogeny.training.treatment import Change

if TYPE_CHECKING:
    from ontogeny.interventions.context import InterventionContext


class Listens(Intervention):
    """Hears from early warning, in the course of training, which of some paradigms look as those do that stay wrong.

    Warnings are calibrated on finished runs; an alarm ends after two checkpoints in a row at which its paradigm is not below
    chance.  What stood when is kept beside the run's interventions.
    """

    alarms: tuple[str, ...] = ()
    """The paradigms, of the recipe's suites.  A study refuses those that are held back for its exam."""
    finished: tuple[Path, ...] = ()
    """Folders of finished runs that nothing was changed in, or tables of accuracies, to calibrate warnings on."""
    at: tuple[float, ...] = (0.1, 0.2, 0.35, 0.5)
    """Shares of training at which it listens, each to the newest checkpoint until then."""
    alpha: float = Field(0.1, gt=0, lt=1)
    """The share of paradigms that end well of which an alarm is raised all the same."""

    @field_validator("at")
    @classmethod
    def _within(cls, at: tuple[float, ...]) -> tuple[float, ...]:
        if wrong := [share for share in at if not 0 < share < 1]:
            raise ValueError(f"has {wrong[0]:g}; moments are shares of training between 0 and 1")
        return at


class Heard:
    """The alarms of one seed's training: asked for once at each checkpoint, from the first moment until a share of training."""

    def __init__(
        self,
        part: Listens,
        context: InterventionContext,
        seed: int,
        until: float,
        answered: Callable[[list[str]], Sequence[str]] = tuple,
    ):
        """`answered`: the paradigms that something is done about, given those whose alarm stands.  Raises OntogenyError where
        nothing can be heard."""
        scoring = context.recipe.scoring
        if not scoring.live or scoring.beside != "off":
            raise OntogenyError(
                f"interventions: {part.kind} hears of a checkpoint before training goes on from it; set scoring: {{beside: off}}"
                + ("" if scoring.live else " and live: true")
            )
        self.context, self.seed, self.first, self.until, self.answered = context, seed, min(part.at), until, answered
        self.standing = context.listen(seed, part.finished, part.at, part.alarms, part.alpha)
        self.heard: dict[int, list[str]] = {}  # by checkpoint

    def answers(self, step: int, steps: int) -> tuple[str, ...]:
        """The paradigms that something is done about at a step, by the newest checkpoint; none before and after."""
        newest = max((known for known in self.context.folder.steps(self.seed) if known <= step), default=0)
        if not self.first * steps <= newest or step >= self.until * steps:
            return ()
        if newest not in self.heard:
            self.heard[newest] = self.standing(newest, steps)
            self._keep()
        return tuple(self.answered(self.heard[newest]))

    def _keep(self) -> None:
        path, now = self.context.folder.loop(self.seed), max(self.heard)
        before = [row for row in (disk.read_json(path) if path.exists() else []) if row["step"] < now]  # of before a kill, too
        own = self.heard[now]
        disk.write_json(path, [*before, {"step": now, "alarms": own, "answered": self.answered(own)}])


class ClosedLoop(ReadsMore, Listens, Course):
    """Counter-evidence for the paradigms of `alarms` that early warning speaks of, from the next checkpoint on, seed by seed.

    Warnings are calibrated on finished runs; an alarm ends after two checkpoints in a row at which its paradigm is not below
    chance.  What stood when, and what was read for it, is kept beside the run's interventions.
    """

    kind: Literal["closed-loop"] = "closed-loop"
    finished: tuple[Path, ...] = Field(min_length=1)
    """Folders of finished runs that nothing was changed in, or tables of accuracies, to calibrate warnings on."""
    answers: Literal["alarms", "others"] = "alarms"
    """others: the control, documents for as many of the paradigms of which no alarm stands."""

    def change(self, context: InterventionContext, seed: int) -> Change:
        """As Course has it.  Raises OntogenyError where nothing can be heard, or something else edits the text."""
        if other := next((part.kind for part in context.recipe.interventions if isinstance(part, CorpusEdit)), None):
            raise OntogenyError(f"interventions: closed-loop replaces documents of the untouched text; leave {other} out")
        return Looped(self, context, seed)


class Looped(Change):
    """The loop of one seed's training."""

    def __init__(self, part: ClosedLoop, context: InterventionContext, seed: int):
        self.part, self.context, self.seed = part, context, seed
        self.heard = Heard(part, context, seed, part.when.until, self._answered)
        self.answer = lru_cache(maxsize=None)(self._answer)

    def rows(self, rows: Rows, step: int, steps: int) -> Rows:
        """Those of the text with counter-evidence, while an alarm stands at the newest checkpoint."""
        wanted = self.heard.answers(step, steps)
        return (self.answer(wanted) if wanted else None) or rows

    def _answered(self, standing: list[str]) -> Sequence[str]:
        others = [name for name in self.part.alarms if name not in standing]
        return standing if self.part.answers == "alarms" else others[: len(standing)]

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

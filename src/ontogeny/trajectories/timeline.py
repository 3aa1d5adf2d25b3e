"""When a run was read, and which of its checkpoints are untrained, early or late."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontogeny.estimators.resampling import Floats as Floats
from ontogeny.estimators.resampling import Ints as Ints
from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError

Bools = NDArray[np.bool_]

ROUNDING = 1e-9  # .8 x 143,000 is not 114,400 in floating point; shares and accuracies are compared up to this
NEAREST = 0.5  # steps: a checkpoint that was asked for at a window's end is at the step nearest to it, on either side


@dataclass(frozen=True, slots=True)
class Timeline:
    """The clock of a run: its checkpoints, and what its training says about time, in optimiser steps."""

    steps: tuple[int, ...]  # of the checkpoints, ascending
    total: int  # the last step of training, whether or not it has been reached
    warmup: int | None = None  # steps of warm-up; None: unknown
    trained_from: int | None = None  # first step whose dev loss is below the unigram entropy; None: unknown
    tokens_per_step: float | None = None
    words_per_step: float | None = None  # whitespace words

    def __post_init__(self) -> None:
        if not self.steps:
            raise OntogenyError("a timeline needs checkpoints, and has none")
        for before, after in zip(self.steps, self.steps[1:], strict=False):
            if after <= before:
                raise OntogenyError(f"checkpoints must ascend: step {after} follows step {before}")
        if self.steps[0] < 0 or self.steps[-1] > self.total or self.total <= 0:
            raise OntogenyError(f"checkpoints {self.steps[0]} to {self.steps[-1]} lie outside steps 0 to {self.total}")

    def tokens(self, step: float | None) -> float | None:
        """Tokens seen in so many steps; None where either is unknown."""
        return None if step is None or self.tokens_per_step is None else step * self.tokens_per_step

    def words(self, step: float | None) -> float | None:
        """Whitespace words seen in so many steps; None where either is unknown."""
        return None if step is None or self.words_per_step is None else step * self.words_per_step


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """A run's checkpoints seen through its windows.  Every array has one entry a checkpoint."""

    steps: Ints
    total: int
    trained: Bools
    early: Bools
    late: Bools
    weights: Floats  # share of the trained steps that a checkpoint stands for; 0 where untrained
    early_weights: Floats  # share of the early window; 0 outside
    late_weights: Floats  # share of the late window; 0 outside


def windows(timeline: Timeline, thresholds: Thresholds) -> Windows:
    """Which checkpoints are trained, early and late, and how much of training each stands for.

    A checkpoint stands for the steps halfway to its trained neighbours; the first also for those back to the end of
    *untrained*, the last for none beyond itself.  Within a window that stretch is cut at the window's ends.  Raises
    OntogenyError where the end of warm-up is asked for and unknown, or where the early window runs into the late one.
    """
    start, end, late = boundaries(timeline, thresholds)
    steps = np.array(timeline.steps, dtype=np.int64)
    trained = steps >= start - ROUNDING * timeline.total
    in_early, in_late = trained & (steps <= end + NEAREST), trained & (steps >= late - NEAREST)
    left, right = _stretches(steps, trained, start)
    return Windows(
        steps=steps,
        total=timeline.total,
        trained=trained,
        early=in_early,
        late=in_late,
        weights=_shares(left, right, trained, start, timeline.total),
        early_weights=_shares(left, right, in_early, start, end),
        late_weights=_shares(left, right, in_late, late, timeline.total),
    )


def boundaries(timeline: Timeline, thresholds: Thresholds) -> tuple[float, float, float]:
    """Steps at which *untrained* ends, the early window ends and the late window begins.  Raises as `windows`
    does."""
    start = thresholds.untrained * timeline.total if timeline.trained_from is None else float(timeline.trained_from)
    if thresholds.early == "warmup":
        if timeline.warmup is None:
            raise OntogenyError("verdicts.early is warmup, but how long the warm-up was is not known: give a share")
        end = float(timeline.warmup)
    else:
        end = float(thresholds.early) * timeline.total
    late = (1 - thresholds.late) * timeline.total
    if end > late:
        raise OntogenyError(
            f"the early window ends at step {end:g}, after the late one begins at step {late:g}: "
            "make verdicts.early or verdicts.late smaller"
        )
    return start, end, late


def calendar(timeline: Timeline, thresholds: Thresholds) -> pl.DataFrame:
    """One row a checkpoint: step, share of training, tokens, words, window (untrained, early, middle, late), weight.

    `weight` is the share of the trained steps that the checkpoint stands for.
    """
    view = windows(timeline, thresholds)
    names = np.select([~view.trained, view.early, view.late], ["untrained", "early", "late"], "middle")
    return pl.DataFrame(
        {
            "step": view.steps,
            "share": view.steps / timeline.total,
            "tokens": [timeline.tokens(step) for step in timeline.steps],
            "words": [timeline.words(step) for step in timeline.steps],
            "window": names.tolist(),
            "weight": view.weights,
        },
        schema_overrides={"tokens": pl.Float64, "words": pl.Float64},
    )


def _stretches(steps: Ints, trained: Bools, start: float) -> tuple[Floats, Floats]:
    left, right = steps.astype(float), steps.astype(float)
    kept = steps[trained]
    if len(kept):
        middles = (kept[:-1] + kept[1:]) / 2
        left[trained] = np.r_[min(start, kept[0]), middles]
        right[trained] = np.r_[middles, kept[-1]]
    return left, right


def _shares(left: Floats, right: Floats, members: Bools, start: float, end: float) -> Floats:
    covered = np.where(members, np.clip(np.minimum(right, end) - np.maximum(left, start), 0, None), 0.0)
    if covered.sum() <= 0:  # a window of no length, or none of its checkpoints in it
        covered = members.astype(float)
    return np.asarray(covered / max(covered.sum(), 1e-300))

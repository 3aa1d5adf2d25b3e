"""The ten verdicts: what a sequence of states says about how a paradigm was learned, or was not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ontogeny.recipe import Thresholds
from ontogeny.trajectories.bands import States
from ontogeny.trajectories.timeline import ROUNDING, Bools, Floats, Windows


@dataclass(frozen=True, slots=True)
class StateRun:
    """Consecutive checkpoints in one state."""

    state: int
    first: int  # index of its first checkpoint
    last: int  # index of its last


@dataclass(frozen=True, slots=True)
class History:
    """All that a verdict looks at."""

    observed: bool  # enough checkpoints and pairs
    early: int  # state of the early window
    late: int  # state of the late window
    runs: tuple[StateRun, ...]  # at +1 and -1, in order of time
    first_wrong: int | None  # index of the first early checkpoint at -1
    fell: bool  # the late mean is far below the best mean of three checkpoints
    equivalent: bool  # the late mean is equivalent to one half

    def covering(self, cover: float, states: States, windows: Windows) -> History:
        """The same of windows that a state is to cover by another share."""
        early = window_state(states, windows.early, windows.early_weights, cover)
        return replace(self, early=early, late=window_state(states, windows.late, windows.late_weights, cover))

    def has(self, state: int) -> bool:
        """Whether there is a run at `state`."""
        return any(run.state == state for run in self.runs)

    def right_between(self) -> bool:
        """A run at +1 that begins after the first early -1."""
        return any(run.state == 1 and run.first > (self.first_wrong or 0) for run in self.runs)

    def wrong_first(self) -> bool:
        """A run at -1 with no run at +1 before it."""
        return bool(self.runs) and self.runs[0].state == -1

    def right_then_wrong(self) -> bool:
        """A run at +1 and then a run at -1."""
        order = [run.state for run in self.runs]
        return 1 in order and -1 in order[order.index(1) :]


RULES: tuple[tuple[str, Callable[[History], bool]], ...] = (
    ("unobserved", lambda h: not h.observed),
    ("entrenched", lambda h: h.early == -1 and h.late == -1 and not h.right_between()),
    ("forgotten", lambda h: h.has(1) and (h.late == -1 or (h.late == 0 and h.fell))),
    ("late-wrong", lambda h: h.late == -1),
    ("late recovery", lambda h: h.late == 1 and (h.early == -1 or h.wrong_first())),
    ("u-shaped", lambda h: h.late == 1 and h.right_then_wrong()),
    ("learned", lambda h: h.late == 1),
    ("escaped", lambda h: h.early == -1 or h.has(-1)),
    ("never separated", lambda h: not h.runs and h.equivalent),
    ("undecided", lambda h: True),
)
VERDICTS = tuple(name for name, _ in RULES)


def verdict(history: History) -> str:
    """The first of the ten verdicts that fits; exactly one always does."""
    return next(name for name, fits in RULES if fits(history))


def history(
    states: States,
    accuracy: Floats,
    windows: Windows,
    thresholds: Thresholds,
    *,
    enough: bool = True,
    equivalent: bool = False,
) -> History:
    """What the verdict needs of one curve: `states` and `accuracy` have one entry a checkpoint.

    `enough`: the paradigm has pairs enough for a verdict.  `equivalent`: its late mean is equivalent to one half.
    """
    wrong = np.flatnonzero(windows.early & (states == -1))
    return History(
        observed=enough and windows.early.sum() >= thresholds.min_early and windows.late.sum() >= thresholds.min_late,
        early=window_state(states, windows.early, windows.early_weights, thresholds.cover),
        late=window_state(states, windows.late, windows.late_weights, thresholds.cover),
        runs=runs(states, windows, thresholds),
        first_wrong=int(wrong[0]) if len(wrong) else None,
        fell=_fell(accuracy, windows, thresholds.drop),
        equivalent=equivalent,
    )


def window_state(states: States, members: Bools, weights: Floats, cover: float) -> int:
    """The state that covers `cover` of a window (weights add up to 1) or more and holds at its last checkpoint, else
    0."""
    inside = np.flatnonzero(members)
    if not len(inside):
        return 0
    last = int(states[inside[-1]])
    return last if weights[states == last].sum() >= cover - ROUNDING else 0


def runs(states: States, windows: Windows, thresholds: Thresholds) -> tuple[StateRun, ...]:
    """Runs at +1 and -1 among the trained checkpoints, in order of time.

    A run spans the steps from its first checkpoint to its last: what was seen at both ends, without the halves of the
    gaps around it, where nobody looked.
    """
    return tuple(
        StateRun(state, first, last)
        for state, first, last in stretches(states, windows)
        if last - first + 1 >= thresholds.run_length
        and windows.steps[last] - windows.steps[first] >= (thresholds.run_share - ROUNDING) * windows.total
    )


def stretches(states: States, windows: Windows) -> list[tuple[int, int, int]]:
    """State, first index and last index of each unbroken stretch of trained checkpoints at +1 or -1, however
    short."""
    kept = np.flatnonzero(windows.trained)
    if not len(kept):
        return []
    own = states[kept]
    starts = np.r_[0, np.flatnonzero(np.diff(own)) + 1]
    ends = np.r_[starts[1:] - 1, len(kept) - 1]
    out = own[starts] != 0
    starts, ends = starts[out], ends[out]
    return list(zip(own[starts].tolist(), kept[starts].tolist(), kept[ends].tolist(), strict=True))


def weighted_mean(values: Floats, weights: Floats) -> float | None:
    """Mean over a window whose weights add up to 1; None where it has no checkpoints."""
    return float(values @ weights) if weights.any() else None


def best_of_three(accuracy: Floats, windows: Windows) -> float:
    """The best mean of three consecutive trained checkpoints (of all, where fewer); -inf where there are none."""
    kept = accuracy[windows.trained]
    width = min(3, len(kept))
    return float(np.convolve(kept, np.ones(width) / width, mode="valid").max()) if width else -np.inf


def _fell(accuracy: Floats, windows: Windows, drop: float) -> bool:
    late = weighted_mean(accuracy, windows.late_weights)
    return late is not None and late <= best_of_three(accuracy, windows) - drop + ROUNDING

"""What stands beside a verdict: since when, for how long, by how much, and in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from ontogeny.trajectories.bands import States
from ontogeny.trajectories.timeline import Floats, Timeline, Windows
from ontogeny.trajectories.verdicts import History, stretches, weighted_mean

SPEAKS_OF = {  # the state that a verdict is about
    "entrenched": -1,
    "forgotten": 1,
    "late-wrong": -1,
    "late recovery": 1,
    "u-shaped": 1,
    "learned": 1,
    "escaped": -1,
}

REASONS = {
    "unobserved": "{early_checkpoints} early and {late_checkpoints} late checkpoints of {n} pairs are too few",
    "entrenched": "wrong early ({early_mean:.2f}), wrong late ({late_mean:.2f}), and no run right in between",
    "forgotten": "right in a run from step {onset_step}, but {late_mean:.2f} late",
    "late-wrong": "wrong late ({late_mean:.2f}), lastingly from step {onset_step}, but not early",
    "late recovery": "wrong first, right late ({late_mean:.2f}), lastingly from step {onset_step}",
    "u-shaped": "right, then wrong, then right again from step {onset_step} ({late_mean:.2f} late)",
    "learned": "right late ({late_mean:.2f}), lastingly from step {onset_step}{unbroken}",
    "escaped": "wrong from step {onset_step} but no longer: {late_mean:.2f} late",
    "never separated": "no run right or wrong, and {late_mean:.2f} late is equivalent to chance",
    "undecided": "{late_mean:.2f} late: neither right nor wrong for long enough, nor shown to be chance",
}

NO_CHANCE = "no chance level: not judged"

RESTS_ON = {  # the sides, early and late, that a verdict rests on; 0: none
    "entrenched": (-1, -1),
    "late-wrong": (0, -1),
    "late recovery": (-1, 1),
    "learned": (0, 1),
}
FIRM, MEAN_ONLY, DIFFER, ONE_SEED = STANDINGS = ("firm", "in the mean only", "seeds differ", "one seed")
Interval = tuple[float | None, float | None]


def reason(name: str, facts: Mapping[str, Any]) -> str:
    """One plain line that says why the verdict `name` was given, and what seeds say that do not all give it alone."""
    if not facts["chance"]:
        return NO_CHANCE
    alone = Counter(facts["seed_verdicts"] or [name])
    apart = set(alone) != {name}
    said = REASONS[name].format(unbroken="" if apart else ", without a run wrong before", **facts)
    if not apart:
        return said
    others = ", ".join(f"{count} {own}" for own, count in alone.most_common())
    return f"in the mean of {alone.total()} seeds {said}; alone: {others}"


def standing(
    name: str, told: History, alone: Sequence[tuple[str, History]], windows: Sequence[Interval], chance: float
) -> str | None:
    """How far the seeds bear a verdict out; None of unobserved.

    `alone`: each seed's verdict and what it was given for.  `windows`: intervals over seeds of the early and the late mean.
    firm: every seed alone gives the verdict; or most do, and the intervals leave chance out on its side in the windows that it
    rests on; or, of never separated, as its test is over seeds.  seeds differ: one ends right and another wrong.
    """
    if name == "unobserved" or len(alone) < 2:
        return None if name == "unobserved" else ONE_SEED
    if all(own == name for own, _ in alone):
        return FIRM
    if {1, -1} <= {own.late for _, own in alone}:
        return DIFFER
    sides = RESTS_ON.get(name, ())
    borne = all(_beyond(interval, side, chance) for interval, side in zip(windows, sides, strict=False))
    given = 2 * sum(own == name for own, _ in alone) > len(alone) and (
        name != "late recovery" or told.early == -1
    )  # else it rests on a run
    return FIRM if (sides and borne and given) or name == "never separated" else MEAN_ONLY


def tally(verdicts: pl.DataFrame) -> list[tuple[str, int, int | None]]:
    """Each verdict that is there: how many paradigms have it, and how many of them are firm (None: of one seed, or not known)."""
    kinds = verdicts.group_by("verdict").agg(
        count=pl.len(), firm=pl.when(pl.col("standing").ne(ONE_SEED).any()).then(pl.col("standing").eq(FIRM).sum())
    )
    return [(str(name), count, firm) for name, count, firm in kinds.sort("count", "verdict", descending=[True, False]).iter_rows()]


def tallied(verdicts: pl.DataFrame) -> str:
    """The same in words: 37 learned, 34 of them firm; 14 entrenched, all of them firm; 2 undecided."""
    said = []
    for name, count, firm in tally(verdicts):
        share = "" if firm is None else f", {'all' if firm == count else firm or 'none'} of them firm"
        said.append(f"{count} {name}{share if count > 1 or not share else ', firm' if firm else ', not firm'}")
    return "; ".join(said)


def borne_out(row: Mapping[str, Any]) -> str:
    """A row's standing in words, where seeds differ with what each says; empty where it is not known."""
    standing = row.get("standing") or ""
    return f"{standing}: {', '.join(row['seed_verdicts'])}" if standing == DIFFER else standing


def _beyond(interval: Interval, side: int, chance: float) -> bool:
    low, high = interval
    return side == 0 or (low is not None and high is not None and (high < chance if side < 0 else low > chance))


def onset(name: str, sequence: States, told: History, view: Windows, lasting: int) -> int | None:
    """Index of the first checkpoint of the separation that the verdict speaks of; None for those that speak of none.

    entrenched: the first -1.  escaped: that of the first run at -1, or the first -1.  forgotten: that of the first
    run at +1.  The others: the first state of theirs that lasts (after the first -1 in late recovery, after the run
    at -1 when u-shaped).
    """
    state = SPEAKS_OF.get(name)
    if state is None:
        return None
    if name in ("escaped", "forgotten") and told.has(state):
        return next(run.first for run in told.runs if run.state == state)
    if name in ("entrenched", "escaped"):
        return first_lasting(sequence, view, state, lasting=1)
    after = -1
    if name == "late recovery":
        after = first_lasting(sequence, view, -1, lasting=1) or 0
    if name == "u-shaped":
        right = next(run.first for run in told.runs if run.state == 1)
        after = next(run.last for run in told.runs if run.state == -1 and run.first > right)
    return first_lasting(sequence, view, state, lasting, after)


def first_lasting(sequence: States, view: Windows, state: int, lasting: int, after: int = -1) -> int | None:
    """Index of the first checkpoint, past `after`, of a stretch at `state` that lasts; None if there is none.

    Lasts: `lasting` trained checkpoints, or to the end.
    """
    final = int(np.flatnonzero(view.trained)[-1]) if view.trained.any() else -1
    for sign, first, last in stretches(sequence, view):
        if sign == state and first > after and (last - first + 1 >= lasting or last == final):
            return first
    return None


def extent(name: str, sequence: States, accuracy: Floats, view: Windows, chance: float) -> dict[str, float | None]:
    """How long and how far.

    sustained_share: share of the trained steps in the state that the verdict speaks of; separation: mean accuracy -
    chance there.

    Verdicts that speak of no state have no share, and the separation of their late mean.
    """
    state = SPEAKS_OF.get(name)
    if state is None:
        late = weighted_mean(accuracy, view.late_weights)
        return {"sustained_share": None, "separation": None if late is None else late - chance}
    weights = np.where(sequence == state, view.weights, 0.0)
    share = float(weights.sum())
    return {"sustained_share": share, "separation": float(weights @ accuracy) / share - chance if share else None}


def recovery(name: str, sequence: States, view: Windows, timeline: Timeline, start: int | None) -> dict[str, float | None]:
    """The cost of having been stuck: from the first -1 to the first lasting +1 (`start`), in steps, tokens and words.

    All None unless the verdict is late recovery.
    """
    steps = None
    if name == "late recovery" and start is not None:
        wrong = first_lasting(sequence, view, -1, lasting=1)
        steps = None if wrong is None else int(view.steps[start] - view.steps[wrong])
    return {"recovery_steps": steps, "recovery_tokens": timeline.tokens(steps), "recovery_words": timeline.words(steps)}

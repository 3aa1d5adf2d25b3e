"""How often a verdict would be given to pairs whose good and bad sentences are exchanged by the toss of a coin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ontogeny.estimators.significance import upper_limit
from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError
from ontogeny.scoring.options import CHANCE
from ontogeny.trajectories.cases import Case, PairsOf, cases
from ontogeny.trajectories.timeline import Bools, Floats, Timeline, Windows, windows
from ontogeny.trajectories.verdicts import history, verdict

FALSE_ALARMS = ("entrenched", "learned")
LARGEST_LIMIT = 0.10  # of the share of false alarms; verdicts whose null exceeds it are not to be trusted


@dataclass(frozen=True, slots=True)
class Null:
    """What swapping good and bad at random leaves of the verdicts."""

    swaps: int
    entrenched: int  # swaps in which any paradigm came out entrenched
    learned: int  # ... learned
    either: int
    share: float  # either / swaps
    limit: float  # exact one-sided upper limit of the share, at the wanted confidence

    @property
    def holds(self) -> bool:
        """Whether the limit is .10 or less."""
        return self.limit <= LARGEST_LIMIT


def null(curves: pl.DataFrame, timeline: Timeline, thresholds: Thresholds, pairs_of: PairsOf) -> Null:
    """Swaps good and bad of each pair with probability one half, `thresholds.swaps` times, and counts false alarms.

    A swap holds at every checkpoint and for every seed, so that what a pair does over time stays as it was.  Raises
    OntogenyError where no swaps are asked for, where pairs were not all read or have more
    options than two, and as `cases` does.
    """
    if thresholds.swaps < 1:
        raise OntogenyError("verdicts.swaps is 0: the null needs swaps")
    view = windows(timeline, thresholds)
    return null_of([alarms(case, view, thresholds) for case in cases(curves, timeline, thresholds, pairs_of)], thresholds)


def null_of(found: Sequence[Bools], thresholds: Thresholds) -> Null:
    """From the `alarms` of each paradigm."""
    alarms = np.any(found, axis=0)
    either = int(alarms.any(axis=0).sum())
    counts = dict(zip(FALSE_ALARMS, alarms.sum(axis=1).tolist(), strict=True))
    limit = upper_limit(either, thresholds.swaps, thresholds.confidence)
    return Null(thresholds.swaps, **counts, either=either, share=either / thresholds.swaps, limit=limit)


def swapped_curves(outcomes: Floats, swaps: int, generator: np.random.Generator) -> Floats:
    """(swaps, steps): accuracy after each swap, which makes 1 - x of x; `outcomes` (steps, pairs) are means over
    seeds."""
    signs = generator.integers(0, 2, (swaps, outcomes.shape[1])).astype(float) * 2 - 1
    return np.asarray(0.5 + signs @ (outcomes - 0.5).T / outcomes.shape[1])


def alarms(case: Case, view: Windows, thresholds: Thresholds) -> Bools:
    """(entrenched or learned, swaps): which swaps gave this paradigm which of the two."""
    assert case.pairs is not None
    if case.chance != CHANCE:
        raise OntogenyError(f"the null exchanges the two sentences of a pair, and items of {case.paradigm} have more options")
    if np.isnan(case.pairs.outcome).any() or case.pairs.outcome.shape[2] < case.n:
        raise OntogenyError(f"the null needs all pairs at every checkpoint, and those of {case.paradigm} were read until settled")
    curves = swapped_curves(case.pairs.outcome.mean(axis=0), thresholds.swaps, case.generator(thresholds.seed, "swaps"))
    sequences = case.states(curves)
    found = np.zeros((len(FALSE_ALARMS), thresholds.swaps), dtype=np.bool_)
    for swap in np.flatnonzero(sequences[:, view.late].any(axis=1)):  # both verdicts need a late state
        name = verdict(history(sequences[swap], curves[swap], view, thresholds, enough=case.enough))
        if name in FALSE_ALARMS:
            found[FALSE_ALARMS.index(name), swap] = True
    return found

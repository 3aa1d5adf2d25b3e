"""How a verdict changes with the thresholds that somebody else might have chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import polars as pl

from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError
from ontogeny.trajectories.bands import edge_at, states
from ontogeny.trajectories.cases import SCORINGS, Case, PairsOf, cases
from ontogeny.trajectories.timeline import Timeline, Windows, windows
from ontogeny.trajectories.verdicts import history, verdict

HI = (0.531, 0.553, 0.60)  # of two options; lo is mirrored
EARLY: tuple[float | Literal["warmup"], ...] = (0.05, 0.10, 0.20, "warmup")
COVER = (0.60, 0.80, 1.00)

Views = dict[float | str, Windows | None]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to set the thresholds, and the verdict under it."""

    hi: float
    early: str
    cover: float
    scoring: str
    verdict: str | None  # None: could not be judged (no token counts, warm-up unknown or longer than the middle)


def views(timeline: Timeline, thresholds: Thresholds) -> Views:
    """The windows under each early window of the variants; None where it is not known or runs into the late one."""
    return {early: _view(timeline, thresholds.model_copy(update={"early": early})) for early in EARLY}


def variants(case: Case, by_early: Views, thresholds: Thresholds) -> Iterator[Variant]:
    """The verdict of one paradigm under every combination: 3 hi x 4 early x 3 cover x 2 scorings."""
    some = next((view for view in by_early.values() if view is not None), None)
    for scoring in SCORINGS:
        known = some is not None and scoring in case.accuracy
        accuracy = case.curve(scoring) if known else case.curve()
        sequences = {hi: states(accuracy, edge_at(hi, case.chance), case.chance) for hi in HI}
        equivalent = False
        if some is not None and known:  # the late window is the same in all variants
            p = case.over(some.late_weights, scoring).equivalence(thresholds.equivalence)
            equivalent = p <= 1 - thresholds.confidence
        for (hi, sequence), early in product(sequences.items(), EARLY):
            view, told = by_early[early], None
            if known and view is not None:
                told = history(sequence, accuracy, view, thresholds, enough=case.enough, equivalent=equivalent)
            for cover in COVER:
                name = None if told is None or view is None else verdict(told.covering(cover, sequence, view))
                yield Variant(hi, str(early), cover, scoring, name)


def stability(found: list[Variant], own: str, thresholds: Thresholds) -> dict[str, Any]:
    """How many variants could be judged, how many of them leave the verdict `own` unchanged, and what changes it.

    `changes_with` names the thresholds that change it alone, the others being at their nearest to the recipe's.
    """
    judged = [v for v in found if v.verdict is not None and (v.verdict != "unobserved" or own == "unobserved")]
    return {
        "unchanged": sum(v.verdict == own for v in judged),
        "variants": len(judged),
        "changes_with": [name for name in ("hi", "early", "cover", "scoring") if _depends(judged, name, thresholds)],
    }


def sensitivity(curves: pl.DataFrame, timeline: Timeline, thresholds: Thresholds, pairs_of: PairsOf | None = None) -> pl.DataFrame:
    """One row a paradigm and combination: paradigm, hi, early, cover, scoring, verdict (null: could not be judged).

    Per-token scoring needs the curves' `accuracy_per_token` or pairs.  Raises as `cases` does.
    """
    by_early = views(timeline, thresholds)
    every = cases(curves, timeline, thresholds, pairs_of)
    return sensitivity_of({case.paradigm: list(variants(case, by_early, thresholds)) for case in every})


def sensitivity_of(found: Mapping[str, Sequence[Variant]]) -> pl.DataFrame:
    """From the `variants` of each paradigm."""
    rows = [(name, v.hi, v.early, v.cover, v.scoring, v.verdict) for name, own in found.items() for v in own]
    schema = dict.fromkeys(("paradigm", "hi", "early", "cover", "scoring", "verdict"), pl.String)
    return pl.DataFrame(rows, schema=schema | {"hi": pl.Float64, "cover": pl.Float64}, orient="row")


def _view(timeline: Timeline, thresholds: Thresholds) -> Windows | None:
    try:
        return windows(timeline, thresholds)
    except OntogenyError:
        return None


def _depends(judged: list[Variant], name: str, thresholds: Thresholds) -> bool:
    """Whether `name` alone makes a difference, all else as near as the grid comes to the recipe's own thresholds."""
    early = thresholds.early if thresholds.early in EARLY else 0.10
    hi = min(HI, key=lambda value: abs(value - (thresholds.hi or 0.553)))
    cover = min(COVER, key=lambda value: abs(value - thresholds.cover))
    usual = {"hi": hi, "early": str(early), "cover": cover, "scoring": "sum"}
    del usual[name]
    found = {v.verdict for v in judged if all(getattr(v, key) == value for key, value in usual.items())}
    return len(found) > 1

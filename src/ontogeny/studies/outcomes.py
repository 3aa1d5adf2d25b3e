"""Each pair's margin and outcome early and late in training, from the scores of an arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from ontogeny.disk import collected, scan_table
from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError
from ontogeny.scoring import settled
from ontogeny.store import RunFolder
from ontogeny.suites import held_out
from ontogeny.trajectories.curves import margin, outcome
from ontogeny.trajectories.timeline import Floats, Windows


def outcomes_of(
    run: RunFolder, suites: Mapping[str, Sequence[str]], seeds: Sequence[int], view: Windows, thresholds: Thresholds
) -> list[pl.DataFrame]:
    """One frame a suite and seed: seed, paradigm, pair, contrast, held, early_margin, early_accuracy, late_margin, late_accuracy.

    `suites`: the paradigms that are wanted of each.  Means over a window weigh each checkpoint by the steps that it stands for, as
    the verdicts do; ties count as they say.  Null where a window has no checkpoint.  One seed is read at a
    time, and of its checkpoints only those of the two windows.  Raises OntogenyError if one of them has not been scored.
    """
    found = []
    for suite, paradigms in suites.items():
        settled.need_all(run, suite, "an effect on pairs")
        contrasts = scan_table(run.pairs(suite)).select("paradigm", "pair", "contrast", _held())
        for seed in seeds:
            pairs = _of_seed(run, suite, seed, view, thresholds, paradigms)
            if pairs is not None:
                whole = pairs.join(contrasts, on=["paradigm", "pair"], how="left").sort("paradigm", "pair")
                own = pl.lit(seed, pl.Int64).alias("seed")
                columns = ("early_margin", "early_accuracy", "late_margin", "late_accuracy")
                found.append(collected(whole.select(own, "paradigm", "pair", "contrast", "held", *columns)))
    return found


def _held() -> pl.Expr:
    """Whether a pair's words are held out from interventions that look at words."""
    both = pl.struct("good", "bad")
    return both.map_elements(lambda pair: held_out(pair["good"], pair["bad"]), pl.Boolean).alias("held")


def _of_seed(
    run: RunFolder, suite: str, seed: int, view: Windows, thresholds: Thresholds, paradigms: Sequence[str]
) -> pl.LazyFrame | None:
    inside = [i for i in range(len(view.steps)) if view.early[i] or view.late[i]]
    if gone := [int(view.steps[i]) for i in inside if not run.scores(seed, suite, int(view.steps[i])).exists()]:
        raise OntogenyError(f"{run.path}: seed {seed} has no scores on {suite} at step {gone[0]}; run: ontogeny score {run.path}")
    scans = [
        scan_table(run.scores(seed, suite, int(view.steps[i])))
        .filter(pl.col("paradigm").is_in(list(paradigms)))
        .select("paradigm", "pair", margin=margin(), accuracy=outcome(thresholds.tie, thresholds.tie_counts))
        .with_columns(early=pl.lit(float(view.early_weights[i])), late=pl.lit(float(view.late_weights[i])))
        for i in inside
    ]
    means = [*_means("early", view.early_weights), *_means("late", view.late_weights)]
    if not scans:
        return None  # read before it is summed: of what is scanned, files come in any order, and sums are rounded by it
    return collected(pl.concat(scans)).group_by("paradigm", "pair", maintain_order=True).agg(*means).lazy()


def _means(window: str, weights: Floats) -> list[pl.Expr]:
    """Weighted means over a window whose weights add up to 1; null where it has no checkpoint."""
    if not weights.any():
        return [pl.lit(None, pl.Float64).alias(f"{window}_{what}") for what in ("margin", "accuracy")]
    return [(pl.col(what) * pl.col(window)).sum().alias(f"{window}_{what}") for what in ("margin", "accuracy")]

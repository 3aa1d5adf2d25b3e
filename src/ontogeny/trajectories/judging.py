"""Curves in, verdicts with their evidence out."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from ontogeny.recipe import Thresholds
from ontogeny.scoring.options import CHANCE
from ontogeny.trajectories import evidence, summaries
from ontogeny.trajectories.bootstrap import percentiles, resampled_curves
from ontogeny.trajectories.cases import Case, PairsOf, cases
from ontogeny.trajectories.sensitivity import Views, stability, variants, views
from ontogeny.trajectories.significance import adjusted, binomial_test, sign_test
from ontogeny.trajectories.timeline import Floats, Timeline, Windows, windows
from ontogeny.trajectories.verdicts import History, history, verdict, weighted_mean

SCHEMA: dict[str, Any] = {
    "paradigm": pl.String,
    "n": pl.Int64,
    "seeds": pl.Int64,
    "verdict": pl.String,
    "reason": pl.String,
    "early_state": pl.Int8,
    "late_state": pl.Int8,
    "states": pl.List(pl.Int8),
    "hi": pl.Float64,
    "early_mean": pl.Float64,
    "late_mean": pl.Float64,
    "late_low": pl.Float64,
    "late_high": pl.Float64,
    "onset_step": pl.Int64,
    "sustained_share": pl.Float64,
    "separation": pl.Float64,
    "p": pl.Float64,
    "p_adjusted": pl.Float64,
    "equivalence_p": pl.Float64,
    "agreement": pl.Float64,
    "seed_verdicts": pl.List(pl.String),
    "seed_sd": pl.Float64,
    "aoa_halfway": pl.Float64,
    "aoa_lasting": pl.Int64,
    "variability": pl.Float64,
    "forgetting": pl.Float64,
    "breakthrough": pl.Float64,
    "change_points": pl.List(pl.Struct({"step": pl.Int64, "shift": pl.Float64, "low": pl.Int64, "high": pl.Int64})),
    "recovery_steps": pl.Int64,
    "recovery_tokens": pl.Float64,
    "recovery_words": pl.Float64,
    "length_accuracy": pl.Float64,
    "length_state": pl.Int8,
    "unchanged": pl.Int64,
    "variants": pl.Int64,
    "changes_with": pl.List(pl.String),
}


def judge(
    curves: pl.DataFrame, timeline: Timeline, thresholds: Thresholds | None = None, pairs_of: PairsOf | None = None
) -> pl.DataFrame:
    """One row a paradigm, alphabetically: its verdict over all seeds and the evidence for it.

    `curves` has seed, step, paradigm, n, accuracy and what else `curve` gives, of one suite; and `chance` where that is
    not one half for all.  `pairs_of(paradigm)`
    gives the pairs: seed, step, pair, contrast, logp_good, logp_bad, tokens_good, tokens_bad; it is asked for one
    paradigm at a time.

    Columns: verdict and reason; states (one a checkpoint, null where untrained) with `hi`; early_mean, late_mean with
    its Multi-Bootstrap interval late_low, late_high; onset_step, sustained_share, separation; p of the sign test over
    pairs (late window, mean over seeds), p_adjusted over paradigms; equivalence_p of the two one-sided tests;
    agreement, seed_verdicts (seeds ascending) and seed_sd (of the last checkpoint's accuracy), null for one seed;
    aoa_halfway, aoa_lasting, variability, forgetting, breakthrough, change_points; recovery_*; the length-only
    scorer's length_accuracy and length_state; unchanged in so many of `variants` of the thresholds, and changes_with.

    Without pairs the sign test is a binomial test of n x the late mean, the interval is over seeds with a binomial
    error, equivalence takes the largest spread that pairs can have, and change points get their intervals from seeds
    alone. Raises OntogenyError for curves or pairs that are incomplete (see `cases`) and windows that cannot be had
    (see `windows`).
    """
    thresholds = thresholds or Thresholds()
    view, by_early = windows(timeline, thresholds), views(timeline, thresholds)
    rows = [_judged(case, timeline, view, by_early, thresholds) for case in cases(curves, timeline, thresholds, pairs_of)]
    table = pl.DataFrame(rows, schema={name: kind for name, kind in SCHEMA.items() if name != "p_adjusted"}, orient="row")
    table = _adjust(table).select(*SCHEMA)
    kept = [name for name in ("suite", "field", "phenomenon", "chance") if name in curves.columns]
    return curves.select("paradigm", *kept).unique("paradigm").join(table, on="paradigm").sort("paradigm").select(*kept, *SCHEMA)


def _judged(case: Case, timeline: Timeline, view: Windows, by_early: Views, thresholds: Thresholds) -> dict[str, Any]:
    """The row of one paradigm; the parts below each fill some of its columns."""
    accuracy = case.curve()
    sequence = case.states(accuracy)
    p = case.equivalence(view, thresholds.equivalence) if view.late.any() else None
    told = _told(case, accuracy, p, view, thresholds)
    name = verdict(told)
    start = evidence.onset(name, sequence, told, view, thresholds.lasting)
    row: dict[str, Any] = {
        "paradigm": case.paradigm,
        "n": case.n,
        "seeds": len(case.accuracy["sum"]),
        "verdict": name,
        "early_state": told.early if view.early.any() else None,
        "late_state": told.late if view.late.any() else None,
        "states": [int(s) if trained else None for s, trained in zip(sequence, view.trained, strict=True)],
        "hi": case.hi,
        "early_mean": weighted_mean(accuracy, view.early_weights),
        "late_mean": weighted_mean(accuracy, view.late_weights),
        "onset_step": None if start is None else int(view.steps[start]),
        "equivalence_p": p,
        "length_accuracy": case.length,
        "length_state": None if case.length is None else int(case.states(np.array(case.length))),
    }
    row |= evidence.extent(name, sequence, accuracy, view, case.chance)
    row |= evidence.recovery(name, sequence, view, timeline, start)
    row |= _tested(case, view, thresholds) | _by_seed(case, name, view, thresholds)
    row |= _summarised(case, accuracy, view, thresholds)
    row |= stability(list(variants(case, by_early, thresholds)), name, thresholds)
    counts = {"early_checkpoints": int(view.early.sum()), "late_checkpoints": int(view.late.sum())}
    return row | {"reason": evidence.reason(name, row | counts)}


def _told(case: Case, accuracy: Floats, p: float | None, view: Windows, thresholds: Thresholds) -> History:
    equivalent = p is not None and p <= 1 - thresholds.confidence
    return history(case.states(accuracy), accuracy, view, thresholds, enough=case.enough, equivalent=equivalent)


def _tested(case: Case, view: Windows, thresholds: Thresholds) -> dict[str, Any]:
    if not view.late.any():
        return {"p": None}
    scores = case.late_scores(view)
    late = float(case.curve() @ view.late_weights)
    if scores is None:
        return {"p": binomial_test(late, case.n, case.chance)}
    if case.chance != CHANCE:  # above and below it are not as likely
        return {"p": binomial_test(float(scores.mean()), scores.shape[1], case.chance)}
    return {"p": sign_test(scores.mean(axis=0))}


def _by_seed(case: Case, name: str, view: Windows, thresholds: Thresholds) -> dict[str, Any]:
    """Each seed's own verdict, as if it were the only one."""
    by_seed = case.accuracy["sum"]
    if len(by_seed) < 2:
        return {"agreement": None, "seed_verdicts": None, "seed_sd": None}
    own = []
    for seed, accuracy in enumerate(by_seed):
        p = case.equivalence(view, thresholds.equivalence, seed=seed) if view.late.any() else None
        own.append(verdict(_told(case, accuracy, p, view, thresholds)))
    return {
        "agreement": sum(other == name for other in own) / len(own),
        "seed_verdicts": own,
        "seed_sd": float(by_seed[:, -1].std(ddof=1)),
    }


def _summarised(case: Case, accuracy: Floats, view: Windows, thresholds: Thresholds) -> dict[str, Any]:
    """The learning-curve summaries, and what needs the bootstrap."""
    steps, trained = view.steps[view.trained], accuracy[view.trained]
    drawn = resampled_curves(case, thresholds)
    alone = case.pairs is None and len(case.accuracy["sum"]) < 2  # then resamples differ in level only
    found = summaries.change_points(steps, trained, case.n, None if alone else drawn[:, view.trained], thresholds.confidence)
    low, high = percentiles(drawn @ view.late_weights, thresholds.confidence)
    late = view.late.any()
    return {
        "late_low": float(low) if late else None,
        "late_high": float(high) if late else None,
        "aoa_halfway": summaries.acquired_halfway(steps, trained, case.hi, case.chance),
        "aoa_lasting": summaries.acquired_lasting(steps, trained, case.hi, thresholds.lasting),
        "variability": summaries.variability(accuracy[view.late]),
        "forgetting": summaries.forgetting(trained),
        "breakthrough": summaries.breakthrough(steps, trained, case.hi - case.chance),
        "change_points": [asdict(point) for point in found],
    }


def _adjust(table: pl.DataFrame) -> pl.DataFrame:
    """Benjamini-Hochberg over the paradigms that have a p."""
    known = table["p"].is_not_null().to_numpy()
    p = np.full(len(table), np.nan)
    if known.any():
        p[known] = adjusted(table["p"].drop_nulls().to_numpy())
    return table.with_columns(p_adjusted=pl.Series(p).fill_nan(None))

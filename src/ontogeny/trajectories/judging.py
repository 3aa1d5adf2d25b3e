"""Curves in, verdicts with their evidence out."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from ontogeny.estimators.significance import adjusted
from ontogeny.recipe import Thresholds
from ontogeny.trajectories import evidence, summaries
from ontogeny.trajectories.cases import Case, PairsOf, WindowMean, cases
from ontogeny.trajectories.intervals import resampled_curves
from ontogeny.trajectories.nulls import Null, alarms, null_of
from ontogeny.trajectories.sensitivity import Variant, sensitivity_of, stability, variants, views
from ontogeny.trajectories.timeline import Floats, Timeline, Windows, windows
from ontogeny.trajectories.verdicts import History, history, verdict

WINDOWS = ("early", "late")
SCHEMA: dict[str, Any] = {
    "paradigm": pl.String,
    "n": pl.Int64,
    "seeds": pl.Int64,
    "verdict": pl.String,
    "reason": pl.String,
    "standing": pl.String,
    "early_state": pl.Int8,
    "late_state": pl.Int8,
    "states": pl.List(pl.Int8),
    "hi": pl.Float64,
    "early_mean": pl.Float64,
    "early_low": pl.Float64,
    "early_high": pl.Float64,
    "late_mean": pl.Float64,
    "late_low": pl.Float64,
    "late_high": pl.Float64,
    "covers": pl.String,
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

OF_CHANCE = (  # what is told from chance, and so is not known of a paradigm that has no chance level
    *("early_state", "late_state", "states", "hi", "p", "equivalence_p", "aoa_lasting", "breakthrough"),
    *("sustained_share", "separation", "length_accuracy", "length_state"),
)


def judge(
    curves: pl.DataFrame, timeline: Timeline, thresholds: Thresholds | None = None, pairs_of: PairsOf | None = None
) -> pl.DataFrame:
    """One row a paradigm, alphabetically: its verdict over all seeds and the evidence for it.

    `curves` has seed, step, paradigm, n, accuracy and what else `curve` gives, of one suite; and `chance` where that is
    not one half for all.  `pairs_of(paradigm)`
    gives the pairs: seed, step, pair, contrast, logp_good, logp_bad, tokens_good, tokens_bad; it is asked for one
    paradigm at a time.

    Columns: verdict, reason and standing (see `evidence.standing`); states (one a checkpoint, null where untrained) with
    `hi`; early_mean, late_mean with their intervals, p that the late mean is chance, p_adjusted over paradigms, and
    equivalence_p of the two one-sided tests, all of them over what `covers` says; onset_step, sustained_share, separation;
    agreement, seed_verdicts (seeds ascending) and seed_sd (of the last checkpoint's accuracy), null for one seed;
    aoa_halfway, aoa_lasting, variability, forgetting, breakthrough, change_points; recovery_*; the length-only
    scorer's length_accuracy and length_state; unchanged in so many of `variants` of the thresholds, and changes_with.

    Without pairs intervals and tests are over seeds and n independent pairs, and change points get their intervals from
    seeds alone.  Raises OntogenyError for curves or pairs that are incomplete (see `cases`) and windows that cannot be had
    (see `windows`).
    """
    return judge_whole(curves, timeline, thresholds, pairs_of)[0]


def judge_whole(
    curves: pl.DataFrame,
    timeline: Timeline,
    thresholds: Thresholds | None = None,
    pairs_of: PairsOf | None = None,
    swap: bool = False,
) -> tuple[pl.DataFrame, pl.DataFrame, Null | None]:
    """As `judge`, `sensitivity` and, if to `swap`, `null`: in one pass, as pairs may be many."""
    thresholds = thresholds or Thresholds()
    view, by_early = windows(timeline, thresholds), views(timeline, thresholds)
    rows, tried, swapped = [], {}, []
    for case in cases(curves, timeline, thresholds, pairs_of):
        tried[case.paradigm] = list(variants(case, by_early, thresholds))
        rows.append(_judged(case, timeline, view, tried[case.paradigm], thresholds))
        swapped += [alarms(case, view, thresholds)] if swap else []
    table = pl.DataFrame(rows, schema={name: kind for name, kind in SCHEMA.items() if name != "p_adjusted"}, orient="row")
    table = _adjust(table).select(*SCHEMA)
    kept = [name for name in ("suite", "field", "phenomenon", "chance") if name in curves.columns]
    table = curves.select("paradigm", *kept).unique("paradigm").join(table, on="paradigm").sort("paradigm").select(*kept, *SCHEMA)
    return table, sensitivity_of(tried), null_of(swapped, thresholds) if swap else None


def judge_alone(curves: pl.DataFrame, timeline: Timeline, thresholds: Thresholds) -> dict[str, str]:
    """The verdict of each paradigm from its curves and without the evidence for it, for whoever tries many thresholds."""
    view, found = windows(timeline, thresholds), {}
    for case in cases(curves, timeline, thresholds):
        late = case.over(view.late_weights) if view.late_weights.any() else None
        equivalence = None if late is None else late.equivalence(thresholds.equivalence)
        found[case.paradigm] = verdict(_told(case, case.curve(), equivalence, view, thresholds))
    return found


def _judged(case: Case, timeline: Timeline, view: Windows, tried: list[Variant], thresholds: Thresholds) -> dict[str, Any]:
    """The row of one paradigm; the parts below each fill some of its columns."""
    accuracy = case.curve()
    sequence = case.states(accuracy)
    early, late = (case.over(weights) if weights.any() else None for weights in (view.early_weights, view.late_weights))
    equivalence = None if late is None else late.equivalence(thresholds.equivalence)
    told = _told(case, accuracy, equivalence, view, thresholds)
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
        "onset_step": None if start is None else int(view.steps[start]),
        "covers": case.covers,
        "p": float(late.accuracy().p(case.chance)) if late and case.chance else None,
        "equivalence_p": equivalence,
        "length_accuracy": case.length,
        "length_state": None if case.length is None else int(case.states(np.array(case.length))),
    }
    row |= _estimated("early", early, thresholds) | _estimated("late", late, thresholds)
    row |= evidence.extent(name, sequence, accuracy, view, case.chance)
    row |= evidence.recovery(name, sequence, view, timeline, start)
    row |= _by_seed(case, name, late, view, thresholds)
    alone = row.pop("alone")
    row["standing"] = evidence.standing(name, told, alone, [(row[f"{w}_low"], row[f"{w}_high"]) for w in WINDOWS], case.chance)
    row |= _summarised(case, accuracy, view, thresholds)
    row |= stability(tried, name, thresholds)
    counts = {"early_checkpoints": int(view.early.sum()), "late_checkpoints": int(view.late.sum())}
    row |= dict.fromkeys(() if case.chance else OF_CHANCE)
    return row | {"reason": evidence.reason(name, row | counts | {"chance": case.chance})}


def _told(case: Case, accuracy: Floats, p: float | None, view: Windows, thresholds: Thresholds) -> History:
    equivalent = p is not None and p <= 1 - thresholds.confidence
    return history(case.states(accuracy), accuracy, view, thresholds, enough=case.enough, equivalent=equivalent)


def _estimated(name: str, window: WindowMean | None, thresholds: Thresholds) -> dict[str, float | None]:
    if window is None:
        return dict.fromkeys(f"{name}_{what}" for what in ("mean", "low", "high"))
    low, high = window.accuracy().interval(thresholds.confidence)
    return {f"{name}_mean": float(window.by_seed.mean()), f"{name}_low": float(low), f"{name}_high": float(high)}


def _by_seed(case: Case, name: str, late: WindowMean | None, view: Windows, thresholds: Thresholds) -> dict[str, Any]:
    """Each seed's own verdict, as if it were the only one; `alone`: with what it was given for."""
    by_seed = case.accuracy["sum"]
    if len(by_seed) < 2:
        return {"agreement": None, "seed_verdicts": None, "seed_sd": None, "alone": []}
    p = [None if late is None else late.equivalence(thresholds.equivalence, seed) for seed in range(len(by_seed))]
    told = [_told(case, *own, view, thresholds) for own in zip(by_seed, p, strict=True)]
    alone = [(verdict(own), own) for own in told]
    return {
        "agreement": sum(other == name for other, _ in alone) / len(alone),
        "seed_verdicts": [other for other, _ in alone],
        "seed_sd": float(by_seed[:, -1].std(ddof=1)),
        "alone": alone,
    }


def _summarised(case: Case, accuracy: Floats, view: Windows, thresholds: Thresholds) -> dict[str, Any]:
    """The learning-curve summaries, and what needs the bootstrap."""
    steps, trained = view.steps[view.trained], accuracy[view.trained]
    kept = summaries.thinned(steps)
    alone = case.pairs is None and len(case.accuracy["sum"]) < 2  # then resamples differ in level only
    drawn = None if alone else resampled_curves(case, thresholds, np.flatnonzero(view.trained)[kept])
    found = summaries.change_points(steps[kept], trained[kept], case.n, drawn, thresholds.confidence)
    return {
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

"""Accuracy and margin of each paradigm at each checkpoint, with intervals; and curves of resamples, for change points."""

from __future__ import annotations

import numpy as np
import polars as pl

from ontogeny.estimators.means import mean
from ontogeny.estimators.resampling import binomial_bootstrap, bootstrap_of_read, cluster_sums
from ontogeny.recipe import Thresholds
from ontogeny.trajectories.cases import Case, PairScores, PairsOf, cases, weighed
from ontogeny.trajectories.curves import timeline_of
from ontogeny.trajectories.timeline import Floats, Ints, Timeline


def resampled_curves(case: Case, thresholds: Thresholds, kept: Ints) -> Floats:
    """(resamples, kept): the paradigm's accuracy in each resample at some steps, from its pairs or, without them, binomially."""
    generator = case.generator(thresholds.seed, "bootstrap")
    if case.pairs is None:
        return binomial_bootstrap(case.accuracy["sum"][:, kept], case.n, thresholds.resamples, generator)
    return bootstrap_of_read(case.pairs.outcome[:, kept], case.pairs.contrast, thresholds.resamples, generator)


def intervals(
    curves: pl.DataFrame,
    thresholds: Thresholds,
    pairs_of: PairsOf | None = None,
    timeline: Timeline | None = None,
) -> pl.DataFrame:
    """Accuracy and mean margin of each paradigm at each step with intervals over seeds x contrasts, as the table of verdicts has.

    Columns: paradigm, step, accuracy, low, high, margin, margin_low, margin_high (nats; null without pairs), covers.  Raises
    as `cases` does.
    """
    timeline = timeline or timeline_of(curves)
    return pl.concat(_intervals_of(case, thresholds, timeline) for case in cases(curves, timeline, thresholds, pairs_of))


def _intervals_of(case: Case, thresholds: Thresholds, timeline: Timeline) -> pl.DataFrame:
    at = np.eye(len(timeline.steps))
    ends = [case.over(one).accuracy().interval(thresholds.confidence) for one in at]
    low, high = (np.array([float(end[side]) for end in ends]) for side in (0, 1))
    columns = {"step": np.array(timeline.steps), "accuracy": case.curve(), "low": low, "high": high}
    frame = pl.DataFrame(columns).select(pl.lit(case.paradigm).alias("paradigm"), pl.all())
    margins = np.full((3, len(at)), np.nan) if case.pairs is None else _margins(case.pairs, at, thresholds.confidence)
    named = dict(zip(("margin", "margin_low", "margin_high"), map(pl.Series, margins), strict=True))
    return frame.with_columns(**named).with_columns(pl.col(*named).fill_nan(None), covers=pl.lit(case.covers))


def _margins(pairs: PairScores, at: Floats, confidence: float) -> Floats:
    """(mean, low, high; steps)."""
    tables = [cluster_sums(weighed(pairs.margin[:, one > 0], one[one > 0]), pairs.units) for one in at]
    means = [mean(sums, sizes) for sums, sizes in tables]
    return np.array([(one.value, *one.interval(confidence)) for one in means]).T

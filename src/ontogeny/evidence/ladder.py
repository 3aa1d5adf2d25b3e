"""The ladder of n-grams: which order's margins the network's resemble, from checkpoint to checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import norm, rankdata

from ontogeny.instruments.ngram_margins import NOISE, NgramMargins, ngram_margins
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.trajectories.curves import need
from ontogeny.trajectories.timeline import Floats, Ints

Tables = Iterable[tuple[int, int, pl.DataFrame]]  # seed, step, the scores of that checkpoint's pairs
FEWEST_POINTS = 4  # of one correlation: Fisher's interval needs more than three
DECIMALS = 9  # margins that are equal up to here, in nats, share a rank
LASTING = 2  # checkpoints: what a run takes, and what it takes to have left a rung
RUNGS = {
    "suite": pl.String,
    "seed": pl.Int64,
    "paradigm": pl.String,
    "closest_order": pl.Int64,
    "closest_step": pl.Int64,
    "peak_r": pl.Float64,
    "end_r": pl.Float64,
    "left_step": pl.Int64,
}


class Ladder:
    """The n-gram margins of a suite, ranked and standardised once, to hold any number of checkpoints against."""

    def __init__(self, ngrams: NgramMargins):
        self.ngrams = ngrams
        self.views = {
            "pairs": _View(ngrams.values, np.zeros(1, dtype=np.int64)),
            "within": _View(ngrams.values, ngrams.starts),
            "paradigms": _View(_means(ngrams.values, ngrams.starts), np.zeros(1, dtype=np.int64)),
        }

    def at(self, scores: pl.DataFrame) -> pl.DataFrame:
        """One checkpoint: Pearson's r and Spearman's rho of the network's margins with those of each n-gram model.

        Columns: paradigm ("" = the whole suite), by, level, order, r, rho, n (points correlated).  Of the whole suite, by
        "pairs" is over all pairs pooled; "within" is the mean over paradigms of their own correlations (n: their pairs), so
        that differences between paradigms count for nothing; "paradigms" is over the paradigms' mean margins, where nothing
        else counts.  A single paradigm has "pairs" alone.

        r and rho are null where one side does not vary or points are fewer than 4; "within" leaves such paradigms out.
        Raises OntogenyError as `NgramMargins.beside` does.
        """
        own, _ = self.ngrams.beside(scores)
        pooled, within = self.views["pairs"].of(own), self.views["within"].of(own)
        between = self.views["paradigms"].of(_means(own, self.ngrams.starts))
        whole = {"pairs": pooled, "within": _mean_over_paradigms(*within), "paradigms": between}
        frames = [self._rows([""], by, *figures) for by, figures in whole.items()]
        return pl.concat([*frames, self._rows(self.ngrams.paradigms, "pairs", *within)])

    def _rows(self, paradigms: list[str], by: str, r: Floats, rho: Floats, n: Ints) -> pl.DataFrame:
        """Rows from figures (rungs, paradigms), paradigm by paradigm."""
        rungs = len(self.ngrams.rungs)
        columns = {
            "paradigm": np.repeat(paradigms, rungs).tolist(),
            "by": [by] * (rungs * len(paradigms)),
            "level": [level for level, _ in self.ngrams.rungs] * len(paradigms),
            "order": [order for _, order in self.ngrams.rungs] * len(paradigms),
            "r": r.T.ravel(),
            "rho": rho.T.ravel(),
            "n": np.broadcast_to(n, r.shape).T.ravel(),
        }
        return pl.DataFrame(columns).with_columns(pl.col("r", "rho").fill_nan(None))


def ladder(tables: Tables, margins: pl.DataFrame) -> pl.DataFrame:
    """The ladder along training: suite, seed, step and the columns of `Ladder.at` for each (seed, step, scores).

    `margins` is the table of n-gram margins of the same suite: suite, paradigm, pair, level, order, margin.  Raises
    OntogenyError as `ngram_margins` and `NgramMargins.beside` do, and where there are no tables.
    """
    prepared = Ladder(ngram_margins(margins))
    return along(tables, prepared.ngrams.suite, prepared.at)


def rungs(
    ladder: pl.DataFrame, trained_from: float, level: str = "token", confidence: float = 0.95, contrasts: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Where each paradigm of each seed stands closest to an n-gram model, and when it leaves that rung.

    Columns: suite, seed, paradigm ("" = the whole suite, first), closest_order, closest_step, peak_r, end_r, left_step.
    `ladder` is the table of that name; only n-gram models of `level` count, and only checkpoints from step `trained_from`
    (the end of *untrained*) on.

    The rule.  A paradigm is followed by its r over its own pairs, the whole suite by "within".  *Closest* is the order and
    step of the highest r (the lower order, then the earlier step, where several are equal): `peak_r`.  It counts only if r
    is above 0 by Fisher's interval, two-sided and Bonferroni-corrected over the orders x checkpoints that were looked at;
    else all is null.  *Left* is the first checkpoint after the closest one from which on, to the last, r with that same
    order is below the lower end of the peak's `confidence` interval, and that for two checkpoints or more; else null, as
    one alone does not show that it stays.  An undefined r is below.  `end_r` is r with that order at the last checkpoint.

    Fisher's standard error is 1 / sqrt(n - 3), for "within" 1 / sqrt(n - 3 P) over its P paradigms.  Pairs that share a
    contrast share most of their margins: with `contrasts` (suite, paradigm, pair, contrast) n is the effective number of
    contrasts, 1 / sum of squared shares, which is careful; without, pairs are taken for independent, and a peak is surer in the
    interval than in truth.  All checkpoints see the same pairs, so that one r below another's interval is better founded than two
    samples' would be.

    Raises OntogenyError for missing columns and a level that the ladder does not have.
    """
    need(ladder, ["suite", "seed", "step", "paradigm", "by", "level", "order", "r", "n"], "the ladder")
    if level not in set(ladder["level"]):
        raise OntogenyError(f"the ladder has no level {level!r}; {nearest(level, ladder['level'].unique().to_list())}")
    followed = _followed(ladder.filter(pl.col("level") == level), contrasts).sort("suite", "seed", "paradigm", "order", "step")
    groups = followed.group_by("suite", "seed", "paradigm", maintain_order=True)
    rows = [(*key, *_rung(group, trained_from, confidence)) for key, group in groups]
    return pl.DataFrame(rows, schema=RUNGS, orient="row")


def along(tables: Tables, suite: str, look: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
    """What `look` makes of each checkpoint's scores, with suite, seed and step in front.

    Raises OntogenyError if there are no tables.
    """
    frames = [
        look(scores).select(
            pl.lit(suite).alias("suite"), pl.lit(seed, pl.Int64).alias("seed"), pl.lit(step, pl.Int64).alias("step"), pl.all()
        )
        for seed, step, scores in tables
    ]
    if not frames:
        raise OntogenyError(f"no checkpoint's scores of {suite} were given: there is nothing to hold the n-grams against")
    return pl.concat(frames)


class _View:
    """Values (rungs, points) cut into groups that are correlated one by one."""

    def __init__(self, values: Floats, starts: Ints):
        self.starts, self.n = starts, np.diff(np.r_[starts, values.shape[1]])
        self.values = _standardised(values, starts)
        self.ranks = _standardised(_ranks(values, starts), starts)

    def of(self, own: Floats) -> tuple[Floats, Floats, Ints]:
        """r and rho (rungs, groups) with `own` (points,), nan where undefined, and each group's points (groups,)."""
        r = np.add.reduceat(self.values * _standardised(own[None], self.starts), self.starts, axis=1)
        rho = np.add.reduceat(self.ranks * _standardised(_ranks(own[None], self.starts), self.starts), self.starts, axis=1)
        undefined = np.isnan(r) | np.isnan(rho) | (self.n < FEWEST_POINTS)
        return *(np.where(undefined, np.nan, np.clip(figure, -1, 1)) for figure in (r, rho)), self.n


def _standardised(values: Floats, starts: Ints) -> Floats:
    """Values (k, points) less their group's mean, over the root of the group's sum of squares; nan where it is constant."""
    n = np.diff(np.r_[starts, values.shape[1]])
    mean = np.add.reduceat(values, starts, axis=1) / n
    centred = values - np.repeat(mean, n, axis=1)
    norms = np.sqrt(np.add.reduceat(centred**2, starts, axis=1))
    varies = norms > NOISE * np.sqrt(n) * np.maximum(1, np.abs(mean))
    return np.asarray(centred / np.repeat(np.where(varies, norms, np.nan), n, axis=1))


def _ranks(values: Floats, starts: Ints) -> Floats:
    """Ranks (k, points) within each group, the mean rank at ties."""
    groups = np.split(np.round(values, DECIMALS), starts[1:], axis=1)
    return np.concatenate([rankdata(group, axis=1) for group in groups], axis=1)


def _means(values: Floats, starts: Ints) -> Floats:
    """The mean of each group: (k, points) to (k, groups), or (points,) to (groups,)."""
    means = np.add.reduceat(values, starts, axis=-1) / np.diff(np.r_[starts, values.shape[-1]])
    return np.asarray(means)


def _mean_over_paradigms(r: Floats, rho: Floats, n: Ints) -> tuple[Floats, Floats, Ints]:
    """Of figures (rungs, paradigms) their mean (rungs, 1) over the paradigms where they are defined, and those's pairs."""
    defined = ~np.isnan(r)
    paradigms = np.where(defined.any(axis=1), defined.sum(axis=1), np.nan)
    means = (np.where(defined, figure, 0).sum(axis=1) / paradigms for figure in (r, rho))
    return *(mean[:, None] for mean in means), (defined * n).sum(axis=1)[:, None]


def _followed(ladder: pl.DataFrame, contrasts: pl.DataFrame | None) -> pl.DataFrame:
    """The rows that `rungs` follows, with `free`: what Fisher's standard error is one over the root of."""
    whole, moment = pl.col("paradigm") == "", ["suite", "seed", "step", "order"]
    rows = ladder.filter(pl.when(whole).then(pl.col("by") == "within").otherwise(pl.col("by") == "pairs"))
    if contrasts is not None:
        own = rows.filter(~whole).drop("n").join(_effective(contrasts), on=["suite", "paradigm"], how="left", validate="m:1")
        all_of = own.filter(pl.col("r").is_not_null()).group_by(moment).agg(pl.col("n").sum())
        rows = pl.concat([own, rows.filter(whole).drop("n").join(all_of, on=moment, how="left").select(own.columns)])
    samples = rows.filter(~whole, pl.col("r").is_not_null()).group_by(moment).agg(pl.len().cast(pl.Int64).alias("samples"))
    joined = rows.join(samples, on=moment, how="left", maintain_order="left")
    return joined.with_columns(free=pl.col("n") - 3 * pl.when(whole).then(pl.col("samples")).otherwise(1))


def _effective(contrasts: pl.DataFrame) -> pl.DataFrame:
    """suite, paradigm and n: 1 / the sum of the squared shares of contrasts among its pairs."""
    sizes = contrasts.group_by("suite", "paradigm", "contrast").len()
    return sizes.group_by("suite", "paradigm").agg(n=pl.col("len").sum() ** 2 / (pl.col("len") ** 2).sum())


def _rung(group: pl.DataFrame, trained_from: float, confidence: float) -> tuple[Any, ...]:
    """closest_order, closest_step, peak_r, end_r and left_step of one paradigm and seed; rows sorted by order, then step."""
    looked = group.filter(pl.col("step") >= trained_from, pl.col("r").is_not_null(), pl.col("free") > 0)
    if looked.is_empty():
        return (None,) * 5
    peak = looked.row(int(looked["r"].arg_max() or 0), named=True)  # the first of several: rows are in order
    if _lower_end(peak, 1 - (1 - confidence) / len(looked)) <= 0:
        return (None,) * 5
    own = group.filter(pl.col("order") == peak["order"])
    low, after = _lower_end(peak, confidence), own.filter(pl.col("step") > peak["step"])
    return peak["order"], peak["step"], peak["r"], own["r"][-1], _left(after, low)


def _lower_end(row: dict[str, Any], confidence: float) -> float:
    """Lower end of Fisher's two-sided interval around r."""
    r = min(row["r"], 1 - 1e-15)  # its z is finite
    return float(np.tanh(np.arctanh(r) - norm.isf((1 - confidence) / 2) / np.sqrt(row["free"])))


def _left(after: pl.DataFrame, low: float) -> int | None:
    """The first step of the unbroken stretch of r below `low` that reaches the end; None if it is shorter than `LASTING`."""
    below = (after["r"].fill_null(-1) < low).to_numpy()
    first = int(np.flatnonzero(~below)[-1]) + 1 if (~below).any() else 0
    return int(after["step"][first]) if len(after) - first >= LASTING else None

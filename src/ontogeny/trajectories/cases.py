"""One paradigm at a time: its curves by seed and, where they are known, its pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import polars as pl

from ontogeny.estimators.means import Accuracy, accuracy, accuracy_of_means
from ontogeny.estimators.resampling import cluster_sums
from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError
from ontogeny.scoring.options import CHANCE, wrong_sides
from ontogeny.trajectories.bands import States, enough_pairs, states, upper_edge
from ontogeny.trajectories.curves import (
    arrays,
    grid,
    margin,
    need,
    outcome,
    outcome_per_token,
)
from ontogeny.trajectories.timeline import Floats, Ints, Timeline

PairsOf = Callable[[str], pl.DataFrame]
PAIR_COLUMNS = (
    "seed",
    "step",
    "pair",
    "contrast",
    "logp_good",
    "logp_bad",
    "tokens_good",
    "tokens_bad",
)
SCORINGS = ("sum", "per token")


@dataclass(frozen=True, slots=True, eq=False)
class PairScores:
    """The pairs of a paradigm at every seed and step, sorted by pair; NaN where a pair was not read."""

    outcome: Floats  # (seeds, steps, pairs): 1, 0 or 1/2
    per_token: Floats  # the same from per-token means
    margin: Floats  # the same shape, nats
    contrast: Ints  # (pairs,): number of the cluster of pairs that share a critical contrast

    @property
    def units(self) -> Ints:
        """(pairs,): what is taken as drawn at random: contrasts or, where there is only one, pairs."""
        return self.contrast if self.contrast.any() else np.arange(len(self.contrast))


@dataclass(frozen=True, slots=True, eq=False)
class WindowMean:
    """One paradigm over a window: what is known of its mean accuracy there."""

    by_seed: Floats  # (seeds,)
    sums: Floats | None  # (seeds, clusters) of the pairs' outcomes; None where pairs are not known
    sizes: Ints | int  # (clusters,) or all pairs
    chance: float

    def accuracy(self, seed: int | None = None) -> Accuracy:
        """Over other seeds and items; of one seed (its index): over other items."""
        rows = slice(None) if seed is None else slice(seed, seed + 1)
        if self.sums is None:
            return accuracy_of_means(self.by_seed[rows], int(self.sizes))
        return accuracy(self.sums[rows], np.asarray(self.sizes))

    def equivalence(self, margin: float, seed: int | None = None) -> float:
        """The p of two one-sided tests that it is chance within `margin`."""
        return float(self.accuracy(seed).equivalence(self.chance, margin))


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One paradigm: what `judge` judges."""

    paradigm: str
    n: int  # pairs
    hi: float  # accuracy that makes state +1
    enough: bool  # pairs enough for any verdict
    accuracy: dict[str, Floats]  # by scoring (sum, per token): (seeds, steps)
    length: float | None  # accuracy of the length-only scorer
    pairs: PairScores | None
    chance: float = CHANCE  # a guesser's accuracy

    def states(self, accuracy: Floats) -> States:
        """The state that each accuracy makes; any shape."""
        return states(accuracy, self.hi, self.chance)

    def curve(self, scoring: str = "sum") -> Floats:
        """Mean over seeds, one number a step."""
        return np.asarray(self.accuracy[scoring].mean(axis=0))

    @property
    def covers(self) -> str:
        """What intervals and tests are about: items are clusters of pairs; pairs, where there is but one or none is known."""
        seeds = "other seeds" if len(self.accuracy["sum"]) > 1 else "these weights"
        return f"{seeds}, other {'items' if self.pairs is not None and self.pairs.contrast.any() else 'pairs'}"

    def over(self, weights: Floats, scoring: str = "sum") -> WindowMean:
        """The paradigm over a window, whose checkpoints weigh `weights` (they add up to 1)."""
        by_seed = self.accuracy[scoring] @ weights
        if self.pairs is None:
            return WindowMean(by_seed, None, self.n, self.chance)
        outcomes = (self.pairs.outcome if scoring == "sum" else self.pairs.per_token)[:, weights > 0]
        sums, sizes = cluster_sums(weighed(outcomes, weights[weights > 0]), self.pairs.units)
        return WindowMean(by_seed, sums, sizes, self.chance)

    def generator(self, seed: int, purpose: str) -> np.random.Generator:
        """A generator of this paradigm's own, so that no draw depends on which other paradigms there are."""
        return np.random.default_rng([seed, crc32(self.paradigm.encode()), crc32(purpose.encode())])


def cases(curves: pl.DataFrame, timeline: Timeline, thresholds: Thresholds, pairs_of: PairsOf | None = None) -> Iterator[Case]:
    """The paradigms of a table of curves in alphabetical order; `pairs_of` is asked for one at a time.

    Raises OntogenyError for curves that are no complete grid (see `grid`), fewer than two checkpoints, steps that are
    not the timeline's, and pairs that do not give the curves' accuracies.
    """
    seeds, steps, paradigms = grid(curves)
    if len(steps) < 2:
        raise OntogenyError(f"one checkpoint (step {steps[0]}) is no trajectory: at least two are needed")
    if tuple(steps) != timeline.steps:
        differing = sorted(set(steps) ^ set(timeline.steps))
        raise OntogenyError(f"the curves' steps are not the timeline's: they differ in {', '.join(map(str, differing[:5]))}")
    scorings, lengths, read = _scorings(curves), _lengths(curves), ["read"] if "read" in curves.columns else []
    table = arrays(curves, [*scorings.values(), *read], seeds, steps, paradigms)
    sizes = dict(curves.select("paradigm", "n").unique().iter_rows())
    chances = dict(curves.select("paradigm", "chance").unique().iter_rows()) if "chance" in curves.columns else {}
    for paradigm in paradigms:
        accuracy = {scoring: table[column][paradigm] for scoring, column in scorings.items()}
        pairs = None if pairs_of is None else arrange(pairs_of(paradigm), paradigm, seeds, steps, thresholds)
        n = int(sizes[paradigm])
        if pairs is not None:
            _agree(pairs, accuracy["sum"], table["read"][paradigm] if read else n, paradigm)
            accuracy = {"sum": np.nanmean(pairs.outcome, axis=2), "per token": np.nanmean(pairs.per_token, axis=2)}
        chance = float(chances.get(paradigm, CHANCE))
        hi, enough = (edge(n, len(paradigms), thresholds, chance) for edge in (upper_edge, enough_pairs))
        yield Case(paradigm, n, hi, bool(enough), accuracy, lengths.get(paradigm), pairs, chance)


def arrange(frame: pl.DataFrame, paradigm: str, seeds: list[int], steps: list[int], thresholds: Thresholds) -> PairScores:
    """The rows of one paradigm's pairs as arrays.  A row without scores (null) is a pair that was not read there.

    Raises OntogenyError unless every seed and step has every pair once.
    """
    need(frame, PAIR_COLUMNS, f"the pairs of {paradigm}")
    if frame["seed"].unique().sort().to_list() != seeds or frame["step"].unique().sort().to_list() != steps:
        raise OntogenyError(f"the pairs of {paradigm} have other seeds or steps than its curve")
    wrong, n = wrong_sides(frame.columns), frame["pair"].n_unique()
    moment = np.searchsorted(seeds, frame["seed"].to_numpy()) * len(steps) + np.searchsorted(steps, frame["step"].to_numpy())
    place = moment * n + _ranks(frame["pair"])
    order = np.argsort(place, kind="stable")  # by seed, step and pair; in a tenth of the time that sorting by names takes
    if len(place) != len(seeds) * len(steps) * n or (place[order] != np.arange(len(place))).any():
        raise OntogenyError(f"the pairs of {paradigm} are not the same at every seed and step")
    clusters = _ranks(frame["contrast"])[order].reshape(-1, n)
    if (clusters != clusters[0]).any() or (clusters < 0).any():
        raise OntogenyError(f"the contrasts of {paradigm} are missing, or differ between seeds or steps")
    measured = frame.lazy().select(
        outcome=_if_read(outcome(thresholds.tie, thresholds.tie_counts, wrong)),
        per_token=_if_read(outcome_per_token(thresholds.tie, thresholds.tie_counts, wrong)),
        margin=_if_read(margin(wrong)),
    )
    columns = {column.name: column.to_numpy()[order].reshape(len(seeds), len(steps), n) for column in measured.collect()}
    return PairScores(contrast=clusters[0], **columns)


def _ranks(names: pl.Series) -> Ints:
    """The place of each among all different ones in their order; -1 of null."""
    known = names.drop_nulls().unique().sort()
    return np.asarray(
        names.replace_strict(known, pl.int_range(len(known), eager=True), default=-1, return_dtype=pl.Int64).to_numpy()
    )


def _scorings(curves: pl.DataFrame) -> dict[str, str]:
    known = "accuracy_per_token" in curves.columns and not curves["accuracy_per_token"].null_count()
    return {"sum": "accuracy"} | ({"per token": "accuracy_per_token"} if known else {})


def _lengths(curves: pl.DataFrame) -> dict[str, float]:
    if "accuracy_length" not in curves.columns:
        return {}
    lengths = curves.select("paradigm", "seed", "step", "accuracy_length").sort("paradigm", "seed", "step")  # summed in one order
    known = lengths.drop_nulls("accuracy_length").group_by("paradigm").agg(pl.col("accuracy_length").mean())
    return dict(known.iter_rows())


def weighed(outcomes: Floats, weights: Floats) -> Floats:
    """(seeds, pairs): outcomes averaged over checkpoints.

    Where pairs were not read everywhere, the sum over pairs of what each adds to the mean of those read at a checkpoint.
    """
    read = ~np.isnan(outcomes)
    if read.all():
        return np.asarray(np.einsum("stp,t->sp", outcomes, weights))
    means = np.nanmean(outcomes, axis=2, keepdims=True)
    added = np.where(read, outcomes - means, 0.0) * (outcomes.shape[2] / read.sum(axis=2, keepdims=True))
    return np.asarray(np.einsum("stp,t->sp", means + added, weights))


def _if_read(value: pl.Expr) -> pl.Expr:
    return pl.when(pl.col("logp_good").is_null()).then(float("nan")).otherwise(value)


def _agree(pairs: PairScores, accuracy: Floats, read: Floats | int, paradigm: str) -> None:
    """`read`: pairs, of all seeds and steps or of each."""
    same = (~np.isnan(pairs.outcome)).sum(axis=2) == read
    if not same.all() or np.abs(np.nanmean(pairs.outcome, axis=2) - accuracy).max() > 1e-6:
        raise OntogenyError(f"the pairs of {paradigm} do not give the accuracies of its curve: one of the two is stale")

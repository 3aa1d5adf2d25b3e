"""A mean over seeds and clusters of pairs, both drawn at random: how far it may be off, by Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special

from ontogeny.estimators.resampling import Floats, Ints, known, multi_bootstrap

ENDS = 0.975  # each part's own t is taken at the ends of a 95 % interval
MANY = 1e9  # degrees of freedom of what is known without estimating it


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """One number a seed and cluster of pairs, such as arm minus reference."""

    seeds: tuple[int, ...]  # that all its arms have
    sums: Floats  # (seeds, clusters)
    sizes: Floats  # (clusters,): what the sums are divided by, together

    def by_seed(self) -> Floats:
        """(seeds,): the estimate from each seed alone."""
        return np.asarray(self.sums.sum(axis=1) / self.sizes.sum())


class Claim(Protocol):
    """Where an interval has to lie: above or below an edge, within it or outside it on either side."""

    @property
    def side(self) -> str:
        """above, below, within or outside."""

    @property
    def edge(self) -> float:
        """Its edge."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over seeds and pairs, with an interval of Student's t."""

    value: float
    error: float  # standard error; NaN for one seed
    df: float  # degrees of freedom
    seeds: tuple[int, ...]
    by_seed: tuple[float, ...]

    def interval(self, confidence: float) -> tuple[float, float]:
        """Symmetric, by Student's t; infinite where nothing is known."""
        if math.isnan(self.error):
            return -math.inf, math.inf
        reach = float(special.stdtrit(self.df, (1 + confidence) / 2)) * self.error
        return self.value - reach, self.value + reach

    def level(self, region: Claim) -> float:
        """The smallest level at which the interval (of confidence 1 - level) lies in the region; 1 where the estimate does not."""
        return float(student_level(np.array(self.value), np.array(self.error), np.array(self.df), region))

    def equivalence(self, margin: float) -> float | None:
        """The p of two one-sided t-tests (Schuirmann 1987) that the value lies within `margin` of zero; None for one seed."""
        if math.isnan(self.error):
            return None
        if self.error == 0:
            return 0.0 if abs(self.value) < margin else 1.0
        return float(special.stdtr(self.df, -(margin - abs(self.value)) / self.error))


@dataclass(frozen=True, slots=True, eq=False)
class Accuracy:
    """An accuracy over seeds and pairs, or an array of them; what is asked of it never leaves 0 to 1.

    Wilson's (1927) score interval and test, with Student's t in place of the normal's quantile and the variance that seeds and
    clusters show in place of a coin's (as for surveys: Korn & Graubard 1998), relative to the latter.
    """

    value: Floats
    relative: Floats  # its variance over value x (1 - value)
    df: Floats

    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        """Its ends."""
        spread = special.stdtrit(self.df, (1 + confidence) / 2) ** 2 * self.relative
        middle, reach = self.value + spread / 2, np.sqrt(spread * self.value * (1 - self.value) + spread**2 / 4)
        return (middle - reach) / (1 + spread), (middle + reach) / (1 + spread)

    def p(self, chance: float) -> Floats:
        """Two-sided p of an accuracy of `chance`: below .05 where the 95 % interval leaves it out."""
        distance = np.abs(self.value - chance) / np.sqrt(chance * (1 - chance) * self.relative)
        return np.asarray(2 * special.stdtr(self.df, -distance))

    def equivalence(self, chance: float, margin: float) -> Floats:
        """The p of two one-sided t-tests (Schuirmann 1987) that it lies within `margin` of `chance`; 1 at 0 and at 1."""
        error = np.sqrt(self.value * (1 - self.value) * self.relative)
        with np.errstate(divide="ignore"):
            return np.asarray(special.stdtr(self.df, (np.abs(self.value - chance) - margin) / error))


def accuracy(sums: Floats, sizes: Floats | Ints) -> Accuracy:
    """Of `sums` (..., seeds, clusters) over `sizes` (clusters,) pairs: over other seeds and clusters; with one seed, over clusters.

    Where nothing varies, as all is right, the variance is that of as many coins as there are clusters.
    """
    value, found = ratio(sums, sizes)
    few = effective(sizes)[1]
    return _accuracy(value, found.error**2, found.df, 1 + few, max(few, 1))


def apart(first: Accuracy, second: Accuracy, confidence: float, together: Floats | float = 0.0) -> tuple[Floats, Floats]:
    """Ends of an interval of the first minus the second, of which those of either are known (MOVER: Newcombe 1998, method 10).

    `together`: the correlation of the two, where they are of the same clusters (Zou & Donner 2008, equation 3).
    """
    (low, high), (least, most) = first.interval(confidence), second.interval(confidence)

    def reach(one: Floats, other: Floats) -> Floats:
        return np.sqrt(np.maximum(one**2 + other**2 - 2 * together * one * other, 0.0))

    value = first.value - second.value
    return value - reach(first.value - low, most - second.value), value + reach(high - first.value, second.value - least)


def shared(first: Floats, second: Floats, sizes: Floats | Ints) -> Floats:
    """The correlation of two `accuracy`s of the same clusters, (..., seeds, clusters) each, by seeds of their own.

    Of the errors of the two only what comes of the clusters is the same; 0 where an error is not known, or is none.
    """
    columns, errors = [], []
    for sums in (first, second):
        value, found = ratio(sums, sizes)
        columns.append(sums.mean(axis=-2) - np.asarray(value)[..., None] * sizes)
        errors.append(found.error)
    share = effective(sizes)[0]
    both = (columns[0] * columns[1]).mean(axis=-1) / np.mean(sizes) ** 2 / np.shape(sizes)[0]
    scale = np.asarray(errors[0] * errors[1] * share)
    known = np.isfinite(scale) & (scale > 1e-15)
    return np.clip(np.where(known, both / np.where(known, scale, 1.0), 0.0), -1.0, 1.0)


def mean(sums: Floats, sizes: Floats | Ints) -> Mean:
    """The same of what has no bounds, such as margins: `sums` (seeds, clusters)."""
    value, found = ratio(sums, sizes)
    by_seed = sums.sum(axis=1) / sizes.sum()
    return Mean(float(value), float(found.error), float(found.df), tuple(range(len(sums))), tuple(by_seed.tolist()))


def accuracy_of_means(by_seed: Floats, n: int) -> Accuracy:
    """Of accuracies (..., seeds) whose pairs are not known: over other seeds and n other pairs, which are taken as independent."""
    value, seeds = by_seed.mean(axis=-1), by_seed.shape[-1]
    of_seeds = by_seed.var(axis=-1, ddof=1) / seeds if seeds > 1 else np.zeros_like(value)
    of_pairs = value * (1 - value) / n
    return _accuracy(value, of_seeds + of_pairs, mixed_df(of_seeds, seeds - 1, of_pairs, MANY), n, MANY)


def share_of_draws(value: float, resampled: Floats, units: int) -> Accuracy | None:
    """Of a share that was computed anew in every draw of so many `units`, such as an area under the curve over phenomena.

    n things drawn out of n show (n - 1) / n of the variance (Hesterberg 2015).  None as for `expanded`.
    """
    kept = known(resampled, units)
    if kept is None:
        return None
    return _accuracy(np.array(value), kept.var() * units / (units - 1), np.array(units - 1.0), units, units - 1)


def _accuracy(value: Floats, variance: Floats, df: Floats, units: float, units_df: float) -> Accuracy:
    """`units`: coins that stand in where nothing varies, with degrees of freedom."""
    coin = value * (1 - value)
    varies = (variance > 1e-15) & (coin > 0)
    relative = np.where(varies, variance / np.where(varies, coin, 1.0), 1 / units)
    return Accuracy(value, relative, np.where(varies, df, units_df))


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """How far a mean over seeds and clusters may be off; arrays of one shape."""

    error: Floats  # standard error; NaN for one seed
    df: Floats  # degrees of freedom
    shown: Floats  # variance of the Multi-Bootstrap's resamples, were they endless


def ratio(sums: Floats, sizes: Floats | Ints) -> tuple[Floats, Spread]:
    """The mean of `sums` (..., seeds, clusters) over `sizes` (clusters,), and how far it may be off: of one seed, over clusters."""
    value = sums.sum(axis=(-2, -1)) / (sizes.sum() * sums.shape[-2])
    first_order = (sums - np.asarray(value)[..., None, None] * sizes) / sizes.mean()
    return value, spread(first_order, sizes, given=sums.shape[-2] < 2)


def spread(table: Floats, sizes: Floats | Ints | None = None, *, given: bool = False) -> Spread:
    """Of the mean of `table` (..., seeds, clusters), both drawn at random (two-way analysis of variance).

    A resample of both varies by the part of seeds, the part of clusters, and three times what is left: once for itself and once in
    either of the others (Owen 2007); and n things drawn out of n show (n - 1) / n of their variance.  The true variance is
    (MS_seeds + MS_clusters - MS_rest) / (seeds x clusters), with MS_clusters - MS_rest no less than 0.  An interval is to reach as
    far as these two parts together, each by Student's t of its own (Cochran 1964): by Satterthwaite's, two seeds that happen to
    agree would have the degrees of freedom of the clusters.  `sizes`: of clusters of different sizes, where the table is a
    ratio's first-order terms.  `given`: the seeds are these, and clusters alone vary.
    """
    seeds, clusters = table.shape[-2:]
    share, df = effective(np.ones(clusters) if sizes is None else sizes)
    centred = table - table.mean(axis=(-2, -1), keepdims=True)
    row, column = centred.mean(axis=-1, keepdims=True), centred.mean(axis=-2, keepdims=True)
    of_seeds, of_clusters = (row**2).mean(axis=(-2, -1)) / seeds, (column**2).mean(axis=(-2, -1)) / clusters
    rest = ((centred - row - column) ** 2).mean(axis=(-2, -1)) / (seeds * clusters)
    shown = of_clusters if given else of_seeds + of_clusters + rest
    if given or seeds < 2:
        error = np.sqrt(of_clusters / share) if given and clusters > 1 else np.full(table.shape[:-2], np.nan)
        return Spread(error, np.full_like(error, df), shown)
    of_seeds = of_seeds * seeds / (seeds - 1)
    alone = np.maximum(of_clusters - rest * seeds / (seeds - 1), 0.0) / share if clusters > 1 else np.zeros_like(of_seeds)
    return Spread(np.sqrt(of_seeds + alone), mixed_df(of_seeds, seeds - 1, alone, df), shown)


def reach(parts: Sequence[tuple[float, float]], confidence: float) -> float:
    """How far an interval reaches to either side: (variance, degrees of freedom) of each part, each by Student's t of its own."""
    return math.sqrt(sum(variance * float(special.stdtrit(df, (1 + confidence) / 2)) ** 2 for variance, df in parts))


def mixed_df(first: Floats, first_df: float, second: Floats, second_df: float) -> Floats:
    """The degrees of freedom at which a 95 % interval reaches as far as two variances, each by Student's t of its own."""
    found = np.where(second > 0, second_df, first_df).astype(float)
    mixed = (first > 0) & (second > 0)
    if mixed.any():
        one, other = np.asarray(first)[mixed], np.asarray(second)[mixed]
        squares = one * special.stdtrit(first_df, ENDS) ** 2 + other * special.stdtrit(second_df, ENDS) ** 2
        found[mixed] = special.stdtridf(ENDS, np.sqrt(squares / (one + other)))
    return found


def effective(sizes: Floats | Ints) -> tuple[float, float]:
    """Of clusters of these sizes: the share of their variance that their own mean leaves, and degrees of freedom.

    (C - 1) / C and C - 1 for C of one size.  Of others, whose means vary alike, expectation and Satterthwaite's (1946) degrees of
    freedom of sum w^2 (x - mean)^2 with w = size / all: a few large clusters are few (Bell & McCaffrey 2002).
    """
    w = sizes / sizes.sum()
    two, three, four = (float((w**power).sum()) for power in (2, 3, 4))
    trace = two - 2 * three + two**2
    if trace <= 1e-12:
        return 0.0, 0.0
    square = 2 * two * four + two**4 + 2 * three**2 - 4 * two**2 * three
    square += float((w**4 * ((1 - 2 * w + two) ** 2 - (2 * w - two) ** 2)).sum())
    return trace / two, trace**2 / square


def without_draws(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Value, standard error and degrees of freedom that `estimate` tends to with ever more resamples.

    `values` (..., seeds, clusters) are means of clusters of one size; the leading axes are many such tables.
    """
    found = spread(values)
    return values.mean(axis=(-2, -1)), found.error, found.df


def estimate(comparisons: Sequence[Comparison], resamples: int, generator: np.random.Generator) -> list[Mean | None]:
    """Each comparison's mean with its uncertainty; None for one without seeds.  Their clusters must be the same.

    The standard error is the spread of Multi-Bootstrap resamples (Sellam et al. 2022), the same draws for all comparisons with
    the same seeds, put right as `spread` says; the interval is Student's, as a bootstrap's percentiles are too narrow for eight
    seeds (Hesterberg 2015).
    """
    found: list[Mean | None] = [None] * len(comparisons)
    for seeds in dict.fromkeys(comparison.seeds for comparison in comparisons if comparison.seeds):
        members = [index for index, comparison in enumerate(comparisons) if comparison.seeds == seeds]
        stacked = np.stack([comparisons[index].sums for index in members], axis=1)  # (seeds, comparisons, clusters)
        sizes = comparisons[members[0]].sizes
        drawn = multi_bootstrap(stacked, sizes.astype(np.int64), resamples, generator)
        for index, shown in zip(members, drawn.std(axis=0).tolist(), strict=True):
            found[index] = _mean(comparisons[index], shown)
    return found


def _mean(comparison: Comparison, shown: float) -> Mean:
    by_seed, sizes = comparison.by_seed(), comparison.sizes
    found = spread((comparison.sums - by_seed.mean() * sizes) / sizes.mean(), sizes)  # a ratio's first-order terms
    error = float(found.error) * (shown / math.sqrt(found.shown) if found.shown > 0 else 1.0)
    return Mean(float(by_seed.mean()), error, float(found.df), comparison.seeds, tuple(by_seed.tolist()))


def student_level(value: Floats, error: Floats, df: Floats, region: Claim) -> Floats:
    """The smallest level at which Student's intervals lie in the region: twice the tail toward its edge; 1 outside it.

    `within` has two edges, of which the nearer decides.  Arrays of one shape.
    """
    edge = region.edge
    far = {
        "above": value - edge,
        "below": edge - value,
        "within": edge - np.abs(value),
        "outside": np.abs(value) - edge,
    }[region.side]
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = 2 * special.stdtr(df, -far / error)
    return np.where(np.isnan(error) | (far <= 0), 1.0, np.where(error == 0, 0.0, tail))

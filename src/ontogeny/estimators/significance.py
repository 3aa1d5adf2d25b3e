"""Tests by turning signs, p-values of many tests, shares and their exact limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from scipy import special
from scipy.stats import binomtest, false_discovery_control, rankdata

from ontogeny.estimators.means import Claim
from ontogeny.estimators.resampling import Floats

EXACT = 12  # clusters or seeds whose sign flips are all enumerated; of more some are drawn
FLIPS = 9999


@dataclass(frozen=True, slots=True)
class Share:
    """A share of seeds, with the exact interval of Clopper & Pearson (1934).

    Where a seed has several arms its share of them counts as one observation: it varies no more than a coin of that mean.
    """

    value: float
    seeds: tuple[int, ...]

    def interval(self, confidence: float) -> tuple[float, float]:
        """Clopper & Pearson's, from the beta distribution, which takes fractions of a seed."""
        n, tail = len(self.seeds), (1 - confidence) / 2
        k = self.value * n
        low = float(special.betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
        high = float(special.betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
        return low, high

    def level(self, region: Claim) -> float:
        """As the protocol says."""
        return float(share_level(np.array(self.value), len(self.seeds), region))


def share_level(value: Floats, n: int, region: Claim) -> Floats:
    """The same for Clopper & Pearson's intervals of shares of `n` seeds.

    A share is never negative, so that `within` a margin is below it, and `outside` is above it.
    """
    k, edge = value * n, min(max(region.edge, 0.0), 1.0)
    if region.side in ("above", "outside"):
        tail = 2 * special.betainc(np.maximum(k, 1e-9), n - k + 1, edge)
        return np.where(k > 0, np.minimum(tail, 1.0), float(region.edge >= 0))
    tail = 2 * special.betaincc(k + 1, np.maximum(n - k, 1e-9), edge)
    return np.where(k < n, np.minimum(tail, 1.0), float(region.edge <= 1))


def upper_limit(successes: int, trials: int, confidence: float = 0.95) -> float:
    """Exact one-sided upper limit of a share (Clopper & Pearson 1934)."""
    interval = binomtest(successes, trials, alternative="less").proportion_ci(confidence, method="exact")
    return float(interval.high)


def sign_flip(sums: Floats, generator: np.random.Generator) -> float:
    """Two-sided p of a sum over clusters, were each cluster's sign as likely turned; exact up to EXACT clusters."""
    observed = abs(sums.sum()) - 1e-9
    if len(sums) <= EXACT:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(sums))))
        return float((np.abs(signs @ sums) >= observed).mean())
    as_far = 0
    for _ in range(9):
        signs = generator.integers(0, 2, (FLIPS // 9, len(sums)), dtype=np.int8) * 2.0 - 1
        as_far += int((np.abs(signs @ sums) >= observed).sum())
    return (1 + as_far) / (1 + FLIPS)


def flips(by_seed: Sequence[float], confidence: float, generator: np.random.Generator) -> float | None:
    """Two-sided p of no effect by sign flips over seeds, exact to 12 seeds; None where so few could never reach the level."""
    if 2.0 ** (1 - len(by_seed)) > 1 - confidence:
        return None
    return sign_flip(np.asarray(by_seed, dtype=np.float64), generator)


def adjusted(p: Floats) -> Floats:
    """Benjamini & Hochberg's (1995) adjusted p-values, in the order given."""
    return np.asarray(false_discovery_control(p, method="bh"), dtype=np.float64)


def holm(p: Floats) -> Floats:
    """Holm's (1979) adjusted p-values along the last axis, in the order given."""
    order = np.argsort(p, axis=-1, kind="stable")
    steps = np.take_along_axis(p, order, axis=-1) * np.arange(p.shape[-1], 0, -1)
    adjusted = np.empty_like(steps)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(steps, axis=-1), 1.0), axis=-1)
    return adjusted


def sign_test(values: Floats) -> float:
    """Exact two-sided p of as many values above as below zero; a value of zero says nothing (Dixon & Mood 1946)."""
    above, below = int((values > 0).sum()), int((values < 0).sum())
    return float(binomtest(above, above + below).pvalue) if above + below else 1.0


def rank_correlation(x: Floats, y: Floats, generator: np.random.Generator) -> tuple[float, float]:
    """Spearman's correlation within rows, pooled over them, and its two-sided p; NaN and 1 where nothing varies.

    x, y: (rows, seeds), NaN where a seed has no value.  The seeds of x are exchanged against those of y, the same way in all rows,
    as the rows of one seed stand or fall together: all ways to 7 seeds, of more FLIPS that are drawn.
    """
    one, other = _ranked(x, y), _ranked(y, x)
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    if not size:
        return np.nan, 1.0
    n = x.shape[1]
    every = np.array(list(permutations(range(n)))) if n <= 7 else np.tile(np.arange(n), (FLIPS, 1))
    orders = every if n <= 7 else generator.permuted(every, axis=1)
    found, drawn = float((one * other).sum()), np.einsum("rns,rs->n", one[:, orders], other)
    as_far = int((np.abs(drawn) >= abs(found) - 1e-9).sum())
    return found / size, as_far / len(orders) if n <= 7 else (1 + as_far) / (1 + FLIPS)


def _ranked(x: Floats, y: Floats) -> Floats:
    """Ranks of x within rows about their mean, over the seeds that x and y have; 0 for the others."""
    there = ~(np.isnan(x) | np.isnan(y))
    found = np.zeros(x.shape)
    for row, kept in enumerate(there):
        found[row, kept] = rankdata(x[row, kept]) - (kept.sum() + 1) / 2
    return found


def label_exchange(values: Floats, first: Floats, generator: np.random.Generator) -> float:
    """Two-sided p of the difference between the means of two groups of `values`, were labels (`first`: 1 or 0) given at random."""
    n = int(first.sum())
    observed = abs(values[first > 0].mean() - values[first == 0].mean())
    drawn = generator.permuted(np.tile(values, (FLIPS, 1)), axis=1)
    apart = np.abs(drawn[:, :n].mean(1) - drawn[:, n:].mean(1))
    return (1 + int((apart >= observed - 1e-12).sum())) / (1 + FLIPS)

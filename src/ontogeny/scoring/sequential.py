"""The exact chance that pairs drawn one after the other, without replacement, mislead at any of several looks.

A look at m of n pairs misleads if there are no more than a number of right ones among them.  Between two looks the number of
right ones goes on by a hypergeometric step, so it is a Markov chain, and the chance that it misleads at some look is a sum over
its paths: no bound over looks (Bonferroni's is three to seven times too large for 39 of them), no approximation and no simulation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import hypergeom

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
HALVINGS = 30  # of the interval that the nominal level is searched in
MOST = 5000  # pairs: the chain's steps take 8 n^2 / 2 / looks bytes for each look, 100 MB here


def lower_bounds(n: int, right: int, looks: tuple[int, ...], level: float) -> Integers:
    """At each look the most right pairs that rule out that `right` or more of n are right.

    At all looks together they do so falsely with probability `level` at most, and with just that where numbers of pairs allow:
    they are quantiles at one nominal level, the largest that keeps the promise; of more than MOST pairs, Bonferroni's level.  -1
    where nothing rules it out; all pairs drawn where more than n would have to be right.
    """
    if right > n or not looks:
        return np.array(looks, dtype=np.int64)
    if n > MOST:
        each = [hypergeom.cdf(np.arange(look + 1), n, right, look) for look in looks]
        return _quantiles(each, math.log(level / len(looks)))
    steps = transitions(n, right, looks)
    sums = [np.cumsum(chances) for chances in marginals(steps)]
    least, most = math.log(level / len(looks)), math.log(level)
    for _ in range(HALVINGS):
        middle = (least + most) / 2
        kept = misleads(steps, _quantiles(sums, middle)) <= level
        least, most = (middle, most) if kept else (least, middle)
    return _quantiles(sums, least)


def transitions(n: int, right: int, looks: Sequence[int]) -> list[Floats]:
    """Where `right` of n are right: of each look, P(j more | x so far) [x, j], x of those drawn before and j of those drawn now."""
    found, drawn = [], 0
    for look in looks:
        found.append(_step(n - drawn, right - np.arange(drawn + 1), look - drawn))
        drawn = look
    return found


def marginals(steps: Sequence[Floats]) -> Iterator[Floats]:
    """The probability of each number of right pairs at each look."""
    chances = np.ones(1)
    for step in steps:
        chances = _after(chances, step)
        yield chances


def misleads(steps: Sequence[Floats], bounds: Integers) -> float:
    """The probability that at any look there are at most `bounds` right pairs."""
    chances, lost = np.ones(1), 0.0
    for step, bound in zip(steps, bounds.tolist(), strict=True):
        chances = _after(chances, step)
        lost += float(chances[: bound + 1].sum())
        chances[: bound + 1] = 0.0
    return lost


def _after(chances: Floats, step: Floats) -> Floats:
    found = np.zeros(len(chances) + step.shape[1] - 1)
    for j in range(step.shape[1]):
        found[j : j + len(chances)] += chances * step[:, j]
    return found


def _quantiles(sums: Sequence[Floats], log_level: float) -> Integers:
    """At each look the largest number that has a probability of the level or less, it or a smaller one; -1 for none."""
    level = math.exp(log_level)
    return np.array([int(np.searchsorted(those, level, side="right")) - 1 for those in sums], dtype=np.int64)


def _step(left: int, right: Integers, drawn: int) -> Floats:
    """P(j of `drawn` are right) for each number of `right` ones among those `left` [len(right), drawn + 1]."""
    own, j = right[:, None], np.arange(drawn + 1)
    logs = _choose(own, j) + _choose(left - own, drawn - j) - _choose(np.array(left), np.array(drawn))
    found: Floats = np.exp(logs)
    return found


def _choose(n: Integers, k: Integers) -> Floats:
    """The logarithm of the binomial coefficient; of 0 where there is no such choice."""
    n, k = np.broadcast_arrays(n, k)
    there = (k >= 0) & (k <= n)
    n, k = np.where(there, n, 0), np.where(there, k, 0)
    return np.where(there, gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), -math.inf)

"""Exact tests and limits: sign test, Benjamini-Hochberg, two one-sided tests, Clopper-Pearson."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import binomtest, false_discovery_control
from scipy.stats import t as student

from ontogeny.trajectories.timeline import Floats


def sign_test(scores: Floats) -> float:
    """Two-sided p of as many pairs above and below one half, were each side as likely.

    `scores` holds one number a pair, its outcome averaged over late checkpoints and seeds (pairs are the unit).
    Pairs at exactly one half are dropped (Conover 1999, Practical Nonparametric Statistics, 3.4; statsmodels'
    `sign_test`); 1 where nothing is left.
    """
    above, below = int((scores > 0.5 + 1e-12).sum()), int((scores < 0.5 - 1e-12).sum())
    return float(binomtest(above, above + below).pvalue) if above + below else 1.0


def binomial_test(accuracy: float, n: int, chance: float = 0.5) -> float:
    """Two-sided p of `accuracy` x n pairs (rounded) in n at chance: the sign test where pairs are not known."""
    return float(binomtest(round(accuracy * n), n, chance).pvalue)


def adjusted(p: Floats) -> Floats:
    """Benjamini & Hochberg's (1995) adjusted p-values, in the order given."""
    return np.asarray(false_discovery_control(p, method="bh"), dtype=np.float64)


def equivalence_p(mean: float, sd: float, n: int, margin: float, centre: float = 0.5) -> float:
    """The p of two one-sided t-tests (Schuirmann 1987): the mean lies within `margin` of `centre`.

    `sd` is the standard deviation (n - 1) of n pair scores.  At or below alpha the two are called equivalent.
    """
    if n < 2:
        return 1.0
    error = sd / math.sqrt(n)
    if error == 0:
        return 0.0 if abs(mean - centre) < margin else 1.0
    below, above = (mean - (centre - margin)) / error, (mean - (centre + margin)) / error
    return max(float(student.sf(below, n - 1)), float(student.cdf(above, n - 1)))


def largest_sd(mean: float, n: int) -> float:
    """The largest standard deviation (n - 1) that n scores from 0 to 1 with this mean can have (Bhatia & Davis 2000).

    It stands in where only accuracies are known: averages over checkpoints and seeds vary less than single outcomes.
    """
    return math.sqrt(max(mean * (1 - mean), 0.0) * n / (n - 1)) if n > 1 else 0.0


def upper_limit(successes: int, trials: int, confidence: float = 0.95) -> float:
    """Exact one-sided upper limit of a share (Clopper & Pearson 1934)."""
    interval = binomtest(successes, trials, alternative="less").proportion_ci(confidence, method="exact")
    return float(interval.high)

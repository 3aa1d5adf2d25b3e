"""The band around chance, and the states +1, 0 and -1 outside and inside it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from ontogeny.recipe import Thresholds
from ontogeny.trajectories.timeline import ROUNDING, Floats

States = NDArray[np.int8]


def band(n: int, paradigms: int, confidence: float = 0.95) -> float:
    """Upper edge of the band that a coin's accuracy stays in; the lower edge is 1 minus it.

    `.5 + z sqrt(.25 / n)` for `n` pairs, with z two-sided and Bonferroni-corrected over `paradigms` (or paradigms x
    looks). Above 1 where n pairs are too few for any state at this confidence.
    """
    if n < 1 or paradigms < 1:
        raise ValueError("a band needs at least one pair and one paradigm")
    return 0.5 + float(norm.isf((1 - confidence) / paradigms / 2)) * math.sqrt(0.25 / n)


def upper_edge(n: int, paradigms: int, thresholds: Thresholds) -> float:
    """The threshold of state +1: the recipe's `hi`, or the band for these pairs and paradigms."""
    return thresholds.hi if thresholds.hi is not None else band(n, paradigms, thresholds.confidence)


def enough_pairs(n: int, paradigms: int, thresholds: Thresholds) -> bool:
    """Whether n pairs, all right, would be told from chance at this confidence, by the band and by the exact test."""
    exact = 2 * 0.5**n <= (1 - thresholds.confidence) / paradigms
    return exact and band(n, paradigms, thresholds.confidence) <= 1


def states(accuracy: Floats, hi: float) -> States:
    """+1 where accuracy >= hi, -1 where <= 1 - hi, else 0; any shape."""
    return ((accuracy >= hi - ROUNDING).astype(np.int8) - (accuracy <= 1 - hi + ROUNDING).astype(np.int8)).astype(np.int8)

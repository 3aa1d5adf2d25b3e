"""Has a sample one mode or more?  The dip of Hartigan & Hartigan (1985), and its p under the uniform distribution."""

from __future__ import annotations

from functools import cache

import numpy as np

from ontogeny.estimators.resampling import Floats, Ints

DRAWS = 2000  # uniform samples that a dip is compared with


def dip(values: Floats) -> float:
    """The largest distance of the sample's distribution from the nearest with one mode; 1 / 2n where it has one mode itself."""
    n = len(values)
    x = np.sort(values) + np.arange(n) * 1e-9 * max(float(np.ptp(values)), 1e-9) / n  # of equal values one stands before the other
    above = np.arange(1, n + 1) / n  # the distribution at each value, and just below it
    below = above - 1 / n
    low, high, found = 0, n - 1, 1 / n
    while high > low:
        part = slice(low, high + 1)
        convex, convex_at = _minorant(x[part], below[part])
        concave, concave_at = _majorant(x[part], above[part])
        gaps = concave - convex
        begin, end = _modal(gaps, convex_at, concave_at)
        if gaps[begin if begin in convex_at and gaps[begin] >= gaps[end] else end] <= found:
            break
        left = (above[part] - convex)[: begin + 1].max()
        right = (concave - below[part])[end:].max()
        found = max(found, float(left), float(right))
        if (begin, end) == (0, high - low):
            break
        low, high = low + begin, low + end
    return found / 2


def _modal(gaps: Floats, convex_at: Ints, concave_at: Ints) -> tuple[int, int]:
    """Where the modal interval begins and ends: at the largest gap between the two curves, and the touching point beside it."""
    left, right = gaps[convex_at].max(), gaps[concave_at].max()
    if right > left:
        end = int(concave_at[gaps[concave_at] == right][-1])
        return int(convex_at[convex_at <= end][-1]), end
    begin = int(convex_at[gaps[convex_at] == left][0])
    return begin, int(concave_at[concave_at >= begin][0])


def _minorant(x: Floats, y: Floats) -> tuple[Floats, Ints]:
    """The greatest convex function below the points, at each of them, and which of them it touches."""
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) > 1 and _steeper(x, y, hull[-2], hull[-1], i):
            hull.pop()
        hull.append(i)
    at = np.array(hull)
    return np.interp(x, x[at], y[at]), at


def _steeper(x: Floats, y: Floats, a: int, b: int, c: int) -> bool:
    """True if b does not lie below the line from a to c."""
    return bool((y[b] - y[a]) * (x[c] - x[a]) >= (y[c] - y[a]) * (x[b] - x[a]))


def _majorant(x: Floats, y: Floats) -> tuple[Floats, Ints]:
    found, at = _minorant(x, -y)
    return -found, at


def dip_p(values: Floats) -> float:
    """How often a uniform sample of this size, which of all with one mode dips most, has such a dip or a larger one."""
    return float((1 + (_uniform(len(values)) >= dip(values) - 1e-12).sum()) / (1 + DRAWS))


@cache
def _uniform(n: int) -> Floats:
    generator = np.random.default_rng(0)
    return np.array([dip(generator.random(n)) for _ in range(DRAWS)])

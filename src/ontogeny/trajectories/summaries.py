"""Numbers that describe a learning curve: age of acquisition, forgetting, breakthrough, change points.

Each function takes the trained checkpoints only: `steps` and `accuracy`, one entry a checkpoint, in order of time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import ruptures
from scipy.interpolate import CubicSpline
from scipy.linalg import solve_triangular as solve
from scipy.optimize import brentq, minimize_scalar

from ontogeny.scoring.options import CHANCE
from ontogeny.trajectories.timeline import ROUNDING, Floats, Ints

MOST_CHECKPOINTS = 256  # change points take quadratic time; smoothing thousands of points is numerically unsound
PENALTIES = 200  # tried, evenly in their logarithms, before the best is refined
CHANGE_RESAMPLES = 200  # of the bootstrap, for the intervals of change points


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """Where a curve's level changes."""

    step: int  # the first checkpoint at the new level
    shift: float  # new level minus old
    low: int | None  # bootstrap interval of the step
    high: int | None


def acquired_halfway(steps: Ints, accuracy: Floats, hi: float, chance: float = CHANCE) -> float | None:
    """Step at which the smoothed curve first passes halfway from chance to its best (Chang, Tu & Bergen 2024).

    Smoothed over log10 step by a cubic spline whose penalty generalised cross-validation chooses; below five
    checkpoints the points are joined by lines.  None where accuracy never reaches `hi`.  The first checkpoint's step
    means "no later than".  Of more than 256 checkpoints 256 are used, evenly in log time.
    """
    kept = thinned(steps)
    kept = kept[steps[kept] > 0]
    x, y = np.log10(steps[kept]), accuracy[kept]
    if not len(x) or y.max() < hi - ROUNDING:
        return None
    smooth = smoothed(x, y) if len(x) >= 5 else lambda at: np.interp(at, x, y)
    values = smooth(x)
    half = (chance + values.max()) / 2
    first = int(np.argmax(values >= half))
    if first == 0:
        return float(steps[kept][0])
    return float(10 ** brentq(lambda at: float(smooth(at)) - half, x[first - 1], x[first]))


def smoothed(x: Floats, y: Floats) -> CubicSpline:
    """A cubic smoothing spline whose penalty minimises generalised cross-validation (Craven & Wahba 1979).

    That is n |(I - A) y|^2 / tr(I - A)^2, at its lowest anywhere.  scipy's search is over a range that knows nothing of the steps'
    unit, ends in the nearest dip, and breaks down where steps lie close together.
    """
    directions, bends = _bending(tuple(x.tolist()))
    along = directions.T @ y

    def score(penalty: Floats) -> Floats:
        taken = 1 / (1 + bends / penalty[:, None])  # (penalties, directions): the share of each that smoothing takes away
        found: Floats = len(x) * (taken**2 @ along**2) / taken.sum(1) ** 2
        return found

    tried = np.linspace(np.log(bends.min()) - 2, np.log(bends.max()) + 7, PENALTIES)
    best = int(np.argmin(score(np.exp(tried))))
    near = tried[max(best - 1, 0)], tried[min(best + 1, PENALTIES - 1)]
    penalty = np.exp(minimize_scalar(lambda log: score(np.exp([log]))[0], bounds=near, method="bounded").x)
    return CubicSpline(x, y - directions @ (along / (1 + bends / penalty)), bc_type="natural")


@lru_cache(maxsize=4)
def _bending(x: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Directions (points, points - 2) that are no straight line, orthonormal, and the penalty that takes one half of each away.

    A natural cubic spline through f has the integrated squared second derivative f' Q R^-1 Q' f (Green & Silverman 1994, 2.1); with
    Q'Q = L L' and L^-1 R L^-T = V diag(b) V' directions are Q L^-T V, and b their penalties.
    """
    gaps = np.diff(x)
    inner = np.arange(len(x) - 2)
    q = np.zeros((len(x), len(x) - 2))
    q[inner, inner], q[inner + 2, inner] = 1 / gaps[:-1], 1 / gaps[1:]
    q[inner + 1, inner] = -1 / gaps[:-1] - 1 / gaps[1:]
    r = np.diag((gaps[:-1] + gaps[1:]) / 3) + np.diag(gaps[1:-1] / 6, 1) + np.diag(gaps[1:-1] / 6, -1)
    basis, triangle = np.linalg.qr(q)
    bends, vectors = np.linalg.eigh(solve(triangle.T, solve(triangle.T, r, lower=True).T, lower=True))
    return basis @ vectors, bends.clip(bends.max() * 1e-15)


def acquired_lasting(steps: Ints, accuracy: Floats, hi: float, lasting: int) -> int | None:
    """First step at or above `hi` that stays there for `lasting` checkpoints in all; None if there is none."""
    above = (accuracy >= hi - ROUNDING).astype(int)
    if len(above) < lasting:
        return None
    whole = np.flatnonzero(np.convolve(above, np.ones(lasting, dtype=int), mode="valid") == lasting)
    return int(steps[whole[0]]) if len(whole) else None


def variability(late: Floats) -> float | None:
    """Standard deviation (n - 1) over the late checkpoints; None for fewer than two."""
    return float(late.std(ddof=1)) if len(late) > 1 else None


def forgetting(accuracy: Floats) -> float | None:
    """The best accuracy so far minus the last; 0 where the last is the best."""
    return float(accuracy.max() - accuracy[-1]) if len(accuracy) else None


def breakthrough(steps: Ints, accuracy: Floats, least: float = 0.0) -> float | None:
    """Step of the largest second difference on a log-time axis: where the curve turns upward most sharply.

    The curve is read off, by lines between checkpoints, at doublings of the step counted back from the last, as
    checkpoints that lie close together in log time would turn noise into curvature.  None for fewer than three
    doublings, or where no second difference is larger than `least`.
    """
    kept = steps > 0
    if not kept.any():
        return None
    x = np.log2(steps[kept])
    at = np.arange(x[-1], x[0] - ROUNDING, -1.0)[::-1]
    if len(at) < 3:
        return None
    turns = np.diff(np.interp(at, x, accuracy[kept]), 2)
    return float(2 ** at[1 + int(np.argmax(turns))]) if turns.max() > least + ROUNDING else None


def change_points(
    steps: Ints, accuracy: Floats, n: int, resampled: Floats | None = None, confidence: float = 0.95
) -> list[ChangePoint]:
    """Changes of level by penalised Gaussian likelihood (PELT, Killick et al. 2012, from ruptures), in order of time.

    The variance is a coin's, .25 / n, so that a change counts if n fresh pairs could show it; each change point costs
    `2 log(checkpoints)` on the scale of -2 log likelihood (BIC: a place and a level).  Levels last at least two
    checkpoints. `resampled` (resamples, checkpoints): as many changes are placed in each of the first 200, and the
    interval is of their places.  Of many checkpoints those of `thinned` are to be given.
    """
    if len(steps) < 4:
        return []
    ends = _segment(accuracy).predict(pen=2 * 0.25 / n * math.log(len(steps)))
    if len(ends) < 2:
        return []
    levels = [float(piece.mean()) for piece in np.split(accuracy, ends[:-1])]
    places = ends[:-1]
    intervals: list[tuple[int | None, int | None]] = [(None, None)] * len(places)
    if resampled is not None:
        drawn = np.array([_segment(row).predict(n_bkps=len(places))[:-1] for row in resampled[:CHANGE_RESAMPLES]])
        tail = (1 - confidence) / 2
        low, high = (
            np.quantile(drawn, tail, axis=0, method="lower"),
            np.quantile(drawn, 1 - tail, axis=0, method="higher"),
        )
        intervals = [(int(steps[a]), int(steps[b])) for a, b in zip(low, high, strict=True)]
    return [ChangePoint(int(steps[place]), levels[i + 1] - levels[i], *intervals[i]) for i, place in enumerate(places)]


def _segment(accuracy: Floats) -> ruptures.KernelCPD:
    return ruptures.KernelCPD(kernel="linear", min_size=2).fit(np.ascontiguousarray(accuracy, dtype=float))


def thinned(steps: Ints) -> Ints:
    """Which of more than 256 steps, in ascending order, are enough: 256, evenly in log time."""
    if len(steps) <= MOST_CHECKPOINTS:
        return np.arange(len(steps))
    even = np.geomspace(max(int(steps[0]), 1), int(steps[-1]), MOST_CHECKPOINTS)
    return np.unique(np.searchsorted(steps, even - 0.5).clip(0, len(steps) - 1))

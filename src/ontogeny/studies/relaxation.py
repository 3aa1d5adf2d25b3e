"""How a difference between arms dies away once their texts are alike: D(t) = D(inf) + (D(0) - D(inf)) exp(-t / T)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from ontogeny.estimators.means import Comparison
from ontogeny.trajectories.timeline import Floats

FOLLOWED = 3.0  # times T that a difference has to be followed for its plateau to be read off: then a twentieth is left of it
GRID = 200  # times tried before the best is refined


@dataclass(frozen=True, slots=True)
class Relaxation:
    """A curve that goes from `start` to `plateau`, e-fold nearer every `time`."""

    plateau: float
    start: float
    time: float  # in the unit of the moments it was fitted to
    reached: bool  # it was followed for FOLLOWED times `time`

    def at(self, moments: Floats) -> Floats:
        """The curve."""
        return np.asarray(self.plateau + (self.start - self.plateau) * np.exp(-moments / self.time))


def fit(moments: Floats, values: Floats) -> Relaxation:
    """The least-squares relaxation through `values` (moments,), `moments` rising from the change on.

    Given T the two levels are a linear regression, so T alone is searched for: from a fifth of the shortest distance between
    moments to as long as they last.  Raises ValueError for fewer than four moments, through which any such curve would pass.
    """
    if len(moments) < 4:
        raise ValueError(f"a relaxation has three numbers; {len(moments)} moments cannot tell how well it fits")
    grid = np.linspace(np.log(np.diff(moments).min() / 5), np.log(np.ptp(moments)), GRID)

    def misfit(log_time: float) -> float:
        shape = _shape(moments, math.exp(log_time))
        return float(((values - shape @ np.linalg.lstsq(shape, values)[0]) ** 2).sum())

    best = int(np.argmin([misfit(one) for one in grid]))
    around = grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)]
    time = math.exp(optimize.minimize_scalar(misfit, bounds=around, method="bounded").x)
    plateau, step = np.linalg.lstsq(_shape(moments, time), values)[0]
    return Relaxation(float(plateau), float(plateau + step), time, bool(moments[-1] >= FOLLOWED * time))


def plateaus(seeds: Sequence[int], moments: Floats, values: Floats) -> tuple[Comparison, Relaxation]:
    """D(inf) of each seed, and the relaxation of their mean.  `values`: (seeds, moments).

    One seed's curve is too rough to tell its T, so all seeds share it.  A seed's D(inf) is its jackknife pseudo-value (Quenouille
    1956), n times the plateau of all seeds minus n - 1 times that of the others: their spread has in it how uncertain T is.
    """
    whole, n = fit(moments, values.mean(axis=0)), len(seeds)
    others = [fit(moments, np.delete(values, index, axis=0).mean(axis=0)).plateau for index in range(n)] if n > 1 else [0.0]
    own = n * whole.plateau - (n - 1) * np.array(others)
    return Comparison(tuple(seeds), own[:, None], np.ones(1)), whole


def _shape(moments: Floats, time: float) -> Floats:
    """(moments, 2): what is multiplied with the plateau, and with the way from it to the start."""
    return np.stack([np.ones_like(moments), np.exp(-moments / time)], axis=1)

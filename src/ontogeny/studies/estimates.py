"""Comparisons of arms within seeds, from seeds and critical contrasts together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from ontogeny.estimators.means import Comparison
from ontogeny.studies.measures import Values
from ontogeny.studies.plan import Region


class Estimate(Protocol):
    """A number with its uncertainty."""

    @property
    def value(self) -> float:
        """The estimate."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds it is from."""

    def interval(self, confidence: float) -> tuple[float, float]:
        """Its ends; infinite where nothing is known."""

    def level(self, region: Region) -> float:
        """The smallest level at which the interval (of confidence 1 - level) lies in the region; 1 where the estimate does not."""


def difference(values: Values, arm: str, reference: str) -> Comparison:
    """Arm minus reference, seed by seed; seeds that either lacks are left out."""
    return compare(values, {arm: 1.0, reference: -1.0})


def slope(values: Values, over: Mapping[str, float]) -> Comparison:
    """The least-squares slope within each seed that has all the arms of `over`, which gives each arm's abscissa.

    The mean of these slopes is that of a regression with an intercept for each seed.  NaN where the abscissa is constant.
    """
    centred = np.array(list(over.values())) - np.mean(list(over.values()))
    variation = float(centred @ centred)
    weights = centred / variation if variation > 1e-12 else np.full(len(centred), np.nan)
    return compare(values, dict(zip(over, weights.tolist(), strict=True)))


def compare(values: Values, weights: Mapping[str, float]) -> Comparison:
    """The weighted sum of arms in each seed that has them all."""
    rows = values.sums[[values.arms.index(arm) for arm in weights]]  # (arms, seeds, clusters)
    kept = np.flatnonzero(~np.isnan(rows).any(axis=(0, 2)))
    seeds = tuple(values.seeds[index] for index in kept)
    sums = np.einsum("a,asc->sc", np.array(list(weights.values())), rows[:, kept])
    return Comparison(seeds, sums, values.sizes.astype(np.float64))


def mean_over(comparisons: Sequence[Comparison]) -> Comparison:
    """The mean over paradigms, each counting once; whole paradigms are its clusters.  Seeds are those that all have."""
    shared = [seed for seed in comparisons[0].seeds if all(seed in other.seeds for other in comparisons)]
    columns = [c.by_seed()[[c.seeds.index(seed) for seed in shared]] for c in comparisons]
    return Comparison(tuple(shared), np.stack(columns, axis=1), np.ones(len(columns)))

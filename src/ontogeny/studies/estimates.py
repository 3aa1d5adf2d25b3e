"""Comparisons of arms within seeds, from seeds and critical contrasts together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from ontogeny.estimators.means import MANY, Comparison, Mean, estimate
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


def estimated(
    measures: Sequence[str], comparisons: Sequence[Comparison], resamples: int, generator: np.random.Generator
) -> list[Mean | None]:
    """Each comparison's mean with its uncertainty: of `basin`, a yes or no a seed, as of shares.  None without seeds."""
    found = estimate(comparisons, resamples, generator)
    each = zip(measures, comparisons, found, strict=True)
    return [of_shares(one) if name == "basin" and mean is not None else mean for name, one, mean in each]


def of_shares(comparison: Comparison) -> Mean:
    """The difference of two shares of the same seeds, by half a seed added to each way that a pair can come out.

    Agresti & Min (2005): seeds that agree to the last one leave an interval all the same, unlike Student's t of zeros.
    """
    by_seed, n = comparison.by_seed(), len(comparison.seeds) + 2
    value = float(by_seed.sum()) / n
    variance = (float((by_seed**2).sum()) + 1) / n - value**2
    return Mean(value, float(np.sqrt(variance / n)), MANY, comparison.seeds, tuple(by_seed.tolist()))


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

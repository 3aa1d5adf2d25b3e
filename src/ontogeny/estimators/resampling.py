"""The Multi-Bootstrap (Sellam et al. 2022, algorithm 1): seeds and clusters of pairs are resampled together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def multi_bootstrap(sums: Floats, sizes: Ints, resamples: int, generator: np.random.Generator) -> Floats:
    """(resamples, steps): means over pairs and seeds, both drawn with replacement, the same draw at every step.

    `sums` is (seeds, steps, clusters), each cluster's sum over its pairs; `sizes` (clusters,) counts the pairs.
    Whole clusters are drawn, and a draw's mean is its sum over its number of pairs.
    """
    seeds, steps, clusters = sums.shape
    drawn = _counts(clusters, resamples, generator)
    of_seeds = _counts(seeds, resamples, generator) / seeds
    per_seed = (drawn @ sums.reshape(-1, clusters).T).reshape(resamples, seeds, steps)
    return np.asarray(np.einsum("rs,rst->rt", of_seeds, per_seed) / (drawn @ sizes)[:, None])


def bootstrap_of_read(values: Floats, clusters: Ints, resamples: int, generator: np.random.Generator) -> Floats:
    """(resamples, steps): `multi_bootstrap` of `values` (seeds, steps, pairs) that are NaN where a pair was not read.

    A draw's mean at a seed and step is over the pairs that were read there; where it has none of them, that of all.
    """
    unread = np.isnan(values)
    if not unread.any():
        sums, sizes = cluster_sums(values, clusters)
        return multi_bootstrap(sums, sizes, resamples, generator)
    sums, counts = cluster_sums(np.where(unread, 0.0, values), clusters)[0], cluster_sums((~unread).astype(float), clusters)[0]
    seeds, size = len(sums), sums.shape[2]
    drawn = _counts(size, resamples, generator)
    of_seeds = _counts(seeds, resamples, generator) / seeds
    found, of = (np.einsum("rc,stc->rst", drawn, table, optimize=True) for table in (sums, counts))
    with np.errstate(invalid="ignore"):
        means = np.where(of > 0, found / of, np.nanmean(values, axis=2))
    return np.asarray(np.einsum("rs,rst->rt", of_seeds, means))


def binomial_bootstrap(accuracy: Floats, n: int, resamples: int, generator: np.random.Generator) -> Floats:
    """(resamples, steps): what is left of the Multi-Bootstrap where only accuracies (seeds, steps) are known.

    Seeds are drawn with replacement; the n pairs add the normal approximation of a binomial error, the same for all
    seeds and steps, as the same pairs are read everywhere.  The true error is smaller wherever averaging over seeds
    and checkpoints helps.
    """
    of_seeds = _counts(len(accuracy), resamples, generator) / len(accuracy)
    mean = of_seeds @ accuracy
    error = np.sqrt(np.clip(mean * (1 - mean), 0, None) / n) * generator.standard_normal((resamples, 1))
    return np.asarray(np.clip(mean + error, 0, 1))


def cluster_sums(values: Floats, clusters: Ints) -> tuple[Floats, Ints]:
    """Sums of `values` (..., pairs) over the pairs of each cluster, (..., clusters), and the clusters' sizes."""
    order = np.argsort(clusters, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(clusters[order]) != 0])
    return np.add.reduceat(values[..., order], starts, axis=-1), np.diff(np.r_[starts, len(order)])


def known(resampled: Floats, units: int) -> Floats | None:
    """The draws in which the figure is a number; None where they are fewer than half, and with a single unit."""
    kept = resampled[~np.isnan(resampled)]
    return None if units < 2 or len(kept) < max(1, len(resampled) / 2) else kept


def expanded(resampled: Floats, units: int, confidence: float) -> tuple[float | None, float | None]:
    """Ends of the expanded percentile interval (Hesterberg 2015) of a figure that was computed anew in every draw.

    The plain one is too narrow where few `units` are drawn (phenomena, paradigms): n things drawn out of n vary by (n - 1) / n
    of their variance, and a normal distribution is not Student's.  None where nothing is `known`.
    """
    kept = known(resampled, units)
    if kept is None:
        return None, None
    tail = norm.sf(np.sqrt(units / (units - 1)) * t.isf((1 - confidence) / 2, units - 1))
    low, high = np.quantile(kept, [tail, 1 - tail])
    return float(low), float(high)


def _counts(size: int, resamples: int, generator: np.random.Generator) -> Floats:
    """(resamples, size): how often each of `size` things is drawn when as many are drawn with replacement."""
    drawn = generator.integers(0, size, (resamples, size)) + size * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * size).reshape(resamples, size).astype(float)

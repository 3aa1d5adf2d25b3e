"""How often the intervals of the table of verdicts hold the truth, and how often equivalence is found where there is none.

    python -m benchmarks coverage

A paradigm of 1,000 pairs is simulated again and again: pairs in clusters, seeds, and what a seed does to a cluster, each drawn
from a normal distribution and added up; a pair is right where the sum is positive.  The truth is the accuracy over all seeds and
clusters that there could be (of one seed: over all clusters, its weights as they are).  The seeds' standard deviation is that of
their true accuracies.  Clusters are of one size, and of very different ones (a quarter of them hold half of the pairs).  A cell of
the first table is the lowest coverage over both and over true accuracies of .50 and .80; `p` of chance is below .05 as often as an
interval around .50 misses it.  Beside it: a true accuracy of .95, of which few clusters tell little.

Then of areas under the curve: 67 paradigms in phenomena as large as BLiMP's, a predictor and how a paradigm ends, correlated, each
of them alike within a phenomenon (a tenth or half of its variance), and seeds that move the ends.  About a quarter ends wrong.
And of the difference of two such areas, of two predictors of the same ends.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from benchmarks.options import say
from ontogeny.estimators.means import Accuracy, accuracy, share_of_draws
from ontogeny.estimators.resampling import Floats, Ints, cluster_sums, expanded
from ontogeny.evidence.logistic import roc_auc

SEEDS = (1, 2, 3, 5, 10)
CLUSTERS = (10, 50)
SPREADS = (0.03, 0.10)  # standard deviation of seeds' accuracies
TRUTHS = (0.50, 0.80)
NEAR_ONE = (0.95,)  # cannot vary by .10
PAIRS = 1000
OF_CLUSTERS, OF_BOTH = 0.25, 0.10  # variances beside a pair's own of 1
SHARED = 0.5  # of a pair's own variance: the same for all seeds
AT_ONCE = 100
MARGIN = 0.05
PHENOMENA = np.repeat(np.arange(12), (2, 9, 7, 5, 8, 2, 7, 2, 8, 7, 4, 6))  # of each paradigm of BLiMP
AREAS: dict[str, list[tuple[float, ...]]] = {  # correlations of predictors and end: .0 to .95 are areas of .50 to .93
    "An area under the curve": [(0.0,), (0.5,), (0.8,), (0.95,)],
    "The difference of two": [(0.0, 0.0), (0.5, 0.5), (0.8, 0.5), (0.8, 0.8), (0.95, 0.0)],
}
LIKENESS = (0.1, 0.5)  # share of a phenomenon in the variance of either
OF_SEEDS, WRONG = 0.16, 0.6  # the seeds' share of the ends' variance, and where an end is wrong
RESAMPLES = 1000


def sizes(clusters: int, alike: bool) -> Ints:
    """Pairs of each cluster: of one size, or lognormal with a standard deviation of .75."""
    weights = np.exp((0.0 if alike else 0.75) * ndtri((np.arange(clusters) + 0.5) / clusters))
    return np.asarray(np.maximum(1, np.round(PAIRS * weights / weights.sum())), dtype=np.int64)


def latent(truth: float, spread: float) -> tuple[float, float]:
    """The mean and the seeds' variance of what is added up that give this accuracy, and this spread of the seeds'."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights /= weights.sum()
    rest = 1 + OF_CLUSTERS + OF_BOTH

    def off(variance: float) -> float:
        own = ndtr((ndtri(truth) * np.sqrt(rest + variance) + np.sqrt(variance) * nodes) / np.sqrt(rest))
        return float(np.sqrt(weights @ (own - truth) ** 2)) - spread

    variance = brentq(off, 1e-9, 50.0)
    return float(ndtri(truth) * np.sqrt(rest + variance)), float(variance)


def simulated(
    seeds: int, of: Ints, truth: float, spread: float, studies: int, generator: np.random.Generator
) -> Iterator[tuple[Accuracy, Floats]]:
    """Estimates of paradigms, many at once, and the truth of each."""
    clusters, (mean, variance) = np.repeat(np.arange(len(of)), of), latent(truth, spread)
    for _ in range(studies // AT_ONCE):
        draw = generator.standard_normal
        a = np.sqrt(variance) * draw((AT_ONCE, seeds, 1))
        b = np.sqrt(OF_CLUSTERS) * draw((AT_ONCE, 1, len(of))) + np.sqrt(OF_BOTH) * draw((AT_ONCE, seeds, len(of)))
        own = np.sqrt(SHARED) * draw((AT_ONCE, 1, len(clusters))) + np.sqrt(1 - SHARED) * draw((AT_ONCE, seeds, len(clusters)))
        sums, counts = cluster_sums(((mean + a + b)[..., clusters] + own > 0).astype(float), clusters)
        alone = ndtr((mean + a[:, 0, 0]) / np.sqrt(1 + OF_CLUSTERS + OF_BOTH))
        yield accuracy(sums, counts), np.full(AT_ONCE, truth) if seeds > 1 else alone


def covered(seeds: int, clusters: int, spread: float, studies: int, truths: tuple[float, ...] = TRUTHS) -> float:
    """The lowest share of 95 % intervals that hold the truth."""
    found = []
    for truth, alike in product(truths, (True, False)):
        generator, held = np.random.default_rng([seeds, clusters, int(100 * truth), alike]), []
        for estimate, true in simulated(seeds, sizes(clusters, alike), truth, spread, studies, generator):
            low, high = estimate.interval(0.95)
            held.append((low <= true) & (true <= high))
        found.append(float(np.mean(held)))
    return min(found)


def equivalent(seeds: int, clusters: int, spread: float, truth: float, studies: int) -> float:
    """The share called equivalent to chance."""
    drawn = simulated(seeds, sizes(clusters, True), truth, spread, studies, np.random.default_rng([seeds, clusters]))
    return float(np.mean([estimate.equivalence(0.5, MARGIN) <= 0.05 for estimate, _ in drawn]))


def endings(
    paradigms: Ints, seeds: int, slopes: tuple[float, ...], likeness: float, generator: np.random.Generator
) -> tuple[Floats, NDArray[np.bool_]]:
    """Predictors (slopes, paradigms), each correlated by its slope with the end, and which end wrong (paradigms, seeds)."""
    draw, parts = generator.standard_normal, 1 + len(slopes)
    alike, own = draw((parts, paradigms.max() + 1))[:, paradigms], draw((parts, len(paradigms)))
    end, *rest = np.sqrt(likeness) * alike + np.sqrt(1 - likeness) * own
    predictors = np.stack([slope * end + np.sqrt(1 - slope**2) * one for slope, one in zip(slopes, rest, strict=True)])
    return predictors, np.sqrt(1 - OF_SEEDS) * end[:, None] + np.sqrt(OF_SEEDS) * draw((len(paradigms), seeds)) > WRONG


def areas(wrong: Floats | Ints, all_of: Floats | Ints | int) -> Floats:
    """(draws,): areas of draws (draws, paradigms), sorted by the predictor, in which so many ends of `all_of` are wrong."""
    right = all_of - wrong
    with np.errstate(invalid="ignore"):
        return np.asarray((wrong * (np.cumsum(right, axis=1) - right / 2)).sum(axis=1) / (wrong.sum(axis=1) * right.sum(axis=1)))


def area_covered(seeds: int, slopes: tuple[float, ...], likeness: float, studies: int) -> float:
    """The share of 95 % intervals, over phenomena and seeds, that hold the truth: endlessly many paradigms' raw area.

    Of two slopes: the difference of their predictors' areas, by the interval that a contest of predictors has.
    """
    generator = np.random.default_rng([seeds, *(int(100 * slope) for slope in slopes), int(10 * likeness)])
    many, wrong = endings(np.arange(200_000), 1, slopes, likeness, generator)
    true, held = [roc_auc(one, wrong[:, 0]) for one in many], []
    for _ in range(studies):
        predictors, ends = endings(PHENOMENA, seeds, slopes, likeness, generator)
        drawn = generator.multinomial(12, np.full(12, 1 / 12), RESAMPLES)[:, PHENOMENA]
        of_seeds = generator.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES)
        found = [drawn_areas(predictor, ends, drawn, of_seeds) for predictor in predictors]
        if len(found) == 1:
            share = share_of_draws(*found[0], 12)
            low, high = share.interval(0.95) if share else (1.0, 0.0)
            held.append(bool(low <= true[0] <= high))
        else:
            least, most = expanded(found[0][1] - found[1][1], 12, 0.95)
            held.append(least is not None and most is not None and least <= true[0] - true[1] <= most)
    return float(np.mean(held))


def drawn_areas(predictor: Floats, ends: NDArray[np.bool_], drawn: Ints, of_seeds: Ints) -> tuple[float, Floats]:
    """The area, and that of every draw of phenomena and seeds."""
    order, seeds = np.argsort(predictor), ends.shape[1]
    ends, drawn = ends[order], drawn[:, order]
    return float(areas(ends.sum(axis=1)[None], seeds)[0]), areas(drawn * (of_seeds @ ends.T), seeds * drawn)


def options(parser: argparse.ArgumentParser) -> None:
    """What the command line says."""
    parser.add_argument("--studies", type=int, default=2000, help="simulated paradigms of each kind; half as many suites")


def run(asked: argparse.Namespace) -> int:
    """Prints the tables; 1 if an interval of the first or the last holds the truth in less than .93."""
    columns = list(product(CLUSTERS, SPREADS))
    lowest = 1.0
    heading("", columns, [f".95: {clusters} clusters, SD {SPREADS[0]:.2f}" for clusters in CLUSTERS])
    for seeds in SEEDS:
        found = [covered(seeds, *column, asked.studies) for column in columns]
        beside = [covered(seeds, clusters, SPREADS[0], asked.studies, NEAR_ONE) for clusters in CLUSTERS]
        lowest = min(lowest, *found)
        print(f"| {seeds} | {' | '.join(f'{share:.3f}' for share in found + beside)} |", flush=True)
        say(f"{seeds} seeds done")
    heading("Called equivalent to chance where the true accuracy is .55 (.50)", columns)
    for seeds in SEEDS[1:]:
        cells = [[equivalent(seeds, *column, truth, asked.studies) for truth in (0.55, 0.5)] for column in columns]
        print(f"| {seeds} | {' | '.join(f'{wrongly:.3f} ({rightly:.2f})' for wrongly, rightly in cells)} |", flush=True)
    of_areas = [areas_table(title, slopes, asked.studies // 2) for title, slopes in AREAS.items()]
    return int(min(lowest, *of_areas) < 0.93)


def areas_table(title: str, columns: Sequence[tuple[float, ...]], studies: int) -> float:
    """Prints a table of areas' coverage, and returns the lowest."""
    names = ("correlation " + " and ".join(map(str, slopes)) for slopes in columns)
    print(f"\n{title}:\n\n| seeds | {' | '.join(names)} |\n|---|{'---|' * len(columns)}")
    lowest = 1.0
    for seeds in SEEDS:
        found = [min(area_covered(seeds, slopes, likeness, studies) for likeness in LIKENESS) for slopes in columns]
        lowest = min(lowest, *found)
        print(f"| {seeds} | {' | '.join(f'{share:.3f}' for share in found)} |", flush=True)
    return lowest


def heading(title: str, columns: Sequence[tuple[int, float]], beside: Sequence[str] = ()) -> None:
    """Prints what stands above a table."""
    heads = [*(f"{clusters} clusters, SD {spread:.2f}" for clusters, spread in columns), *beside]
    print(f"\n{title}:\n" if title else "")
    print(f"| seeds | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")

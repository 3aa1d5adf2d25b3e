"""How far two runs agree over the paradigms they share: verdicts, order of accuracies, and which paradigms end wrong.

Everywhere a list or a column holds one entry a paradigm, the same paradigms in the same order for all runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import fisher_exact, rankdata

from ontogeny.estimators import means
from ontogeny.estimators.resampling import expanded
from ontogeny.estimators.significance import adjusted
from ontogeny.trajectories.cases import WindowMean

Floats = npt.NDArray[np.float64]
RESAMPLES = 2000
CONFIDENCE = 0.95


def same(first: Sequence[str], second: Sequence[str]) -> float:
    """Share of paradigms with the same verdict."""
    return sum(a == b for a, b in zip(first, second, strict=True)) / len(first)


def kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Cohen's (1960) kappa: agreement beyond what the two runs' numbers of each verdict give by chance, 1 at most.

    None where chance alone gives full agreement, as with one verdict in all.
    """
    number = len(first)
    own, other = Counter(first), Counter(second)
    chance = sum(own[name] * other[name] for name in own) / number**2
    return None if chance == 1 else (same(first, second) - chance) / (1 - chance)


def seeds_agree(first: Sequence[Sequence[str]], second: Sequence[Sequence[str]] | None = None) -> float | None:
    """Mean share of same verdicts over all pairs of a seed of one run and one of another; left out: of two seeds of one run.

    Each holds a list of seeds for every paradigm.  None where there is no such pair, or a paradigm lacks seeds.
    """
    if {len(seeds) for seeds in first} != {len(first[0])} or (second and {len(seeds) for seeds in second} != {len(second[0])}):
        return None
    mine = list(zip(*first, strict=True))
    pairs = combinations(mine, 2) if second is None else product(mine, zip(*second, strict=True))
    found = [same(a, b) for a, b in pairs]
    return float(np.mean(found)) if found else None


def spearman(first: Floats, second: Floats) -> float | None:
    """Spearman's rho, ties at their mean rank; None where a run's accuracies are all the same."""
    return _number(_rho(_ranks(first[None, :]), _ranks(second[None, :]))[0])


class Resampled:
    """What other paradigms, and other seeds of each run, might have given.

    `accuracy` is (seeds, paradigms) for every run.  What is asked of a pair of runs keeps that both met the same paradigms.
    """

    def __init__(self, accuracy: Mapping[str, Floats], resamples: int = RESAMPLES, seed: int = 0):
        generator = np.random.default_rng(seed)
        paradigms = next(iter(accuracy.values())).shape[1]
        draws = generator.integers(0, paradigms, (resamples, paradigms))
        self._accuracy = accuracy
        self._ranks = {run: _ranks(own.mean(axis=0)[draws]) for run, own in accuracy.items()}

    def mean(self, run: str) -> tuple[float | None, float | None]:
        """Interval of a run's mean accuracy, over paradigms and, where there are several, seeds."""
        low, high = means.accuracy(self._accuracy[run], np.ones(self._accuracy[run].shape[1])).interval(CONFIDENCE)
        return _number(float(low)), _number(float(high))

    def difference(self, first: str, second: str) -> tuple[float | None, float | None]:
        """Interval of the first's mean accuracy minus the second's: over paradigms, the same for both, and the seeds of each.

        It ends at -1 and 1, as differences of accuracies do.
        """
        one, other = self._accuracy[first], self._accuracy[second]
        apart = one.mean(axis=0) - other.mean(axis=0)
        if len(apart) < 2:
            return None, None
        drawn = [apart, *(own.mean(axis=1) for own in (one, other) if len(own) > 1)]
        reach = means.reach([(float(values.var(ddof=1)) / len(values), len(values) - 1) for values in drawn], CONFIDENCE)
        return max(-1.0, float(apart.mean()) - reach), min(1.0, float(apart.mean()) + reach)

    def rho(self, first: str, second: str) -> tuple[float | None, float | None]:
        """Interval of Spearman's rho of the accuracies, means over seeds: over paradigms alone."""
        return expanded(_rho(self._ranks[first], self._ranks[second]), self._ranks[first].shape[1], CONFIDENCE)


def overlap(first: Sequence[bool], second: Sequence[bool]) -> dict[str, float | int | None]:
    """How two sets of paradigms meet: size_first, size_second, both, jaccard, expected and p.

    `expected`: how many would be in both if the sets had nothing to do with each other.  `p`: Fisher's exact, one-sided: as many or
    more in both, the sizes as they are (hypergeometric).  Jaccard of two empty sets is None.
    """
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    both, either = int((a & b).sum()), int((a | b).sum())
    table = [[both, int((a & ~b).sum())], [int((~a & b).sum()), int((~a & ~b).sum())]]
    return {
        "size_first": int(a.sum()),
        "size_second": int(b.sum()),
        "both": both,
        "jaccard": both / either if either else None,
        "expected": float(a.sum() * b.sum() / len(a)),
        "p": float(fisher_exact(table, alternative="greater").pvalue),
    }


PERHAPS = dict.fromkeys(("kappa", "seeds_agree", "rho", "rho_low", "rho_high", "jaccard"), pl.Float64)  # null where not known


def pairwise(
    verdicts: Mapping[str, Sequence[str]],
    seeds: Mapping[str, Sequence[Sequence[str]]],
    accuracy: Mapping[str, Floats],
    wrong: Mapping[str, Sequence[bool]],
    resampled: Resampled,
) -> pl.DataFrame:
    """A row for every two runs; `p_adjusted` over all pairs (Benjamini & Hochberg 1995).

    By run: `verdicts`; `seeds`, for each paradigm the verdict of each seed; `accuracy` (seeds, paradigms); `wrong`.
    """
    rows = []
    for one, other in combinations(verdicts, 2):
        mine, its = accuracy[one].mean(axis=0), accuracy[other].mean(axis=0)
        rho_low, rho_high = resampled.rho(one, other)
        low, high = resampled.difference(one, other)
        rows.append(
            {
                "first": one,
                "second": other,
                "agreement": same(verdicts[one], verdicts[other]),
                "kappa": kappa(verdicts[one], verdicts[other]),
                "seeds_agree": seeds_agree(seeds[one], seeds[other]),
                "rho": spearman(mine, its),
                "rho_low": rho_low,
                "rho_high": rho_high,
                "difference": float(mine.mean() - its.mean()),
                "difference_low": low,
                "difference_high": high,
                **overlap(wrong[one], wrong[other]),
            }
        )
    table = pl.DataFrame(rows, schema_overrides=PERHAPS)
    return table.with_columns(p_adjusted=pl.Series(adjusted(table["p"].to_numpy())))


APART = {
    **dict.fromkeys(("first", "second", "paradigm"), pl.String),
    **dict.fromkeys(("difference", "difference_low", "difference_high"), pl.Float64),
}


def differences(
    known: Mapping[str, Sequence[WindowMean]], paradigms: Sequence[str], same_pairs: Mapping[str, Sequence[str | None]]
) -> pl.DataFrame:
    """A row for each paradigm and each run after the first: the first's accuracy minus its, with an interval over seeds and pairs.

    `known`: by run, what is known of each paradigm at the last checkpoint.  `same_pairs`: by run, the keys of their pairs, of which
    those that are the same are taken as the same in both runs.
    """
    first, *others = known
    rows = []
    for other, place in product(others, range(len(paradigms))):
        one, two = known[first][place], known[other][place]
        same = same_pairs[first][place] is not None and same_pairs[first][place] == same_pairs[other][place]
        both = one.accuracy(), two.accuracy()
        together = 0.0
        if same and one.sums is not None and two.sums is not None:
            together = float(means.shared(one.sums, two.sums, np.asarray(one.sizes)))
        low, high = means.apart(*both, CONFIDENCE, together)
        rows.append((first, other, paradigms[place], float(both[0].value - both[1].value), float(low), float(high)))
    return pl.DataFrame(rows, APART, orient="row")


SPREAD = {"run": pl.String, "seeds": pl.Int64, "agreement": pl.Float64, "rho": pl.Float64, "sd": pl.Float64}


def spread(seeds: Mapping[str, Sequence[Sequence[str]]], accuracy: Mapping[str, Floats]) -> pl.DataFrame:
    """How far two seeds of one run agree: run, seeds, agreement, rho (means over pairs of seeds), sd of mean accuracy (n - 1).

    A row for each run with several seeds.
    """
    rows = []
    for run, own in ((run, own) for run, own in accuracy.items() if len(own) > 1):
        rhos = [rho for a, b in combinations(own, 2) if (rho := spearman(a, b)) is not None]
        rho = float(np.mean(rhos)) if rhos else None
        rows.append((run, len(own), seeds_agree(seeds[run]), rho, float(own.mean(axis=1).std(ddof=1))))
    return pl.DataFrame(rows, SPREAD, orient="row")


def _ranks(values: Floats) -> Floats:
    """Ranks along the last axis, centred and of length 1; not a number where all are the same."""
    ranks = rankdata(values, axis=-1) - (values.shape[-1] + 1) / 2
    length = np.sqrt((ranks**2).sum(axis=-1, keepdims=True))
    return np.asarray(np.divide(ranks, length, out=np.full_like(ranks, np.nan), where=length > 0))


def _rho(first: Floats, second: Floats) -> Floats:
    return np.asarray((first * second).sum(axis=-1))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

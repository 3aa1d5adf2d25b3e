"""What reading until settled costs, and how often it errs, on the scores of a run that was read whole.

    python -m benchmarks settled runs/babylm-small --orders 3

For each of three levels (the run's error shared by all its states; each checkpoint's by its paradigms; each state by itself) and
`--orders` random orders of the pairs: the share of pairs read, states that come out false, verdicts that come out otherwise (from
accuracies alone, without pairs), and by how much the estimated accuracies are off.  Beside it

- `every look`: the same bounds where no look is left out;
- `martingale`: the share that a martingale valid at every pair reads, at the same looks: the ratio of prior to posterior with a
  uniform prior (Waudby-Smith & Ramdas 2020, theorem 3.1);
- `floor`: one look alone, at the first moment at which pairs that come in just their paradigm's proportion settle it.  Nobody
  knows that moment beforehand, and nothing that sees right and wrong pairs alone can do with much fewer.

With `--lags`: how the margins of a paradigm's pairs correlate from one checkpoint to the next, the one after it ...

With `--edge`: populations at the edges of the band, where errors are likeliest, N = 1,000.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import betaln, gammaln
from scipy.stats import hypergeom

from ontogeny.laboratory import Run
from ontogeny.recipe import Thresholds
from ontogeny.results import Results
from ontogeny.scoring.settled import edges, following, looks, upper_edge
from ontogeny.trajectories import judge
from ontogeny.trajectories.bands import states
from ontogeny.trajectories.curves import outcome
from ontogeny.trajectories.timeline import Timeline

Floats = NDArray[np.float64]
Next = Callable[[int, int, int], int]  # pairs read, right for sure, right possibly: how many to read in all; as many: settled


def by_edges(n: int, hi: float, level: float) -> Next:
    """The rule that runs use."""
    bounds = edges(n, hi, level)
    return lambda read, sure, possible: following(n, bounds, read, sure, possible)


def by_every_look(n: int, hi: float, level: float) -> Next:
    """The same bounds, and every look is taken."""
    bounds = edges(n, hi, level)
    return one_by_one(n, lambda read, sure, possible: bounds.state(bounds.looks.index(read), sure, possible) is not None)


def by_martingale(n: int, hi: float, level: float) -> Next:
    """The number k of right pairs is within the confidence set while prior(k) / posterior(k) < 1 / level; ties count as right."""
    right, wrong = math.ceil(hi * n - 1e-9), math.floor((1 - hi) * n + 1e-9)
    k = np.arange(n + 1)

    def settles(read: int, sure: int, possible: int) -> bool:
        rest, left = n - read, k - possible
        inside = (left >= 0) & (left <= rest)
        own = left[inside]
        posterior = gammaln(rest + 1) - gammaln(own + 1) - gammaln(rest - own + 1)
        posterior += betaln(own + possible + 1, rest - own + read - possible + 1) - betaln(possible + 1, read - possible + 1)
        kept = k[inside][-math.log(n + 1) - posterior < math.log(1 / level)]
        return len({1 if k >= right else -1 if k <= wrong else 0 for k in (kept.min(), kept.max())}) == 1

    return one_by_one(n, settles)


def one_by_one(n: int, settles: Callable[[int, int, int], bool]) -> Next:
    """Look after look."""
    at = (*looks(n), n)

    def following(read: int, sure: int, possible: int) -> int:
        return read if read == n or (read and settles(read, sure, possible)) else next(look for look in at if look > read)

    return following


@cache
def floor(n: int, right: int, hi: float, level: float) -> int:
    """Pairs after which one look settles `right` of n, if they come in just that proportion; n if none does."""
    edge, other = math.ceil(hi * n - 1e-9), math.floor((1 - hi) * n + 1e-9)
    for read in range(1, n):
        seen = round(right * read / n)
        up, down = hypergeom.cdf(seen, n, min(n, edge), read), hypergeom.cdf(read - seen, n, min(n, n - other), read)
        if up <= level and down <= level:
            return read
        if hypergeom.cdf(read - seen, n, n - edge + 1, read) <= level / 2 or hypergeom.cdf(seen, n, other + 1, read) <= level / 2:
            return read
    return n


def read(outcomes: Floats, following: Next) -> tuple[int, float]:
    """How many of `outcomes` (0, .5, 1), in their order, are read, and the accuracy of those."""
    sure, possible = np.append(0, np.cumsum(outcomes == 1)), np.append(0, np.cumsum(outcomes > 0))
    n = 0
    while (more := following(n, int(sure[n]), int(possible[n]))) > n:
        n = more
    return n, float(outcomes[:n].mean())


def arrays(run: Run) -> Iterator[tuple[str, Floats]]:
    """Each paradigm's outcomes: (seeds x steps, pairs), seeds first."""
    for (paradigm,), own in (
        run.scores()
        .select("paradigm", "pair", "seed", "step", x=outcome(run.recipe.verdicts.tie, run.recipe.verdicts.tie_counts))
        .collect()
        .group_by("paradigm", maintain_order=True)
    ):
        moments = own.select("seed", "step").n_unique()
        yield str(paradigm), own.sort("seed", "step", "pair")["x"].to_numpy().reshape(moments, -1)


def arrays_of(curves: pl.DataFrame) -> Iterator[tuple[str, Floats]]:
    """The same from accuracies and ties alone, sorted by paradigm, seed and step: how many pairs are right, if not which."""
    for (paradigm,), own in curves.group_by("paradigm", maintain_order=True):
        n = int(own["n"][0])
        rows = np.zeros((len(own), n))
        for row, accuracy, ties in zip(rows, own["accuracy"], own["ties"], strict=True):
            right = round(accuracy * n - ties / 2)
            row[:right], row[right : right + ties] = 1.0, 0.5
        yield str(paradigm), rows


def options(parser: argparse.ArgumentParser) -> None:
    """What the command line says."""
    curves = "a run that was read whole, or its curves.parquet"
    parser.add_argument("run_or_curves", metavar="RUN", type=Path, nargs="?", help=curves)
    parser.add_argument("--orders", type=int, default=1)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--edge", action="store_true")
    parser.add_argument("--lags", action="store_true")


def run(asked: argparse.Namespace) -> None:
    """Prints what was asked for."""
    if asked.edge:
        edge(1 - asked.confidence)
    if asked.run_or_curves is None:
        return
    if asked.lags:
        return lags(Run(asked.run_or_curves))
    if asked.run_or_curves.is_dir():
        own = Run(asked.run_or_curves)
        curves = pl.read_parquet(own.folder.curves).sort("paradigm", "seed", "step")
        whole_run(
            curves,
            dict(sorted(arrays(own))),
            Results(own.folder).timeline(curves),
            own.recipe.verdicts,
            asked.orders,
            1 - asked.confidence,
        )
    else:
        curves = pl.read_parquet(asked.run_or_curves).sort("paradigm", "seed", "step")
        steps = tuple(sorted(curves["step"].unique()))
        whole_run(curves, dict(arrays_of(curves)), Timeline(steps, steps[-1]), Thresholds(), asked.orders, 1 - asked.confidence)


def lags(own: Run) -> None:
    """Prints, by how many checkpoints lie between, the median correlation over seeds and paradigms, averaged over checkpoints."""
    margin = pl.col("logp_good") - pl.col("logp_bad")
    rows = own.scores().select("paradigm", "pair", "seed", "step", x=margin).collect().sort("step", "pair")
    steps = sorted(rows["step"].unique())
    every = [np.corrcoef(group["x"].to_numpy().reshape(len(steps), -1) + 1e-12) for _, group in rows.group_by("seed", "paradigm")]
    middle = np.nanmedian(np.stack(every), axis=0)
    late = [place for place, step in enumerate(steps) if step >= 64]
    for lag in (1, 2, 3, 4, 6, 8, 12, 16):
        found = np.mean([middle[place, place + lag] for place in late if place + lag < len(steps)])
        print(f"{lag:2} checkpoints on: {found:.3f} (1 - {(1 - found) / lag**0.45:.3f} lag^.45)")


def edge(error: float) -> None:
    """The share of false states at the edges of the band, at the level `error` of one state."""
    hi, generator = upper_edge(1000, 67, Thresholds()), np.random.default_rng(0)
    for right in (math.ceil(1000 * hi), math.ceil(1000 * hi) - 1, 500, 600):
        population = np.where(np.arange(1000) < right, 1.0, 0.0)
        true = int(states(np.array(right / 1000), hi))
        found = [read(generator.permutation(population), by_edges(1000, hi, error)) for _ in range(4000)]
        false = sum(int(states(np.array(accuracy), hi)) != true for _, accuracy in found) / len(found)
        print(f"{right} of 1,000 right, level {error:.3g}: {false:.4f} false, {np.mean([n for n, _ in found]):.0f} pairs read")


def whole_run(
    curves: pl.DataFrame, outcomes: dict[str, Floats], clock: Timeline, asked: Thresholds, orders: int, error: float
) -> None:
    """Prints a line for each level and rule."""
    last = curves["step"] == curves["step"].max()
    steps, paradigms = curves["step"].n_unique(), len(outcomes)
    cells = curves["seed"].n_unique() * (steps - 1) * paradigms
    thresholds = asked.model_copy(update={"resamples": 1})
    plain = curves.select("paradigm", "seed", "step", "n", "accuracy")
    verdicts = judge(plain, clock, thresholds)["verdict"]
    rules = {"as runs do": by_edges, "every look": by_every_look, "martingale": by_martingale}
    for title, level in {"run": error / cells, "checkpoint": error / paradigms, "state": error}.items():
        for name, rule in rules.items():
            found = [
                read_run(outcomes, last, thresholds, level, rule, seed, plain) for seed in range(orders if rule is by_edges else 1)
            ]
            others = [int((judge(own, clock, thresholds)["verdict"] != verdicts).sum()) for own, _ in found]
            means = {key: np.mean([facts[key] for _, facts in found]) for key in found[0][1]}
            told = [
                f"error {error:.3g} per {title:10} {name:14} {means['share']:6.1%} of pairs read",
                f"per run {means['false']:.2f} of {cells} states false, {means['means']:.2f} of their means over seeds",
                f"{np.mean(others):.1f} of {paradigms} verdicts other",
                f"accuracy off by {means['error']:.4f} (root mean square), {means['bias']:+.4f} away from .5 on average",
            ]
            print("; ".join(told), flush=True)
        cheapest = [
            n if step == curves["step"].max() else floor(n, round(accuracy * n), upper_edge(n, paradigms, thresholds), level)
            for n, accuracy, step in curves.select("n", "accuracy", "step").iter_rows()
        ]
        print(f"error {error:.3g} per {title:10} {'floor':14} {sum(cheapest) / curves['n'].sum():6.1%} of pairs read", flush=True)


def read_run(
    outcomes: dict[str, Floats],
    last: pl.Series,
    thresholds: Thresholds,
    level: float,
    rule: Callable[..., Next],
    seed: int,
    plain: pl.DataFrame,
) -> tuple[pl.DataFrame, dict[str, float]]:
    """One reading of all checkpoints in one order of the pairs: curves, and figures.  `last`: its rows that are whole."""
    counts, found = [], []
    for number, (_, own) in enumerate(outcomes.items()):
        order = np.random.default_rng([seed, number]).permutation(own.shape[1])
        following = rule(own.shape[1], upper_edge(own.shape[1], len(outcomes), thresholds), level)
        for row, whole in zip(own[:, order], last.slice(number * len(own), len(own)), strict=True):
            n, accuracy = (len(row), float(row.mean())) if whole else read(row, following)
            counts.append(n)
            found.append(accuracy)
    hi = np.array([upper_edge(n, len(outcomes), thresholds) for n in plain["n"]])
    true, told = plain["accuracy"].to_numpy(), np.array(found)
    curves = plain.with_columns(accuracy=pl.Series(found))
    means = [
        frame.group_by("paradigm", "step").agg(pl.col("accuracy").mean(), pl.col("n").first()).sort("paradigm", "step")
        for frame in (plain, curves)
    ]
    edge_of = np.array([upper_edge(n, len(outcomes), thresholds) for n in means[0]["n"]])
    of_means = [_states(frame["accuracy"].to_numpy(), edge_of) for frame in means]
    away = np.sign(true - 0.5) * (told - true)
    return curves, {
        "share": sum(counts) / int(plain["n"].sum()),
        "false": float((_states(true, hi) != _states(told, hi)).sum()),
        "means": float((of_means[0] != of_means[1]).sum()),
        "error": float(np.sqrt(np.mean((told - true) ** 2))),
        "bias": float(away.mean()),
    }


def _states(accuracy: Floats, hi: Floats) -> NDArray[np.int8]:
    return np.where(accuracy >= hi - 1e-9, 1, np.where(accuracy <= 1 - hi + 1e-9, -1, 0)).astype(np.int8)

"""Within a paradigm: is the network better on pairs whose bigrams favour the good sentence, all else of n-grams alike?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl
from scipy.optimize import linear_sum_assignment

from ontogeny.estimators.means import mean
from ontogeny.estimators.significance import adjusted, sign_flip
from ontogeny.records import OntogenyError
from ontogeny.scoring.options import wrong_sides
from ontogeny.trajectories.curves import check_doubled, margin, need, outcome
from ontogeny.trajectories.timeline import Floats, Ints

CALIPER = 0.2  # standard deviations of u (Austin 2011 recommends this width for propensity scores)
FEWEST_PAIRS = 10  # matched pairs; with fewer nothing is estimated
FEWEST_CLUSTERS = 6  # with fewer no sign-flip test reaches p < .05
CONFIDENCE = 0.95
MATCHED: dict[str, Any] = {
    "suite": pl.String,
    "paradigm": pl.String,
    "pairs": pl.Int64,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "p_adjusted": pl.Float64,
    "margin_difference": pl.Float64,
    "favoured": pl.Int64,
    "disfavoured": pl.Int64,
    "clusters": pl.Int64,
    "u_difference": pl.Float64,
    "difference_adjusted": pl.Float64,
}


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Matched pairs of one paradigm: entry k of each (matched, 2) array is (the pair with b > 0, the pair with b < 0)."""

    paradigm: str
    favoured: int  # pairs with b > 0, matched or not
    disfavoured: int
    accuracy: Floats
    margin: Floats  # of the network, nats
    u: Floats  # nats
    contrast: Ints
    slope: float  # accuracy per nat of u among all pairs of the paradigm, those with b > 0 and b < 0 each about its mean

    def difference(self) -> Floats:
        """(matched,): accuracy where bigrams favour the good sentence minus accuracy where they do not."""
        return np.asarray(self.accuracy[:, 0] - self.accuracy[:, 1])

    def clusters(self) -> Ints:
        """(matched,): the critical contrast on the side that has fewer of them, numbered from 0."""
        codes = [np.unique(self.contrast[:, side], return_inverse=True)[1] for side in (0, 1)]
        return np.asarray(min(codes, key=lambda code: code.max(initial=-1)), dtype=np.int64)


def matched(
    scores: pl.DataFrame,
    margins: pl.DataFrame,
    contrasts: pl.DataFrame,
    *,
    seed: int = 0,
    tie: float = 1e-5,
) -> pl.DataFrame:
    """Network accuracy on pairs with b > 0 minus that on pairs with b < 0, matched on u and length, by paradigm (MATCHED).

    `scores`: the network's at late checkpoints (paradigm, pair, seed, step, logp_good, logp_bad); a pair's accuracy, a
    tie one half, is its mean over seeds and steps.  `margins`: of n-gram models, one suite's; b is the token-level margin
    of order 2, u that of order 1, and pairs with b = 0 are left out.  `contrasts`: paradigm, pair and contrast.

    Matching: within a paradigm, one to one without replacement, the length difference alike to the token and u within
    CALIPER standard deviations of the paradigm's; as many matches as can be, and among those the smallest total distance
    in u (Rosenbaum 1989, optimal matching).  What imbalance is left, u_difference (nats), can matter where b goes with u;
    difference_adjusted takes off what it would make by the slope of accuracy on u (Abadie & Imbens 2011).

    low and high are Student's over critical contrasts, of the side that has fewer (`clusters` of them), these seeds given;
    p is a sign-flip test that turns whole contrasts, as a test over pairs would find far too much; p_adjusted after
    Benjamini & Hochberg over paradigms.  Fewer than FEWEST_PAIRS matched: counts and nulls.  Fewer than FEWEST_CLUSTERS:
    no interval.  The row of paradigm "" pools all matched pairs; its clusters are paradigms, and it is not among the
    adjusted.  Raises OntogenyError for missing columns, several suites, pairs without margins or contrasts, and pairs that
    are not scored at every seed and step.
    """
    suite = _suite(margins)
    paradigms = [_match(table, name) for name, table in _paradigms(scores, margins, contrasts, tie)]
    rows = [_estimate(matches, seed) for matches in paradigms]
    tested = [index for index, row in enumerate(rows) if row["p"] is not None]
    if tested:
        for index, p in zip(tested, adjusted(np.array([rows[index]["p"] for index in tested])), strict=True):
            rows[index]["p_adjusted"] = float(p)
    rows.append(_pooled(paradigms, seed))
    return pl.DataFrame([row | {"suite": suite} for row in rows], MATCHED, orient="row")


def _suite(margins: pl.DataFrame) -> str:
    need(margins, ("suite", "paradigm", "pair", "level", "order", "margin", "length_good", "length_bad"), "the n-gram margins")
    suites = margins["suite"].unique().sort().to_list()
    if len(suites) != 1:
        raise OntogenyError(f"one suite at a time: the n-gram margins hold {', '.join(suites) or 'none'}")
    return str(suites[0])


def _paradigms(
    scores: pl.DataFrame, margins: pl.DataFrame, contrasts: pl.DataFrame, tie: float
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Each paradigm's pairs: pair, accuracy, margin, b, u, length, contrast."""
    need(contrasts, ("paradigm", "pair", "contrast"), "the contrasts")
    tokens = margins.filter(pl.col("level") == "token")
    length = pl.col("length_good").cast(pl.Int64) - pl.col("length_bad").cast(pl.Int64)
    bigram = tokens.filter(pl.col("order") == 2).select("paradigm", "pair", b="margin", length=length)
    unigram = tokens.filter(pl.col("order") == 1).select("paradigm", "pair", u="margin")
    table = _pair_means(scores, tie)
    for other in (bigram, unigram, contrasts.select("paradigm", "pair", "contrast")):
        check_doubled(other, ["paradigm", "pair"])
        table = table.join(other, on=["paradigm", "pair"], how="left")
    lacking = table.filter(pl.any_horizontal(pl.col("b", "u", "contrast").is_null()))
    if len(lacking):
        row = lacking.row(0, named=True)
        raise OntogenyError(f"pair {row['pair']} of {row['paradigm']} has been scored but has no n-gram margins or no contrast")
    for (name,), own in table.sort("paradigm", "pair").group_by("paradigm", maintain_order=True):
        yield str(name), own


def _pair_means(scores: pl.DataFrame, tie: float) -> pl.DataFrame:
    need(scores, ("paradigm", "pair", "seed", "step", "logp_good", "logp_bad"), "the scores")
    if scores.is_empty():
        raise OntogenyError("the scores have no rows")
    check_doubled(scores, ["paradigm", "pair", "seed", "step"])
    readings = len(scores.select("seed", "step").unique())
    wrong = wrong_sides(scores.columns)
    found = {"accuracy": outcome(tie, wrong=wrong).mean(), "margin": margin(wrong).mean()}
    means = scores.group_by("paradigm", "pair").agg(**found, readings=pl.len())
    short = means.filter(pl.col("readings") < readings).sort("paradigm", "pair")
    if len(short):
        row = short.row(0, named=True)
        raise OntogenyError(
            f"pair {row['pair']} of {row['paradigm']} is scored at {row['readings']} of {readings} seeds and checkpoints"
        )
    return means.drop("readings")


def _match(pairs: pl.DataFrame, paradigm: str) -> Matches:
    columns = {name: pairs[name].to_numpy() for name in ("b", "u", "length", "accuracy", "margin")}
    contrast = (pairs["contrast"].rank("dense").cast(pl.Int64) - 1).to_numpy()
    caliper = CALIPER * float(columns["u"].std())
    found = [np.empty((0, 2), dtype=np.int64)]
    for length in np.unique(columns["length"]):
        stratum = columns["length"] == length
        for_good, for_bad = np.flatnonzero(stratum & (columns["b"] > 0)), np.flatnonzero(stratum & (columns["b"] < 0))
        first, second = assign(columns["u"][for_good], columns["u"][for_bad], caliper)
        found.append(np.column_stack([for_good[first], for_bad[second]]))
    index = np.concatenate(found)
    return Matches(
        paradigm=paradigm,
        favoured=int((columns["b"] > 0).sum()),
        disfavoured=int((columns["b"] < 0).sum()),
        accuracy=columns["accuracy"][index],
        margin=columns["margin"][index],
        u=columns["u"][index],
        contrast=contrast[index],
        slope=_slope(columns["u"], columns["accuracy"], np.sign(columns["b"])),
    )


def _slope(u: Floats, accuracy: Floats, group: Floats) -> float:
    """Least-squares slope within the groups +1 and -1; 0 where u does not vary."""
    across = [(u[group == side] - u[group == side].mean(), accuracy[group == side]) for side in (1, -1) if (group == side).any()]
    variation = sum(float(centred @ centred) for centred, _ in across)
    return sum(float(centred @ own) for centred, own in across) / variation if variation > 0 else 0.0


def assign(first: Floats, second: Floats, caliper: float) -> tuple[Ints, Ints]:
    """Indices into both of a one-to-one matching: the most matches within the caliper, of those the least total
    distance."""
    distance = np.abs(first[:, None] - second[None, :])
    allowed = distance <= caliper
    forbidden = 1.0 + caliper * (min(distance.shape, default=0) + 1)  # dearer than all allowed ones together
    rows, columns = linear_sum_assignment(np.where(allowed, distance, forbidden))
    kept = allowed[rows, columns]
    return rows[kept], columns[kept]


def _estimate(matches: Matches, seed: int) -> dict[str, Any]:
    row = _counts([matches], matches.paradigm) | {"clusters": len(np.unique(matches.clusters()))}
    if row["pairs"] < FEWEST_PAIRS:
        return row
    generator = np.random.default_rng([seed, crc32(matches.paradigm.encode())])
    clusters = matches.clusters()
    sums, sizes = np.bincount(clusters, matches.difference()).astype(np.float64), np.bincount(clusters).astype(np.float64)
    return row | _means([matches]) | _estimated(sums, sizes, generator)


def _pooled(paradigms: list[Matches], seed: int) -> dict[str, Any]:
    """All matched pairs; whole paradigms are the clusters."""
    some = [matches for matches in paradigms if len(matches.accuracy)]
    row = _counts(paradigms, "") | {"clusters": len(some)}
    if row["pairs"] < FEWEST_PAIRS:
        return row
    generator = np.random.default_rng([seed, crc32(b"")])
    sums = np.array([matches.difference().sum() for matches in some], dtype=np.float64)
    sizes = np.array([len(matches.accuracy) for matches in some], dtype=np.float64)
    return row | _means(some) | _estimated(sums, sizes, generator)


def _counts(several: list[Matches], paradigm: str) -> dict[str, Any]:
    return dict.fromkeys(MATCHED) | {
        "paradigm": paradigm,
        "pairs": sum(len(matches.accuracy) for matches in several),
        "favoured": sum(matches.favoured for matches in several),
        "disfavoured": sum(matches.disfavoured for matches in several),
    }


def _means(several: list[Matches]) -> dict[str, float]:
    columns = {"difference": "accuracy", "margin_difference": "margin", "u_difference": "u"}
    values = {name: np.concatenate([getattr(matches, column) for matches in several]) for name, column in columns.items()}
    means = {name: float((both[:, 0] - both[:, 1]).mean()) for name, both in values.items()}
    by_u = np.concatenate([matches.slope * (matches.u[:, 0] - matches.u[:, 1]) for matches in several])
    return means | {"difference_adjusted": means["difference"] - float(by_u.mean())}


def _estimated(sums: Floats, sizes: Floats, generator: np.random.Generator) -> dict[str, float | None]:
    """Interval and p of a mean over clusters."""
    low, high = mean(sums[None], sizes).interval(CONFIDENCE) if len(sums) >= FEWEST_CLUSTERS else (None, None)
    return {"low": low, "high": high, "p": sign_flip(sums, generator)}

"""What sets paradigms that stay wrong apart from those that are learned, by what instruments read of each at the end."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from ontogeny.estimators.means import mean, reach
from ontogeny.estimators.significance import holm, label_exchange
from ontogeny.trajectories.timeline import Floats

GROUPS = {
    "stuck": ("entrenched", "late-wrong"),
    "escaped": ("escaped",),
    "recovered": ("late recovery",),
    "learned": ("learned",),
}
FEWEST = 3  # paradigms of a group, below which nothing is compared
CONFIDENCE = 0.95
APART: dict[str, Any] = {
    "suite": pl.String,
    "reading": pl.String,
    "group": pl.String,
    "paradigms": pl.Int64,
    "mean": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "difference": pl.Float64,
    "difference_low": pl.Float64,
    "difference_high": pl.Float64,
    "scale": pl.Float64,
    "p": pl.Float64,
    "p_adjusted": pl.Float64,
}


def apart(numbers: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """A row a suite, reading and group of verdicts, over the last checkpoint at which each was read (APART).

    `numbers`: reading, suite, paradigm, seed, step, value; `verdicts`: suite, paradigm, verdict.  Means are over seeds and
    paradigms, both drawn at random, with Student's intervals (one seed: over paradigms); differences are from the learned, each
    group's error by Student's t of its own; `scale` is the standard deviation of paradigms' means within both groups.  p is of the
    labels exchanged among paradigms (means over seeds), adjusted after Holm over all rows of a suite that have one.  A group of
    fewer than FEWEST paradigms has no row.
    """
    named = {verdict: group for group, verdicts_of in GROUPS.items() for verdict in verdicts_of}
    ends = numbers.drop_nulls("value").filter(pl.col("step") == pl.col("step").max().over("reading"))
    grouped = ends.join(verdicts.select("suite", "paradigm", "verdict"), on=["suite", "paradigm"]).with_columns(
        group=pl.col("verdict").replace_strict(named, default=None)
    )
    found = [
        row
        for (suite,), part in grouped.drop_nulls("group").sort("reading", "paradigm", "seed").group_by("suite", maintain_order=True)
        for row in _of_suite(str(suite), part)
    ]
    return pl.DataFrame(found, APART, orient="row")


def _of_suite(suite: str, part: pl.DataFrame) -> list[dict[str, Any]]:
    rows = [row | {"suite": suite} for (name,), own in part.group_by("reading", maintain_order=True) for row in _of(str(name), own)]
    tested = [row for row in rows if row.get("p") is not None]
    for row, p in zip(tested, holm(np.array([row["p"] for row in tested])) if tested else [], strict=True):
        row["p_adjusted"] = float(p)
    return rows


def _of(reading: str, own: pl.DataFrame) -> list[dict[str, Any]]:
    tables = {group: found for group in GROUPS if (found := _table(own.filter(group=group))).shape[1] >= FEWEST}
    rows = []
    for group, values in tables.items():
        estimate = mean(values, np.ones(values.shape[1]))
        ends = estimate.interval(CONFIDENCE) if estimate.error > 0 else (None, None)  # what never varies tells nothing of others
        row = {"reading": reading, "group": group, "paradigms": values.shape[1], "mean": estimate.value}
        row |= {"low": ends[0], "high": ends[1]}
        rows.append(row | (_difference(values, tables["learned"]) if group != "learned" and "learned" in tables else {}))
    return rows


def _difference(values: Floats, learned: Floats) -> dict[str, float | None]:
    both = [mean(one, np.ones(one.shape[1])) for one in (values, learned)]
    apart_by, off = both[0].value - both[1].value, None
    if any(one.error > 0 for one in both) and not any(math.isnan(one.error) for one in both):
        off = reach([(one.error**2, one.df) for one in both], CONFIDENCE)
    within = sum(one.mean(axis=0).var() * one.shape[1] for one in (values, learned))
    pooled = np.concatenate([one.mean(axis=0) for one in (values, learned)])
    first = np.arange(len(pooled)) < values.shape[1]
    return {
        "difference": apart_by,
        "difference_low": None if off is None else apart_by - off,
        "difference_high": None if off is None else apart_by + off,
        "scale": float(np.sqrt(within / max(1, len(pooled) - 2))),
        "p": label_exchange(pooled, first.astype(float), np.random.default_rng(0)) if np.ptp(pooled) > 0 else None,
    }


def _table(own: pl.DataFrame) -> Floats:
    """(seeds, paradigms) of the paradigms that all seeds have."""
    if own.is_empty():
        return np.zeros((0, 0))
    wide = own.pivot(on="paradigm", index="seed", values="value", sort_columns=True).sort("seed").drop("seed")
    whole = wide[[name for name in wide.columns if not wide[name].null_count()]]
    return np.asarray(whole.to_numpy(), dtype=np.float64)

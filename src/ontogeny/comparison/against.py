"""Paradigms that bigrams get wrong: in which runs they leave the wrong side, when, and at what loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ontogeny.pages.words import count, enumerated
from ontogeny.trajectories.bands import states
from ontogeny.trajectories.timeline import windows

if TYPE_CHECKING:
    from ontogeny.comparison.gathering import ComparedRun

STAYS, LEFT, NEVER = "ends wrong", "left", "never wrong"
AGAINST: dict[str, Any] = {
    **dict.fromkeys(("run", "paradigm"), pl.String),
    "bigrams": pl.Float64,
    **dict.fromkeys(("verdict", "course"), pl.String),
    "late_state": pl.Int64,
    "late_mean": pl.Float64,
    "left_step": pl.Int64,
    **dict.fromkeys(("left_words", "left_loss"), pl.Float64),
}


def against(reads: Sequence[ComparedRun], suite: str, paradigms: Sequence[str]) -> pl.DataFrame:
    """AGAINST, a row a paradigm and run, the worst for bigrams first; empty where no run has n-gram evidence.

    bigrams: the paradigm's mean margin (nats) under the bigrams of the first run that has evidence, below 0 in all of them.
    course: `ends wrong`, its late state is -1; `left`, it was below the band at a checkpoint of the trained network and does not
    end so; else `never wrong`.  left_*: the first checkpoint after the last one below the band, in the mean of the seeds.
    """
    margins = next((own for read in reads if (own := _margins(read, suite))), {})
    wrong = sorted((name for name in paradigms if margins.get(name, 0.0) < 0), key=lambda name: margins[name])
    rows = [
        {"paradigm": name, "bigrams": margins[name], "run": read.label, **_course(read, name)} for name in wrong for read in reads
    ]
    return pl.DataFrame(rows, AGAINST)


def _margins(read: ComparedRun, suite: str) -> dict[str, float]:
    cases = read.results.frame("cases")
    own = None if cases is None else cases.filter(suite=suite).drop_nulls("b").group_by("paradigm").agg(pl.col("b").mean())
    return {} if own is None else dict(own.select("paradigm", "b").iter_rows())


def _course(read: ComparedRun, paradigm: str) -> dict[str, Any]:
    row = read.verdicts.row(by_predicate=pl.col("paradigm") == paradigm, named=True)
    curve = read.curves.filter(paradigm=paradigm).group_by("step").agg(pl.col("accuracy", "words").mean()).sort("step")
    trained = windows(read.results.timeline(read.curves), read.results.thresholds).trained
    below = np.flatnonzero((states(curve["accuracy"].to_numpy(), row["hi"]) == -1) & trained)
    found = {name: row[name] for name in ("verdict", "late_state", "late_mean")}
    if row["late_state"] == -1:
        return found | {"course": STAYS}
    if not len(below):
        return found | {"course": NEVER}
    left = curve.row(below[-1] + 1, named=True) if below[-1] + 1 < len(curve) else {}
    losses = [loss for (_, step), loss in read.results.dev_losses().items() if step == left.get("step")]
    at = {"left_step": left.get("step"), "left_words": left.get("words"), "left_loss": float(np.mean(losses)) if losses else None}
    return found | {"course": LEFT} | at


def says(table: pl.DataFrame) -> str:
    """How many of them end wrong in which run; empty where there are none."""
    if table.is_empty():
        return ""
    ends = table.group_by("run", maintain_order=True).agg(wrong=(pl.col("course") == STAYS).sum())
    told = enumerated([f"{wrong or 'none'} in {run}" for run, wrong in ends.iter_rows()])
    return f"Of {count(table['paradigm'].n_unique(), 'paradigm')} that bigrams get wrong, {told} end wrong."


def ladder(read: ComparedRun, suite: str) -> pl.DataFrame:
    """seed, step and, for each order n, ladder_n: r of all pairs' margins with those of n-grams of tokens; no row if unknown."""
    found = read.results.frame("ladder")
    if found is None:
        return pl.DataFrame(schema={"seed": pl.Int64, "step": pl.Int64})
    whole = found.filter(pl.col("suite") == suite, pl.col("paradigm") == "", pl.col("by") == "pairs", pl.col("level") == "token")
    named = whole.with_columns(order=pl.format("ladder_{}", "order"))
    return named.pivot("order", index=["seed", "step"], values="r").cast({"seed": pl.Int64, "step": pl.Int64})

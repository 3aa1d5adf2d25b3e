"""Phases of training: stretches of time in which the weights' statistics are alike, the same phases for all seeds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import ruptures

from ontogeny.estimators.hidden_markov import chosen
from ontogeny.records import OntogenyError
from ontogeny.trajectories.timeline import Floats, Ints

SEEDS, CHECKPOINTS = 5, 20  # from so many on a hidden Markov map is made; below it, change points seed by seed
MOST = 8  # phases
PHASES: dict[str, Any] = {
    "seed": pl.Int64,
    "step": pl.Int64,
    "phase": pl.Int64,
    "how": pl.String,
}


def phases(table: pl.DataFrame) -> pl.DataFrame:
    """The phase of each seed at each checkpoint, numbered in the order in which they come (PHASES).

    `table`: seed, step and statistics of the weights, which are z-scored over all.  With SEEDS seeds and CHECKPOINTS checkpoints
    that all of them have: a hidden Markov model of all seeds, phases chosen by BIC, so that one phase is the same in each (Hu et
    al. 2023).  Below that: each seed's own change points (ruptures, a level a phase, BIC), whose numbers say nothing across seeds.
    """
    names = [name for name in table.columns if name not in ("seed", "step")]
    if wrong := next((name for name in names if not table[name].cast(pl.Float64).is_finite().all()), None):
        row = table.filter(~pl.col(wrong).cast(pl.Float64).is_finite()).row(0, named=True)
        raise OntogenyError(f"{wrong} of seed {row['seed']} at step {row['step']:,} is no finite number; the weights may be broken")
    spread = pl.col(names).std()
    varied = [name for name, sd in zip(names, table.select(spread).row(0), strict=True) if sd and sd > 1e-12]
    if not varied:
        return pl.DataFrame(schema=PHASES)
    scored = table.with_columns((pl.col(varied) - pl.col(varied).mean()) / pl.col(varied).std()).sort("seed", "step")
    by_seed = {int(seed): own for (seed,), own in scored.group_by("seed", maintain_order=True)}  # type: ignore[call-overload]
    shared = sorted(set.intersection(*(set(own["step"]) for own in by_seed.values())))
    if len(by_seed) >= SEEDS and len(shared) >= CHECKPOINTS:
        return _map({seed: own.filter(pl.col("step").is_in(shared)) for seed, own in by_seed.items()}, varied)
    rows = [
        (seed, step, phase, "change points")
        for seed, own in by_seed.items()
        for step, phase in zip(own["step"].to_list(), _changes(own.select(varied).to_numpy()).tolist(), strict=True)
    ]
    return pl.DataFrame(rows, PHASES, orient="row")


def _map(by_seed: dict[int, pl.DataFrame], names: list[str]) -> pl.DataFrame:
    seen = np.stack([own.select(names).to_numpy() for own in by_seed.values()])
    model = chosen(seen, MOST)
    states = np.stack([model.states(one) for one in seen])
    number = {state: place for place, state in enumerate(_in_order(states), 1)}
    rows = [
        (seed, step, number[int(state)], "hidden Markov map")
        for (seed, own), found in zip(by_seed.items(), states, strict=True)
        for step, state in zip(own["step"].to_list(), found, strict=True)
    ]
    return pl.DataFrame(rows, PHASES, orient="row")


def _in_order(states: Ints) -> list[int]:
    """States by when they are, on average."""
    return sorted({int(state) for state in states.ravel()}, key=lambda state: float(np.nonzero(states == state)[1].mean()))


def _changes(values: Floats) -> Ints:
    """The phase of each checkpoint (T, d), from 1."""
    n, d = values.shape
    if n < 4:
        return np.ones(n, dtype=np.int64)
    noise = float(np.median(np.diff(values, axis=0) ** 2, axis=0).sum()) / 2
    penalty = max((d + 1) * math.log(n) * noise / d, 1e-9)
    ends = ruptures.KernelCPD(kernel="linear", min_size=2).fit(np.ascontiguousarray(values)).predict(pen=penalty)
    return 1 + np.searchsorted(np.array(ends[:-1]), np.arange(n), side="right")


def moves(found: pl.DataFrame) -> pl.DataFrame:
    """A row a phase: in how many seeds it is, and the steps at which it begins, the first, the median and the last (over seeds)."""
    began = found.group_by("phase", "seed").agg(pl.col("step").min())
    return (
        began.group_by("phase")
        .agg(
            pl.len().cast(pl.Int64).alias("seeds"),
            earliest=pl.col("step").min(),
            begins=pl.col("step").median(),
            latest=pl.col("step").max(),
        )
        .sort("phase")
    )

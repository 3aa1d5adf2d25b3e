"""What comes first: the onset of each reading beside the onset, escape and recovery of each paradigm, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from ontogeny.estimators.means import mean
from ontogeny.estimators.significance import holm, rank_correlation, sign_test
from ontogeny.trajectories.timeline import ROUNDING, Floats

SEEDS = 8  # with fewer nothing is decided
LATE = 0.2  # the last share of the steps, over which a reading's late mean is taken
MOVED = 3.0  # standard deviations of the late checkpoints that a reading has to move by, to have an onset
LEVEL = 0.05
EVENTS = ("onset", "escape", "recovery")
KEYS = ("reading", "event")
LEADS: dict[str, Any] = {
    "reading": pl.String,
    "event": pl.String,
    "suite": pl.String,
    "paradigm": pl.String,
    "seed": pl.Int64,
    "step": pl.Int64,
    "lead": pl.Float64,
}
DECIDED: dict[str, Any] = {
    **dict.fromkeys(KEYS, pl.String),
    "paradigms": pl.Int64,
    "seeds": pl.Int64,
    "lead": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "first": pl.Int64,
    "p_order": pl.Float64,
    "rho": pl.Float64,
    "p_rho": pl.Float64,
    "verdict": pl.String,
}


def onset(steps: Floats, values: Floats) -> float | None:
    """The first step from which on a reading lies beyond halfway from its first value to its late mean; at least 1.

    None where it moves by less than MOVED standard deviations of its late checkpoints, of which there have to be two.
    """
    late = values[steps >= (1 - LATE) * steps[-1] - ROUNDING]
    moved = late.mean() - values[0]
    if len(late) < 2 or abs(moved) <= MOVED * late.std(ddof=1) + ROUNDING:
        return None
    beyond = (values - values[0]) * np.sign(moved) > abs(moved) / 2
    return _lasting(steps, beyond)


def events(steps: Floats, accuracy: Floats, hi: float, run: int = 2) -> dict[str, float | None]:
    """The steps at which one seed's paradigm is right for good (onset), and leaves and turns a run of wrong checkpoints for good.

    Wrong is at or below 1 - hi in `run` checkpoints in a row; an escape leaves it for good, a recovery for hi and above.
    A paradigm that was never wrong has neither; one that was has no onset but its recovery.
    """
    right, wrong = accuracy >= hi - ROUNDING, accuracy <= 1 - hi + ROUNDING
    turned, left = _lasting(steps, right), _lasting(steps, ~wrong)
    was = bool(np.convolve(wrong, np.ones(run), mode="valid").max(initial=0) >= run)
    return {"onset": None if was else turned, "escape": left if was else None, "recovery": turned if was else None}


def _lasting(steps: Floats, there: Any) -> float | None:
    """The first step from which on all are `there`; None where the last is not."""
    kept = np.logical_and.accumulate(there[::-1])[::-1]
    return max(float(steps[kept][0]), 1.0) if kept.any() else None


def leads(numbers: pl.DataFrame, curves: pl.DataFrame, hi: Mapping[str, float]) -> pl.DataFrame:
    """How many doublings of the step a reading's onset lies before each event of a paradigm, a row a seed (LEADS).

    `numbers`: reading, suite, paradigm (both empty: of the whole run), seed, step, value.  `curves`: suite, paradigm, seed, step,
    accuracy; `hi`: of each suite, from where on an accuracy is right.
    """
    began = _by(numbers.drop_nulls("value"), ("reading", "suite", "paradigm", "seed"), "value", onset)
    found = []
    for (suite, paradigm, seed), own in curves.group_by("suite", "paradigm", "seed", maintain_order=True):
        steps, accuracy = own.sort("step").select("step", "accuracy").cast(pl.Float64).to_numpy().T
        last = int(steps[-1])
        for event, at in events(steps, accuracy, hi[str(suite)]).items():
            if at is not None:
                found.append((event, suite, paradigm, seed, last, at))
    schema = {"event": pl.String, "suite": pl.String, "paradigm": pl.String, "seed": pl.Int64, "step": pl.Int64, "at": pl.Float64}
    happened = pl.DataFrame(found, schema, orient="row")
    of_run = began.filter(suite="").drop("suite", "paradigm").join(happened, on="seed")
    own_ = began.filter(pl.col("paradigm") != "").join(happened, on=["suite", "paradigm", "seed"])
    both = pl.concat([frame.select(*LEADS.keys() - {"lead"}, "began", "at") for frame in (of_run, own_)])
    lead = (pl.col("at").log(2) - pl.col("began").log(2)).alias("lead")
    return both.with_columns(lead).select(*LEADS, "began", "at").sort(*list(LEADS)[:5])


def _by(frame: pl.DataFrame, keys: tuple[str, ...], value: str, of: Any) -> pl.DataFrame:
    rows = []
    for key, own in frame.group_by(*keys, maintain_order=True):
        steps, values = own.sort("step").select("step", value).cast(pl.Float64).to_numpy().T
        if len(steps) > 1 and (at := of(steps, values)) is not None:
            rows.append((*key, at))
    return pl.DataFrame(rows, {**{key: frame.schema[key] for key in keys}, "began": pl.Float64}, orient="row")


def decided(found: pl.DataFrame) -> pl.DataFrame:
    """A row a reading and event: which of the two leads, over seeds (DECIDED).  `found`: of `leads`.

    leads: the reading comes first (sign test over the seeds' mean leads), and the earlier it comes in a seed, the earlier the event
    (Spearman within paradigms, seeds exchanged), both at .05 after Holm over all rows.  follows: the same with the event first.
    With fewer than SEEDS seeds, and else: undecided, as everything moves with the logarithm of the step.
    """
    rows = [_row(str(reading), str(event), own) for (reading, event), own in found.group_by(*KEYS, maintain_order=True)]
    for name in ("p_order", "p_rho"):
        tested = [row for row in rows if row[name] is not None]
        for row, p in zip(tested, holm(np.array([row[name] for row in tested])) if tested else [], strict=True):
            row[name] = float(p)
    for row in rows:
        both = row["p_order"] is not None and max(row["p_order"], row["p_rho"]) < LEVEL and row["rho"] > 0
        row["verdict"] = ("leads" if row["lead"] > 0 else "follows") if both else "undecided"
    return pl.DataFrame(rows, DECIDED, orient="row").sort("event", "reading")


def _row(reading: str, event: str, own: pl.DataFrame) -> dict[str, Any]:
    wide = {column: _wide(own, column) for column in ("began", "at", "lead")}
    by_seed = np.nanmean(wide["lead"], axis=0)
    n = len(by_seed)
    row: dict[str, Any] = {"reading": reading, "event": event, "paradigms": len(wide["lead"]), "seeds": n}
    row |= {"lead": float(by_seed.mean()), "first": int((by_seed > 0).sum())}
    ends = mean(by_seed[:, None], np.ones(1)).interval(1 - LEVEL) if n > 1 else (None, None)
    row |= {"low": ends[0], "high": ends[1], "p_order": None, "rho": None, "p_rho": None}
    if n >= SEEDS:
        rho, p = rank_correlation(wide["began"], wide["at"], np.random.default_rng(0))
        row |= {"p_order": sign_test(by_seed), "rho": None if np.isnan(rho) else rho, "p_rho": p}
    return row


def _wide(own: pl.DataFrame, column: str) -> Floats:
    """(paradigms, seeds); NaN where a seed has none."""
    wide = own.pivot(on="seed", index=["suite", "paradigm"], values=column, sort_columns=True).sort("suite", "paradigm")
    return np.asarray(wide.drop("suite", "paradigm").fill_null(np.nan).to_numpy(), dtype=np.float64)

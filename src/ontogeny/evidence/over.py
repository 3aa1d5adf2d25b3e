"""What is made of a whole run at once, out of what instruments read: tables with a row a seed, each with folds over all seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from ontogeny.evidence import laws, precedence, seeds
from ontogeny.evidence.phases import moves, phases
from ontogeny.instruments.instrument import Column

NUMBERS = {
    **dict.fromkeys(("reading", "suite", "paradigm"), pl.String),
    **dict.fromkeys(("seed", "step"), pl.Int64),
    "value": pl.Float64,
}


@dataclass(frozen=True, slots=True)
class WholeRun:
    """What a run has, as frames; None for what it lacks."""

    numbers: pl.DataFrame  # NUMBERS: what instruments read as one number a checkpoint (suite and paradigm empty) or a paradigm
    curves: pl.DataFrame
    verdicts: pl.DataFrame | None
    dev: pl.DataFrame | None
    weights: pl.DataFrame | None
    rates: pl.DataFrame | None  # seed, step, learning_rate of every step, of trainings of ours


@dataclass(frozen=True, slots=True)
class OverRun:
    """One of them: its columns, as an instrument's, what makes its table, and what makes its folds of it."""

    name: str
    columns: Mapping[str, Column]
    needs: str
    """What has to be there, in words."""
    table: Callable[[WholeRun], pl.DataFrame]
    folds: Callable[[pl.DataFrame, WholeRun], dict[str, pl.DataFrame]]


def _index(says: str) -> Column:
    return Column(says=says, dtype=pl.String, index=True)


def _leads(run: WholeRun) -> pl.DataFrame:
    if run.verdicts is None:
        return pl.DataFrame(schema=precedence.LEADS)
    hi = dict(run.verdicts.drop_nulls("hi").group_by("suite").agg(pl.col("hi").cast(pl.Float64).max()).iter_rows())
    return precedence.leads(run.numbers, run.curves.filter(pl.col("suite").is_in(list(hi))), hi)


PRECEDENCE = OverRun(
    "precedence",
    {
        "reading": _index("an instrument and what it read, as in reach context"),
        "event": _index("onset, escape or recovery of the paradigm"),
        "suite": _index("the suite"),
        "paradigm": _index("its paradigm"),
        "lead": Column(
            says="how many times the step doubles from the reading's onset to the event; below 0: it comes after", unit="doublings"
        ),
    },
    "verdicts, and an instrument that read several checkpoints",
    _leads,
    lambda table, run: {"decided": precedence.decided(table)},
)
PHASES = OverRun(
    "phases",
    {"phase": Column(says="which phase the weights are in, numbered in the order of their coming", dtype=pl.Int64)},
    "the instrument weights",
    lambda run: phases(run.weights) if run.weights is not None else pl.DataFrame(),
    lambda table, run: {"begins": moves(table)},
)
SEEDS = OverRun(
    "seeds",
    {
        "suite": _index("the suite"),
        "accuracy": Column(says="late accuracy, mean over paradigms", span=(0.0, 1.0), chance=0.5),
        "accuracy_z": Column(says="how far that lies from the median of the seeds, .6745 (x - median) / MAD"),
        "loss": Column(says="dev loss at the last checkpoint", unit="nats a token"),
        "loss_z": Column(says="the same of the loss"),
        "outlier": Column(says="1 where either z exceeds 3.5, else 0", span=(0.0, 1.0)),
    },
    "curves",
    lambda run: seeds.seeds(run.curves, run.dev),
    lambda table, run: {"places": seeds.places(run.curves)},
)
LAWS = OverRun(
    "laws",
    {
        "floor": Column(says="loss that is left in the end, L0", unit="nats a token"),
        "scale": Column(says="A of the law L0 + A S1^-power - C S2"),
        "power": Column(says="its power"),
        "drop": Column(says="its C: nats that a unit of annealing takes off"),
        "annealed": Column(says="what annealing takes off by the last checkpoint", unit="nats a token"),
        "late": Column(says="what the loss fell by over the last fifth of the steps", unit="nats a token"),
        "late_data": Column(says="of that, by the law, what more data did", unit="nats a token"),
        "late_annealed": Column(says="and what the falling learning rate did", unit="nats a token"),
        "error": Column(says="root mean square of the law's residuals of log loss"),
        "without": Column(says="the same of a law without annealing"),
        "checkpoints": Column(says="checkpoints after warm-up", dtype=pl.Int64),
    },
    "losses of a training of ours, and the dev loss at 8 checkpoints after warm-up",
    lambda run: laws.laws(run.dev, run.rates),
    lambda table, run: {
        "course": laws.course(run.dev, run.rates),
        "emergence": laws.emergence(run.curves, run.dev),
        "components": laws.components(run.curves, ("seed", "step")),
    },
)
OVER = {one.name: one for one in (PRECEDENCE, PHASES, SEEDS, LAWS)}

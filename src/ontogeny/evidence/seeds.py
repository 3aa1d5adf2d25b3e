"""What the seed changes: seeds that lie apart from the others, and paradigms in which seeds end in two places."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from ontogeny.estimators.bimodality import dip, dip_p
from ontogeny.estimators.significance import holm
from ontogeny.trajectories.timeline import ROUNDING, Floats

LATE = 0.2  # the last share of the steps, over which accuracies are taken
OUTLIER = 3.5  # of a robust z (Iglewicz & Hoaglin 1993)
FEWEST_Z = 5  # seeds, below which none is called an outlier
FEWEST_DIP = 8  # seeds, below which nothing is said of two places
SEEDS: dict[str, Any] = {
    "suite": pl.String,
    "seed": pl.Int64,
    "step": pl.Int64,
    "accuracy": pl.Float64,
    "accuracy_z": pl.Float64,
    "loss": pl.Float64,
    "loss_z": pl.Float64,
    "outlier": pl.Float64,
}
PLACES: dict[str, Any] = {
    "suite": pl.String,
    "paradigm": pl.String,
    "seeds": pl.Int64,
    "lowest": pl.Float64,
    "highest": pl.Float64,
    "dip": pl.Float64,
    "p": pl.Float64,
    "p_adjusted": pl.Float64,
}


def seeds(curves: pl.DataFrame, dev: pl.DataFrame | None) -> pl.DataFrame:
    """A row a suite and seed: late accuracy, mean over paradigms, last dev loss, and how far each lies from the median (SEEDS).

    z is .6745 (x - median) / MAD; null below FEWEST_Z seeds and where half of them are equal.  outlier: 1 where one exceeds it.
    """
    late = _late(curves).group_by("suite", "seed", maintain_order=True).agg(pl.col("accuracy").mean(), pl.col("step").max())
    losses = pl.DataFrame(schema={"seed": pl.Int64, "loss": pl.Float64}) if dev is None else dev
    last = losses.sort("seed", "step").group_by("seed").agg(pl.col("loss").last()) if dev is not None else losses
    joined = late.join(last, on="seed", how="left", maintain_order="left").sort("suite", "seed")
    parts = [
        own.with_columns(
            pl.Series(f"{name}_z", _robust(own[name].to_numpy().astype(float)), pl.Float64, nan_to_null=True)
            for name in ("accuracy", "loss")
        )
        for _, own in joined.group_by("suite", maintain_order=True)
    ]
    far = pl.max_horizontal(pl.col("accuracy_z", "loss_z").abs()) > OUTLIER
    return (pl.concat(parts) if parts else pl.DataFrame(schema=SEEDS)).with_columns(outlier=far.cast(pl.Float64)).select(*SEEDS)


def places(curves: pl.DataFrame) -> pl.DataFrame:
    """A row a paradigm: do the late accuracies of seeds have more than one mode (PLACES)?

    dip and p of Hartigan & Hartigan (1985), against the uniform distribution; adjusted after Holm over a suite's paradigms.  Null
    below FEWEST_DIP seeds; a p is rarely small with 8, and where it is not nothing is said for one place either.
    """
    rows = []
    for (suite, paradigm), own in (
        _late(curves).sort("suite", "paradigm", "seed").group_by("suite", "paradigm", maintain_order=True)
    ):
        values = own["accuracy"].to_numpy()
        row: dict[str, Any] = {"suite": suite, "paradigm": paradigm, "seeds": len(values)}
        row |= {"lowest": float(values.min()), "highest": float(values.max()), "dip": None, "p": None, "p_adjusted": None}
        rows.append(row | ({"dip": dip(values), "p": dip_p(values)} if len(values) >= FEWEST_DIP else {}))
    for suite in {row["suite"] for row in rows}:
        tested = [row for row in rows if row["suite"] == suite and row["p"] is not None]
        for row, p in zip(tested, holm(np.array([row["p"] for row in tested])) if tested else [], strict=True):
            row["p_adjusted"] = float(p)
    return pl.DataFrame(rows, PLACES, orient="row")


def _late(curves: pl.DataFrame) -> pl.DataFrame:
    """suite, paradigm, seed, accuracy (mean over late checkpoints), step (the last)."""
    late = curves.filter(pl.col("step") >= (1 - LATE) * pl.col("step").max().over("suite") - ROUNDING)
    return late.group_by("suite", "paradigm", "seed", maintain_order=True).agg(pl.col("accuracy").mean(), pl.col("step").max())


def _robust(values: Floats) -> Floats:
    away = values - np.median(values)
    spread = float(np.median(np.abs(away)))
    return away * 0.6745 / spread if len(values) >= FEWEST_Z and spread > ROUNDING else np.full(len(values), np.nan)

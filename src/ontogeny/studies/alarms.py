"""How often the alarms that a training heeds were right: raised of paradigms that end wrong where nobody answers them."""

from __future__ import annotations

from typing import Any

import polars as pl

from ontogeny.disk import read_json
from ontogeny.evidence.warning import ends
from ontogeny.studies.comparing import ReadArm


def alarms_of(arm: ReadArm, reference: ReadArm | None) -> pl.DataFrame | None:
    """Each paradigm that an arm listens for while it trains, in each seed: seed, paradigm, wrong, raised.

    raised: ever; wrong: whether it ends wrong in the reference's training of that seed.  None for an arm that listens to nothing.
    """
    parts = arm.results.settings.get("interventions") or ()
    listened = [name for part in parts if part.get("finished") for name in part["alarms"]]
    if not listened or reference is None:
        return None
    curves = reference.results.curves.filter(pl.col("seed").is_in(reference.seeds))
    own = curves.filter(suite=curves["suite"][0])
    known = ends(own, reference.results.timeline(own), reference.results.thresholds).rename({"ends_wrong": "wrong"})
    raised = [(seed, name, True) for seed in arm.seeds for name in _raised(arm, seed)]
    heard = pl.DataFrame(raised, {"seed": pl.Int64, "paradigm": pl.String, "raised": pl.Boolean}, orient="row")
    return (
        known.filter(pl.col("paradigm").is_in(listened), pl.col("seed").is_in(arm.seeds))
        .join(heard, on=["seed", "paradigm"], how="left")
        .with_columns(pl.col("raised").fill_null(False))
        .sort("paradigm", "seed")
    )


def _raised(arm: ReadArm, seed: int) -> set[str]:
    path = arm.run.loop(seed)
    return {name for row in (read_json(path) if path.exists() else ()) for name in row["alarms"]}


def hits(alarms: pl.DataFrame) -> list[dict[str, Any]]:
    """By arm, over all seeds: how many paradigms end wrong untouched, and how many of these an alarm had; so of the others."""
    by = pl.col("raised"), pl.col("wrong")
    found = alarms.group_by("arm", maintain_order=True).agg(
        seeds=pl.col("seed").n_unique(),
        hits=(by[0] & by[1]).sum(),
        wrong=by[1].sum(),
        false=(by[0] & ~by[1]).sum(),
        fine=(~by[1]).sum(),
    )
    return found.to_dicts()

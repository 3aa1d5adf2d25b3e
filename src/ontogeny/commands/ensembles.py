"""What several seeds together prefer: a reading of ensembles from tables of scores that are there, without a model."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import numpy as np
import polars as pl

from ontogeny.disk import read_table
from ontogeny.estimators.means import accuracy
from ontogeny.laboratory import Run
from ontogeny.records import OntogenyError
from ontogeny.results import Results
from ontogeny.trajectories.timeline import windows

SENTENCES = ["logp_good", "logp_bad"]
ENSEMBLES = {
    "suite": pl.String,
    "paradigm": pl.String,
    "seeds": pl.Int64,
    "alone": pl.Float64,  # late accuracy, the mean over seeds
    "lowest": pl.Float64,  # of a seed
    "highest": pl.Float64,
    "logs": pl.Float64,  # of the mean of the seeds' log-likelihoods of each sentence: a product of experts
    "probabilities": pl.Float64,  # of the mean of their likelihoods: a mixture
    "low": pl.Float64,  # 95 % interval of `probabilities` over contrasts
    "high": pl.Float64,
    "stuck": pl.Boolean,  # below one half in every seed
    "freed": pl.Boolean,  # stuck, and right under either ensemble by its interval
}


def ensembles(path: Path) -> pl.DataFrame:
    """Each suite's paradigms, a row each (ENSEMBLES), over the late window's checkpoints that all seeds were scored at.

    At each checkpoint the seeds' log-likelihoods of a sentence are averaged, or their likelihoods, and the good sentence is held
    against the bad one; accuracies are means over checkpoints.  Raises OntogenyError for a run with fewer than two scored seeds.
    """
    run = Run(path)
    found = [_of_suite(run, suite.name) for suite in run.recipe.suites]  # type: ignore[attr-defined]
    return pl.concat(found).sort("suite", "paradigm")


def _of_suite(run: Run, suite: str) -> pl.DataFrame:
    results, thresholds = Results(run.folder), run.recipe.verdicts
    curves = results.curves.filter(suite=suite)
    view = windows(results.timeline(curves), thresholds)
    late = [int(step) for step, inside in zip(view.steps, view.late, strict=True) if inside]
    if not late:
        raise OntogenyError(f"{run.folder.path}: no checkpoint that was scored on {suite} is in the late window; let it go on")
    seeds = [seed for seed in run.folder.seeds() if set(late) <= set(run.folder.scored(seed, suite))]
    if len(seeds) < 2:
        raise OntogenyError(
            f"{run.folder.path}: an ensemble takes two seeds that were scored on {suite} in the late window; found {len(seeds)}"
        )
    each = [pl.concat([_preferences(run, seeds, suite, step) for step in late])]
    whole = each[0].group_by("paradigm", "pair").agg(pl.exclude("step").mean())
    contrasts = read_table(run.folder.pairs(suite)).select("paradigm", "pair", "contrast")
    return pl.DataFrame(
        [
            _row(suite, str(name), seeds, own)
            for (name,), own in whole.join(contrasts, on=["paradigm", "pair"]).group_by("paradigm")
        ],
        ENSEMBLES,
        orient="row",
    )


def _preferences(run: Run, seeds: list[int], suite: str, step: int) -> pl.DataFrame:
    """A row a pair: 1, 0 or one half at a tie, of each seed and of both ensembles."""
    tables = [
        read_table(run.folder.scores(seed, suite, step)).select(
            "paradigm", "pair", *(pl.col(c).alias(f"{c}{seed}") for c in SENTENCES)
        )
        for seed in seeds
    ]
    joined = reduce(lambda one, other: one.join(other, on=["paradigm", "pair"], how="inner"), tables)
    good, bad = (joined.select(f"{name}{seed}" for seed in seeds).to_numpy() for name in SENTENCES)
    margins = {f"seed{seed}": good[:, at] - bad[:, at] for at, seed in enumerate(seeds)}
    margins |= {
        "logs": (good - bad).mean(axis=1),
        "probabilities": np.logaddexp.reduce(good, axis=1) - np.logaddexp.reduce(bad, axis=1),
    }
    said = {name: np.where(margin == 0, 0.5, margin > 0) for name, margin in margins.items()}
    return joined.select("paradigm", "pair").with_columns(step=pl.lit(step), **{name: pl.Series(own) for name, own in said.items()})


def _row(suite: str, paradigm: str, seeds: list[int], own: pl.DataFrame) -> dict[str, object]:
    alone = [float(own[f"seed{seed}"].mean()) for seed in seeds]  # type: ignore[arg-type]
    intervals = {name: _interval(own, name) for name in ("logs", "probabilities")}
    stuck = max(alone) < 0.5
    row = {"suite": suite, "paradigm": paradigm, "seeds": len(seeds), "alone": float(np.mean(alone))}
    row |= {"lowest": min(alone), "highest": max(alone), "stuck": stuck}
    row |= {name: float(own[name].mean()) for name in intervals}  # type: ignore[arg-type]
    row |= dict(zip(("low", "high"), intervals["probabilities"], strict=True))
    return row | {"freed": stuck and any(low > 0.5 for low, _ in intervals.values())}


def _interval(own: pl.DataFrame, name: str) -> tuple[float, float]:
    """Over contrasts: the ensemble is one model."""
    sums = own.group_by("contrast").agg(pl.col(name).sum(), pl.len())
    low, high = accuracy(sums[name].to_numpy()[None], sums["len"].to_numpy().astype(np.float64)).interval(0.95)
    return float(low), float(high)


def told(found: pl.DataFrame) -> list[str]:
    """What it comes to, in sentences."""
    stuck, freed = found.filter(pl.col("stuck")), found.filter(pl.col("freed"))
    gained = {name: float(np.mean((found[name] - found["alone"]).to_numpy())) for name in ("logs", "probabilities")}
    gains = ", ".join(f"{gain:+.3f} by {name}" for name, gain in gained.items())
    return [
        f"{max(found['seeds'].to_list())} seeds: the mean accuracy over {len(found)} paradigms moves by {gains}.",
        f"Of {len(stuck)} paradigms that are below one half in every seed, {len(freed)} {'is' if len(freed) == 1 else 'are'} freed"
        + (f": {', '.join(freed['paradigm'].to_list())}." if len(freed) else "."),
    ]

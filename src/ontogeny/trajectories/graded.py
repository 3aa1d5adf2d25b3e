"""Items that people have graded: how far a model's scores go with the judgements, in place of accuracies and verdicts."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
from scipy.stats import norm, spearmanr

from ontogeny.trajectories.curves import need
from ontogeny.trajectories.timeline import ROUNDING, Floats

CORRELATIONS = {
    "paradigm": pl.String,
    "n": pl.Int64,
    "rho": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "rho_per_token": pl.Float64,
}


def correlations(scores: pl.DataFrame, human: pl.DataFrame, confidence: float = 0.95) -> pl.DataFrame:
    """One checkpoint's row for each graded paradigm, sorted: Spearman's rank correlation of score and judgement.

    `scores` as `curve` takes them; `human` has paradigm, pair and human, and only its items count.  An item's score is
    LL(good) - LL(bad), or LL(good) of a sentence alone; `rho_per_token` is of per-token means.  The interval is Fisher's, with
    the variance (1 + rho^2 / 2) / (n - 3) (Bonett & Wright 2000).  Null for fewer than 4 items, and where all scores or all
    judgements are alike.
    """
    need(scores, ("paradigm", "pair", "logp_good", "logp_bad", "tokens_good", "tokens_bad"), "the scores")
    table = human.join(scores, on=["paradigm", "pair"]).with_columns(
        score=pl.col("logp_good") - pl.col("logp_bad").fill_null(0.0),
        per_token=pl.col("logp_good") / pl.col("tokens_good")
        - (pl.col("logp_bad") / pl.col("tokens_bad").cast(pl.Float64)).fill_null(0.0),
    )
    rows = []
    for (paradigm,), own in table.sort("paradigm", "pair").group_by("paradigm", maintain_order=True):
        judged, *scored = (own[name].to_numpy() for name in ("human", "score", "per_token"))
        rho, per_token = (_spearman(judged, values) for values in scored)
        rows.append((paradigm, len(own), rho, *_interval(rho, len(own), confidence), per_token))
    return pl.DataFrame(rows, schema=CORRELATIONS, orient="row")


def _spearman(one: Floats, other: Floats) -> float | None:
    if len(one) < 4 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(spearmanr(one, other).statistic)


def _interval(rho: float | None, n: int, confidence: float) -> tuple[float | None, float | None]:
    if rho is None or abs(rho) > 1 - ROUNDING:
        return rho, rho
    half = float(norm.isf((1 - confidence) / 2)) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    return math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)

"""Figures of likelihood: mean log-likelihood of good and of bad sentences over training, as arXiv 2603.00359 has it."""

from __future__ import annotations

from functools import cache
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.axes import (
    WIDTH,
    Width,
    filled,
    last_step,
    need,
    rows,
    seeded,
    shading,
    span_rows,
    step_axis,
    table,
    tips,
)

COLUMNS = ("step", "logp_good", "logp_bad")
UNIT = "mean log-likelihood (nats)"


def likelihood(
    curve: pl.DataFrame,
    spans: pl.DataFrame | None = None,
    *,
    width: Width = WIDTH,
    height: int = 170,
    last: int | None = None,
    legend: bool = True,
) -> alt.Chart:
    """One paradigm's mean log-likelihood of its good and its bad sentences over log steps; thin lines are seeds.

    `curve`: step, logp_good, logp_bad (nats a sentence; seed).  `spans`: window, start, end, shaded.
    `last` ends the axis.  Raises OntogenyError for missing columns or no rows.
    """
    need(curve, COLUMNS, "the figure of likelihoods")
    last = last_step(curve) if last is None else last
    tables = {"curve": rows(_long(curve).drop("paradigm", strict=False)), "spans": span_rows(spans, last)}
    return filled(_likelihood(last, width, height, legend), tables)


@cache
def _likelihood(last: int, width: Width, height: int, legend: bool) -> alt.Chart:
    """The figure without its numbers, the same for every paradigm."""
    base, x = table("curve"), step_axis(last)
    thin = base.mark_line(strokeWidth=0.8, opacity=0.4)
    mean = base.mark_line(point={"size": 10, "filled": True})
    layers = [
        *shading(last),
        thin.encode(x=x, y=_nats("nats:Q"), color=_side(legend), detail=alt.Detail("seed:N")),
        mean.encode(x=x, y=_nats("mean(nats):Q"), color=_side(legend), tooltip=tips("sentences", "step", "mean(nats)")),
    ]
    return alt.layer(*layers).properties(width=width, height=height)


def likelihoods(curves: pl.DataFrame, *, columns: int = 4, width: int = 230, height: int = 100) -> alt.Chart:
    """Small multiples of `likelihood`, mean over seeds, one panel a paradigm in the order of phenomena.

    `curves`: paradigm, step, logp_good, logp_bad (seed, phenomenon), one suite.
    Raises OntogenyError for missing columns or no rows.
    """
    need(curves, ("paradigm", *COLUMNS), "the figure of likelihoods")
    order = curves.sort([name for name in ("field", "phenomenon", "paradigm") if name in curves.columns])
    panels = alt.Facet(
        "paradigm:N",
        columns=columns,
        sort=order["paradigm"].unique(maintain_order=True).to_list(),
        title=None,
        header=alt.Header(labelFontSize=9, labelLimit=width + 60, labelPadding=3),
    )
    means = _long(curves).group_by("paradigm", "step", "sentences").agg(pl.col("nats").mean())
    drawing = (
        table("curves")
        .mark_line(strokeWidth=1.4)
        .encode(x=step_axis(last_step(curves)), y=_nats("nats:Q", title=None), color=_side(True), facet=panels)
        .properties(width=width, height=height, title={"text": "Mean log-likelihood over training", "subtitle": UNIT})
        .resolve_scale(y="independent")
    )
    return filled(drawing, {"curves": rows(means.sort("paradigm", "step", "sentences"))})


def _long(curve: pl.DataFrame) -> pl.DataFrame:
    curve = seeded(curve)
    keys = [name for name in ("paradigm", "seed", "step") if name in curve.columns]
    wide = curve.select(*keys, pl.col("logp_good").alias("good"), pl.col("logp_bad").alias("bad"))
    return wide.unpivot(["good", "bad"], index=keys, variable_name="sentences", value_name="nats").sort(*keys, "sentences")


def _nats(field: str, title: str | None = UNIT) -> Any:
    return alt.Y(field, scale=alt.Scale(zero=False), axis=alt.Axis(title=title, tickCount=4, format=".0f"))


def _side(legend: bool) -> Any:
    shown = (
        alt.Legend(title="sentences", orient="top", symbolType="stroke", symbolOpacity=1, symbolStrokeWidth=2) if legend else None
    )
    return alt.Color("sentences:N", scale=alt.Scale(domain=["good", "bad"], range="ordinal"), legend=shown)

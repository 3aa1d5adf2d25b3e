"""Figure of reliance: how much of the network's margins n-gram margins and length account for over training."""

from __future__ import annotations

from functools import cache
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.axes import Width, beside, filled, last_step, need, rows, seeded, shading, span_rows, step_axis, table, tips

WEIGHTS = {"u": 1, "b": 2}  # the order of the n-gram model that a predictor is the margin of; length has none


def reliance(frame: pl.DataFrame, spans: pl.DataFrame | None = None, *, paradigm: str = "", width: int = 380) -> alt.HConcatChart:
    """Weights of the bigram margin, the unigram margin and length in the network's margins over training, and R2 beside.

    `frame`: step, paradigm, predictor, beta, r2 (seed); `paradigm`: empty for all pairs together.
    Raises OntogenyError for missing columns or no rows.
    """
    return beside(
        weights(frame, spans, paradigm=paradigm, width=width, legend=True).properties(title="weight (standardised)"),
        accounted(frame, spans, paradigm=paradigm, width=width).properties(title="share accounted for (R²)"),
    )


def weights(
    frame: pl.DataFrame,
    spans: pl.DataFrame | None = None,
    *,
    paradigm: str = "",
    width: Width = 380,
    height: int = 190,
    last: int | None = None,
    legend: bool = False,
) -> alt.Chart:
    """Standardised weights over training: bigram margin thick, unigram margin, and length dotted."""
    need(frame, ("step", "paradigm", "predictor", "beta"), "the figure of reliance")
    drawn = seeded(frame.filter(paradigm=paradigm)).select("seed", "step", "predictor", pl.col("beta").round(4))
    need(drawn, (), f"the figure of reliance of {paradigm or 'all pairs'}")
    last = last_step(drawn) if last is None else last
    order = pl.col("predictor").replace_strict(WEIGHTS, default=None, return_dtype=pl.Int64)
    drawn = drawn.with_columns(order=order).sort("predictor", "seed", "step")
    return filled(_weights(last, width, height, legend), {"weights": rows(drawn), "spans": span_rows(spans, last)})


@cache
def _weights(last: int, width: Width, height: int, legend: bool) -> alt.Chart:
    base, x = table("weights"), step_axis(last)
    axis = alt.Axis(title="weight, in standard deviations", tickCount=5, format=".1f")
    y, mean = alt.Y("beta:Q", axis=axis), alt.Y("mean(beta):Q", axis=axis)
    shown = (
        alt.Legend(title=None, orient="top", labelExpr="datum.value == 2 ? 'bigram margin' : 'unigram margin'") if legend else None
    )
    colour = alt.Color("order:O", scale=alt.Scale(domain=[1, 2], range="ramp"), legend=shown)
    grams, length = base.transform_filter("isValid(datum.order)"), base.transform_filter("!isValid(datum.order)")
    layers = [
        *shading(last),
        _zero(),
        grams.mark_line(strokeWidth=0.7, opacity=0.35).encode(x=x, y=y, color=colour, detail="seed:N"),
        length.mark_line(strokeWidth=1.4, strokeDash=[2, 3]).encode(x=x, y=mean),
        grams.transform_filter("datum.order == 1").mark_line(strokeWidth=1.6).encode(x=x, y=mean, color=colour),
        grams.transform_filter("datum.order == 2").mark_line(strokeWidth=2.8).encode(x=x, y=mean, color=colour),
        base.mark_point(size=50, opacity=0).encode(
            x=x, y=mean, detail="predictor:N", tooltip=tips("predictor", "step", "mean(beta)")
        ),
    ]
    return alt.layer(*layers).properties(width=width, height=height)


def accounted(
    frame: pl.DataFrame,
    spans: pl.DataFrame | None = None,
    *,
    paradigm: str = "",
    width: Width = 380,
    height: int = 190,
    last: int | None = None,
) -> alt.Chart:
    """R2 of all three together over training; where there is `r2_unique`, the bigram margin's own part, thick."""
    need(frame, ("step", "paradigm", "predictor", "r2"), "the figure of reliance")
    kept = seeded(frame.filter(paradigm=paradigm))
    need(kept, (), f"the figure of reliance of {paradigm or 'all pairs'}")
    last = last_step(kept) if last is None else last
    parts = [kept.group_by("seed", "step").agg(pl.col("r2").first()).with_columns(part=pl.lit("all three"))]
    if "r2_unique" in kept.columns:
        own = kept.filter(predictor="b").select("seed", "step", pl.col("r2_unique").alias("r2"))
        parts.append(own.with_columns(part=pl.lit("only bigrams"), r2=pl.col("r2").cast(pl.Float64)))
    drawn = pl.concat(parts).with_columns(pl.col("r2").round(4)).sort("part", "seed", "step")
    return filled(_accounted(last, width, height), {"parts": rows(drawn), "spans": span_rows(spans, last)})


@cache
def _accounted(last: int, width: Width, height: int) -> alt.Chart:
    base, x = table("parts"), step_axis(last)
    axis = alt.Axis(title="share of the differences accounted for, R²", tickCount=5, format=".1f")
    y, mean = alt.Y("r2:Q", axis=axis, scale=alt.Scale(domainMin=0)), alt.Y("mean(r2):Q", axis=axis, scale=alt.Scale(domainMin=0))
    colour = alt.Color("order:O", scale=alt.Scale(domain=[1, 2], range="ramp"), legend=None)
    both, own = base.transform_filter("datum.part == 'all three'"), base.transform_filter("datum.part != 'all three'")
    layers = [
        *shading(last),
        base.mark_line(strokeWidth=0.7, opacity=0.35).encode(x=x, y=y, detail=["seed:N", "part:N"]),
        both.mark_line(strokeWidth=1.8).encode(x=x, y=mean),
        own.transform_calculate(order="2").mark_line(strokeWidth=2.8).encode(x=x, y=mean, color=colour),
        base.mark_point(size=50, opacity=0).encode(x=x, y=mean, detail="part:N", tooltip=tips("part", "step", "mean(r2)")),
    ]
    return alt.layer(*layers).properties(width=width, height=height)


def _zero() -> Any:
    base = alt.Chart(alt.InlineData(values=[{"beta": 0}]))
    return base.mark_rule(strokeWidth=0.8, strokeDash=[4, 3]).encode(y="beta:Q")

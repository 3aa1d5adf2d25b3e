"""Figure of the n-gram models' own learning: their accuracy from counts up to each step, beside the network's."""

from __future__ import annotations

from functools import cache
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.axes import WIDTH, Width, filled, last_step, need, rows, seeded, shading, span_rows, step_axis, table, tips
from ontogeny.pages.orders import at_token_level, order_colour


def ngram_accuracy(
    frame: pl.DataFrame,
    curves: pl.DataFrame,
    spans: pl.DataFrame | None = None,
    *,
    width: Width = WIDTH,
    height: int = 220,
    legend: bool = True,
) -> alt.Chart:
    """Mean accuracy over paradigms of n-gram models that have counted up to each step, and of the network, in ink.

    `frame`: step, order, paradigm, accuracy (seed, level); `curves`: step, paradigm, accuracy (seed), one suite.
    Raises OntogenyError for missing columns or no rows.
    """
    need(frame, ("step", "order", "paradigm", "accuracy"), "the n-gram models' accuracy")
    need(curves, ("step", "paradigm", "accuracy"), "the n-gram models' accuracy")
    last = max(last_step(frame), last_step(curves))
    means = overall(frame, curves).with_columns(pl.col("accuracy").round(4))
    return filled(_drawing(last, width, height, legend), {"means": rows(means), "spans": span_rows(spans, last)})


def overall(frame: pl.DataFrame, curves: pl.DataFrame) -> pl.DataFrame:
    """Means over paradigms and seeds: order (null for the network), step, accuracy."""
    counted = at_token_level(frame).with_columns(pl.col("order").cast(pl.Int64))
    own = seeded(curves).with_columns(order=pl.lit(None, pl.Int64))
    both = pl.concat([part.select("order", "step", "accuracy") for part in (counted, own)], how="vertical_relaxed")
    return both.group_by("order", "step").agg(pl.col("accuracy").mean()).sort("order", "step", nulls_last=True)


@cache
def _drawing(last: int, width: Width, height: int, legend: bool) -> alt.Chart:
    base, x = table("means"), step_axis(last)
    y = alt.Y("accuracy:Q", scale=alt.Scale(zero=False), title="accuracy", axis=alt.Axis(format=".2~f", tickCount=5))
    colour: Any = order_colour(legend)
    grams, own = base.transform_filter("isValid(datum.order)"), base.transform_filter("!isValid(datum.order)")
    chance = alt.Chart(alt.InlineData(values=[{"accuracy": 0.5}])).mark_rule(strokeDash=[4, 3], strokeWidth=0.8).encode(y=y)
    style = {"align": "right", "dx": -2, "dy": 26, "fontWeight": 600}
    end = [own.transform_filter(f"datum.step == {last}").mark_text(**style)] if legend else []
    layers = [
        *shading(last),
        chance,
        *(
            grams.transform_filter(f"datum.order {which} 2").mark_line(strokeWidth=stroke).encode(x=x, y=y, color=colour)
            for which, stroke in (("!=", 1.4), ("==", 2.8))
        ),
        own.mark_line(strokeWidth=2, point={"size": 14, "filled": True}).encode(x=x, y=y),
        *(word.encode(x=x, y=y, text=alt.value("the network")) for word in end),
        base.mark_point(size=50, opacity=0).encode(x=x, y=y, detail="order:N", tooltip=tips("order", "step", "accuracy")),
    ]
    return alt.layer(*layers).properties(width=width, height=height)

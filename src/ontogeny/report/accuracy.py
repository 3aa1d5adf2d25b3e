"""Figures of accuracy over training: one paradigm's trajectory, and the mean over a suite."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.axes import (
    WIDTH,
    Width,
    filled,
    known,
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
from ontogeny.pages.orders import order_colour

Band = tuple[float, float]


def trajectory(
    curve: pl.DataFrame,
    spans: pl.DataFrame | None = None,
    band: Band | None = None,
    *,
    width: Width = WIDTH,
    height: int = 170,
    last: int | None = None,
) -> alt.Chart:
    """One paradigm's accuracy over training: each seed a thin line, their mean a thick one, the band of chance grey.

    `curve`: step, accuracy (seed; low and high for a bootstrap interval; accuracy_length for the dotted line of what
    sentence length alone decides, accuracy_bigram for the dashed one of a bigram model).  `spans`: window, start, end,
    shaded.  `band`: lo and hi.  `last` ends the axis.  Raises OntogenyError for missing columns or no rows.
    """
    need(curve, ("step", "accuracy"), "a trajectory")
    last = last_step(curve) if last is None else last
    kept = [name for name in ("low", "high", "accuracy_length", "accuracy_bigram") if known(curve, name)]
    drawn = seeded(curve).select("seed", "step", "accuracy", *kept).sort("seed", "step")
    tables = {"curve": rows(drawn), "spans": span_rows(spans, last), "band": _band_rows(band)}
    return filled(_trajectory(last, width, height), tables)


@cache
def _trajectory(last: int, width: Width, height: int) -> alt.Chart:
    """The figure without its numbers, the same for every paradigm; what a table lacks is not drawn."""
    base, x = table("curve"), step_axis(last)
    area = base.transform_filter("isValid(datum.low)").mark_area(opacity=0.2)
    length = base.transform_filter("isValid(datum.accuracy_length)")
    dotted = length.mark_line(strokeDash=[2, 3], strokeWidth=1, opacity=0.7)
    bigram = base.transform_filter("isValid(datum.accuracy_bigram)")
    dashed = bigram.transform_calculate(order="2").mark_line(strokeDash=[6, 3], strokeWidth=1.2)
    thin = base.mark_line(strokeWidth=0.8, opacity=0.4)
    mean = base.mark_line(point={"size": 14, "filled": True})
    layers = [
        *shading(last),
        *_band(),
        area.encode(x=x, y=_accuracy("mean(low):Q"), y2=alt.Y2("mean(high):Q")),
        dotted.encode(x=x, y=_accuracy("mean(accuracy_length):Q")),
        dashed.encode(x=x, y=_accuracy("mean(accuracy_bigram):Q"), color=order_colour(False)),
        thin.encode(x=x, y=_accuracy("accuracy:Q"), detail=alt.Detail("seed:N")),
        mean.encode(x=x, y=_accuracy("mean(accuracy):Q"), tooltip=tips("step", "mean(accuracy)")),
    ]
    return alt.layer(*layers).properties(width=width, height=height)


def overall_accuracy(
    curves: pl.DataFrame,
    spans: pl.DataFrame | None = None,
    references: Mapping[str, float] | None = None,
    *,
    width: Width = WIDTH,
    height: int = 220,
) -> alt.Chart:
    """A suite's accuracy over training: mean over paradigms and mean over phenomena, each seed thin, their mean thick.

    `curves`: paradigm, step, accuracy (seed, phenomenon).  `references`: published accuracies (0 to 1) drawn as lines.
    Raises OntogenyError for missing columns or no rows.
    """
    need(curves, ("paradigm", "step", "accuracy"), "overall accuracy")
    last = last_step(curves)
    base, x = table("means"), step_axis(last)
    dash = alt.StrokeDash(
        "over:N",
        title="mean over",
        scale=alt.Scale(domain=["paradigms", "phenomena"]),
        legend=alt.Legend(orient="top", symbolType="stroke", symbolOpacity=1),
    )
    thin = base.mark_line(strokeWidth=0.8, opacity=0.45)
    mean, points = base.mark_line(), base.mark_point(size=14, filled=True)
    shown = tips("over", "step", "mean(accuracy)")
    layers = [
        *shading(last),
        *_band(),
        *_references(references),
        thin.encode(x=x, y=_accuracy("accuracy:Q"), detail=alt.Detail("seed:N"), strokeDash=dash),
        mean.encode(x=x, y=_accuracy("mean(accuracy):Q"), strokeDash=dash),
        points.encode(x=x, y=_accuracy("mean(accuracy):Q"), detail=alt.Detail("over:N"), tooltip=shown),
    ]
    tables = {"means": rows(means(curves)), "spans": span_rows(spans, last), "band": _band_rows(None)}
    return filled(alt.layer(*layers).properties(width=width, height=height), tables)


def means(curves: pl.DataFrame) -> pl.DataFrame:
    """Accuracy over paradigms and over phenomena (where there are several): over, seed, step, accuracy."""
    curves = seeded(curves)
    keys = ["seed", "step"]
    found = curves.group_by(keys).agg(pl.col("accuracy").mean()).with_columns(over=pl.lit("paradigms"))
    if known(curves, "phenomenon") and curves["phenomenon"].n_unique() > 1:
        phenomena = curves.group_by(*keys, "phenomenon").agg(pl.col("accuracy").mean()).group_by(keys)
        found = pl.concat([found, phenomena.agg(pl.col("accuracy").mean()).with_columns(over=pl.lit("phenomena"))])
    return found.sort("over", *keys)


def _accuracy(field: str) -> Any:
    axis = alt.Axis(format=".2~f", values=[0, 0.25, 0.5, 0.75, 1], grid=True)
    return alt.Y(field, scale=alt.Scale(domain=[0, 1]), axis=axis, title="accuracy")


def _band_rows(band: Band | None) -> list[dict[str, Any]]:
    low, high = (0.5, 0.5) if band is None else band
    return [{"lo": round(low, 4), "hi": round(high, 4), "chance": 0.5}]


def _band() -> list[Any]:
    base = table("band")
    chance = base.mark_rule(strokeDash=[4, 3], strokeWidth=0.8).encode(y=_accuracy("chance:Q"))
    return [base.mark_rect(opacity=0.14).encode(y=_accuracy("lo:Q"), y2=alt.Y2("hi:Q")), chance]


def _references(references: Mapping[str, float] | None) -> list[Any]:
    if not references:
        return []
    base = alt.Chart(alt.InlineData(values=[{"name": name, "accuracy": value} for name, value in references.items()]))
    style = {"align": "left", "dx": 4, "dy": -5, "fontSize": 9}
    text = base.mark_text(**style).encode(x=alt.XValue(0), y=_accuracy("accuracy:Q"), text=alt.Text("name:N"))
    return [base.mark_rule(strokeWidth=0.6, strokeDash=[1, 2]).encode(y=_accuracy("accuracy:Q")), text]

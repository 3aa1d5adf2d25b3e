"""Figures of the ladder: how closely the network follows n-gram models of order 1 to 5 as it is trained."""

from __future__ import annotations

from functools import cache
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.axes import Width, beside, filled, last_step, need, rows, seeded, shading, span_rows, step_axis, table, tips
from ontogeny.report.paradigm_map import paradigm_rows, window_of

ORDERS = [1, 2, 3, 4, 5]
NAMES = {1: "unigrams", 2: "bigrams", 3: "trigrams", 4: "4-grams", 5: "5-grams"}
PANELS = {"pairs": "over all pairs", "within": "inside the paradigms", "paradigms": "from paradigm to paradigm"}
TICKS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20]  # of the axis of nats
NEAR = 0.2  # a highest correlation below this is drawn as pale as it gets: the network follows none of them


def ladder(
    frame: pl.DataFrame, divergence: pl.DataFrame | None = None, spans: pl.DataFrame | None = None, *, width: int = 260
) -> alt.HConcatChart:
    """How closely the network follows n-gram models over training, a panel for each way to ask and one for the distance.

    `frame`: step, by, order, r (seed, level, paradigm), one suite; `divergence`: step, order, kl (seed, level).
    Raises OntogenyError for missing columns or no rows.
    """
    whole = frame.filter(paradigm="") if "paradigm" in frame.columns else frame
    kinds = [by for by in PANELS if by in whole["by"].to_list()]
    panels = [agreement(whole, by, spans, width=width, legend=True).properties(title=PANELS[by]) for by in kinds]
    if divergence is not None and len(divergence):
        panels.append(distance(divergence, spans, width=width, legend=True).properties(title="distance of the predictions"))
    need(whole, ("step", "by", "order", "r"), "the ladder")
    return beside(*panels)


def agreement(
    frame: pl.DataFrame,
    by: str = "pairs",
    spans: pl.DataFrame | None = None,
    *,
    width: Width = 320,
    height: int = 190,
    last: int | None = None,
    legend: bool = False,
) -> alt.Chart:
    """Correlation of the network's margins with each n-gram model's over training; thin lines are seeds, dots the peaks.

    `frame`: step, by, order, r (seed, level, paradigm).  Raises OntogenyError for missing columns or no rows.
    """
    need(frame, ("step", "by", "order", "r"), "the ladder")
    drawn = whole(at_token_level(frame), by)
    need(drawn, (), f"the ladder by {by}")
    last = last_step(drawn) if last is None else last
    tables = {"orders": _drawn(drawn, "r"), "marks": _drawn(peaks(drawn, spans), "r"), "spans": span_rows(spans, last)}
    return filled(order_drawing("r", last, width, height, legend), tables)


def distance(
    frame: pl.DataFrame,
    spans: pl.DataFrame | None = None,
    *,
    width: Width = 320,
    height: int = 190,
    last: int | None = None,
    legend: bool = False,
) -> alt.Chart:
    """KL(n-gram model || network) over training, nats a token, one line an order; the dot is the step of closest imitation.

    `frame`: step, order, kl (seed, level).  Raises OntogenyError for missing columns or no rows.
    """
    need(frame, ("step", "order", "kl"), "the distance from n-gram models")
    drawn = at_token_level(frame)
    last = last_step(drawn) if last is None else last
    nearest = peaks(drawn.with_columns(kl=-pl.col("kl")), spans, "kl").with_columns(kl=-pl.col("kl"))
    tables = {"orders": _drawn(drawn, "kl"), "marks": _drawn(nearest, "kl"), "spans": span_rows(spans, last)}
    return filled(order_drawing("kl", last, width, height, legend), tables)


@cache
def order_drawing(value: str, last: int, width: Width, height: int, legend: bool) -> alt.Chart:
    """Lines of five orders over training without their numbers: thin for seeds, thick for their mean, bigrams thickest."""
    base, x, y, mean = table("orders"), step_axis(last), _y(f"{value}:Q"), _y(f"mean({value}):Q")
    colour, tooltip = order_colour(legend), tips("order", "step", f"mean({value})")
    lines = [
        base.transform_filter(f"datum.order {which} 2").mark_line(strokeWidth=stroke).encode(x=x, y=mean, color=colour)
        for which, stroke in (("!=", 1.4), ("==", 2.8))
    ]
    layers = [
        *shading(last),
        base.mark_line(strokeWidth=0.7, opacity=0.35).encode(x=x, y=y, color=colour, detail="seed:N"),
        *lines,
        base.mark_point(size=50, opacity=0).encode(x=x, y=mean, detail="order:N", tooltip=tooltip),  # what a pointer finds
        table("marks")
        .mark_point(size=44, filled=True, opacity=1)
        .encode(x=x, y=y, color=colour, tooltip=tips("order", "step", value)),
    ]
    return alt.layer(*layers).properties(width=width, height=height)


def rung_map(
    frame: pl.DataFrame,
    rungs: pl.DataFrame | None = None,
    curves: pl.DataFrame | None = None,
    verdicts: pl.DataFrame | None = None,
    spans: pl.DataFrame | None = None,
    *,
    width: Width = 900,
    narrow: bool = False,
) -> alt.Chart:
    """Which order of n-gram model each paradigm (row) follows most at each checkpoint (column); paler where it follows less.

    `frame`: step, paradigm, order, r (seed, level).  `rungs`: paradigm, left_step (seed), a diamond where the paradigm has
    left the rung it was closest to.  `curves` gives the phenomena.  Raises OntogenyError for missing columns or no rows.
    """
    need(frame, ("step", "paradigm", "order", "r"), "the map of rungs")
    cells = rung_cells(frame, rungs, curves).with_columns(window=window_of(pl.col("step"), spans))
    need(cells, (), "the map of rungs")
    opacity = alt.Opacity("r:Q", scale=alt.Scale(domain=[NEAR, 0.9], range=[0.12, 1], clamp=True), legend=None)
    colour = order_colour(True, "closest order", columns=3 if narrow else 5)
    shown = ["paradigm", "step", "closest order", "r"]
    marked = "datum.left" if "left" in cells.columns else None
    return paradigm_rows(cells, {"color": colour, "opacity": opacity}, shown, verdicts, marked, width=width, narrow=narrow)


def rung_cells(frame: pl.DataFrame, rungs: pl.DataFrame | None = None, curves: pl.DataFrame | None = None) -> pl.DataFrame:
    """The closest order of every paradigm and step, over the mean of seeds: paradigm, phenomenon, step, closest order, r, left."""
    own = at_token_level(frame).filter(pl.col("paradigm") != "", pl.col("r").is_not_nan())
    means = (
        own.group_by("paradigm", "step", "order").agg(pl.col("r").mean()).sort("paradigm", "step", "r", "order", nulls_last=False)
    )
    cells = means.group_by("paradigm", "step", maintain_order=True).last().rename({"order": "closest order"})
    names = ["field", "phenomenon"]
    if curves is not None and "phenomenon" in curves.columns:
        known = curves.select("paradigm", *(name for name in names if name in curves.columns)).unique()
        cells = cells.join(known, on="paradigm", how="left")
    else:
        cells = cells.with_columns(phenomenon=pl.lit(""))
    if rungs is not None and "left_step" in rungs.columns:
        cells = cells.join(left_steps(rungs), on="paradigm", how="left")
        cells = cells.with_columns(left=(pl.col("step") == pl.col("left_step")).fill_null(False)).drop("left_step")
    keys = [name for name in names if name in cells.columns]
    return cells.with_columns(pl.col("r").round(2)).sort(*keys, "paradigm", "step").drop("field", strict=False)


def left_steps(rungs: pl.DataFrame) -> pl.DataFrame:
    """Paradigm and the step at which at least half of the seeds have left their rung; null where they have not."""
    never = 2**62
    later = pl.col("left_step").fill_null(never).sort().get((pl.len() - 1) // 2)
    found = rungs.group_by("paradigm").agg(later.alias("left_step")).sort("paradigm")
    return found.with_columns(pl.when(pl.col("left_step") < never).then("left_step"))


def order_colour(legend: bool, column: str = "order", columns: int = 5) -> Any:
    """The sequential colours of orders 1 to 5, light to dark."""
    said = " : ".join(f"datum.value == {order} ? '{name}'" for order, name in NAMES.items())
    style = {"symbolOpacity": 1, "symbolStrokeWidth": 2, "columns": columns}
    shown = alt.Legend(title=None, orient="top", labelExpr=f"{said} : datum.label", **style)
    return alt.Color(f"{column}:O", scale=alt.Scale(domain=ORDERS, range="ramp"), legend=shown if legend else None)


def at_token_level(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of token level, which the network's own units are; of word level where there are no others."""
    if "level" not in frame.columns:
        return frame
    tokens = frame.filter(level="token")
    return tokens if len(tokens) else frame


def whole(frame: pl.DataFrame, by: str) -> pl.DataFrame:
    """The rows of the whole suite by one way to ask."""
    kept = frame.filter(by=by)
    return kept.filter(paradigm="") if "paradigm" in kept.columns else kept


def peaks(frame: pl.DataFrame, spans: pl.DataFrame | None, value: str = "r") -> pl.DataFrame:
    """Where each order's mean over seeds is highest among the trained checkpoints: order, step and the value there."""
    start = 0.0 if spans is None else float(spans.filter(window="untrained").get_column("end").max() or 0)  # type: ignore[arg-type]
    means = frame.group_by("order", "step").agg(pl.col(value).mean()).filter(pl.col(value).is_not_nan())
    trained = means.filter(pl.col("step") >= start)
    return (trained if len(trained) else means).sort("order", value, "step").group_by("order", maintain_order=True).last()


def _drawn(frame: pl.DataFrame, value: str) -> list[dict[str, Any]]:
    kept = [name for name in ("seed", "step", "order", value) if name in seeded(frame).columns]
    return rows(seeded(frame).select(kept).with_columns(pl.col(value).round(4)).sort(kept[:-1]))


def _y(field: str) -> Any:
    if "kl" in field:
        axis = alt.Axis(values=TICKS, format="~g", title="distance, KL (nats a token, log scale)")
        return alt.Y(field, scale=alt.Scale(type="log", nice=False, zero=False, padding=8), axis=axis)
    return alt.Y(field, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5, format=".1f", title="correlation of margins"))

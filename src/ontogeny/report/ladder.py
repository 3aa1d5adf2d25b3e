"""Figures of the ladder: how closely the network follows n-gram models of order 1 to 5 as it is trained."""

from __future__ import annotations

import altair as alt
import polars as pl

from ontogeny.pages.axes import Width, filled, last_step, need, span_rows
from ontogeny.pages.orders import at_token_level, drawn, order_colour, order_drawing, peaks
from ontogeny.report.paradigm_map import paradigm_rows, window_of

PANELS = {"pairs": "over all pairs", "within": "inside the paradigms", "paradigms": "from paradigm to paradigm"}
NEAR = 0.2  # a highest correlation below this is drawn as pale as it gets: the network follows none of them


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
    own = whole(at_token_level(frame), by)
    need(own, (), f"the ladder by {by}")
    last = last_step(own) if last is None else last
    tables = {"orders": drawn(own, "r"), "marks": drawn(peaks(own, spans), "r"), "spans": span_rows(spans, last)}
    return filled(order_drawing("r", last, width, height, legend), tables)


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


def whole(frame: pl.DataFrame, by: str) -> pl.DataFrame:
    """The rows of the whole suite by one way to ask."""
    kept = frame.filter(by=by)
    return kept.filter(paradigm="") if "paradigm" in kept.columns else kept

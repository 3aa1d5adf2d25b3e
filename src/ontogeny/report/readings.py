"""What instruments read off each checkpoint, over training: a figure and a card for each reading."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.axes import (
    WIDTH,
    Tables,
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
from ontogeny.pages.embed import Charts

COLUMNS = ("instrument", "key", "step", "value")


def reading(
    values: pl.DataFrame,
    spans: pl.DataFrame | None = None,
    chance: float | None = None,
    *,
    width: Width = WIDTH,
    height: int = 150,
    last: int | None = None,
) -> alt.Chart:
    """One reading over log steps, the mean over seeds with single seeds as thin lines; the dashed line is chance.

    `values`: instrument, key, step, value (seed).  `last` ends the axis.  Raises OntogenyError for missing columns or no rows.
    """
    need(values, COLUMNS, "the figure of a reading")
    last = last_step(values) if last is None else last
    return filled(reading_drawing(is_share(values), last, width, height), reading_tables(values, spans, chance, last))


def reading_tables(values: pl.DataFrame, spans: pl.DataFrame | None, chance: float | None, last: int) -> Tables:
    """What `reading_drawing` draws of one reading."""
    return {
        "readings": rows(seeded(values).select("seed", "step", "value").sort("seed", "step")),
        "chance": [] if chance is None else [{"value": round(chance, 4), "name": "chance"}],
        "spans": span_rows(spans, last),
    }


@cache
def reading_drawing(share: bool, last: int, width: Width, height: int) -> alt.Chart:
    """The figure without its numbers; `share`: the axis goes from 0 to 1."""
    scale = alt.Scale(domain=[0, 1]) if share else alt.Scale(zero=False)
    x, y = step_axis(last), alt.Y("value:Q", scale=scale, title=None, axis=alt.Axis(tickCount=3, minExtent=30))
    base, chance = table("readings"), table("chance")
    seeds = base.mark_line(strokeWidth=0.8, opacity=0.4, clip=True).encode(x=x, y=y, detail="seed:N")
    dots = base.mark_point(size=10, filled=True, opacity=0.5, clip=True).encode(x=x, y=y, tooltip=tips("seed", "step", "value"))
    mean = base.mark_line(strokeWidth=1.8, clip=True).encode(x=x, y=alt.Y("mean(value):Q", scale=scale, title=None))
    line = chance.mark_rule(strokeDash=[4, 3]).encode(y=y)
    word = chance.mark_text(align="right", dx=-4, dy=-5, fontSize=9).encode(x=alt.value("width"), y=y, text="name:N")
    return alt.layer(*shading(last), seeds, dots, mean, line, word).properties(width=width, height=height)


def is_share(values: pl.DataFrame) -> bool:
    """Whether all values lie between 0 and 1, where the axis then ends."""
    found = values["value"].drop_nulls().drop_nans()
    return bool(len(found)) and bool(found.is_between(0, 1).all())


def reading_cards(
    readings: pl.DataFrame | None, spans: pl.DataFrame | None, chances: Mapping[tuple[str, str], float], charts: Charts
) -> list[dict[str, Any]]:
    """For the template, one entry an instrument: its name, and of each reading the name, a chart, chance, its last value."""
    if readings is None:
        return []
    last, found = last_step(readings), []
    for (instrument,), part in readings.group_by("instrument", maintain_order=True):
        cards = []
        for (key,), values in part.group_by("key", maintain_order=True):
            chance = chances.get((str(instrument), str(key)))
            drawing = reading_drawing(is_share(values), last, "container", 150)
            at_end = values.filter(pl.col("step") == last).select(pl.col("value").mean()).item()
            cards.append(
                {
                    "name": str(key),
                    "chart": charts.add(drawing, reading_tables(values, spans, chance, last)),
                    "end": None if at_end is None else f"{at_end:.3f}",
                    "chance": None if chance is None else f"{chance:.3f}",
                }
            )
        found.append({"name": str(instrument), "cards": cards})
    return found

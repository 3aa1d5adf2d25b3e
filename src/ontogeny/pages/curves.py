"""The figures that an instrument has without drawing any: its columns over training, or a map where it reads many things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from textwrap import wrap
from typing import Any, Protocol

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
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel, Tabulated

LINES = 6  # things told apart by an index that are drawn as lines; more of them are rows of a map
PANELS = 6  # columns that are drawn; the last value of every one stands in a table beneath
OF = "of"  # column: what a row is of, where an index tells rows apart


class Shown(Protocol):
    """What a figure has to know of an instrument's column."""

    @property
    def index(self) -> bool:
        """It tells rows apart: layer, head, paradigm."""

    @property
    def span(self) -> tuple[float, float] | None:
        """Where its axis begins and ends."""

    @property
    def chance(self) -> float | None:
        """What a guesser gets."""

    @property
    def unit(self) -> str:
        """Such as nats."""


def panels(instrument: str, columns: Mapping[str, Shown], most: int = PANELS) -> tuple[Panel, ...]:
    """A panel for each of an instrument's first columns, and where there are more, their last values beneath the last panel."""
    indexes = [name for name, column in columns.items() if column.index]
    values = {name: column for name, column in columns.items() if not column.index}
    every = partial(at_end, instrument, values, indexes)
    drawn = list(values.items())[:most]
    return tuple(
        Panel(
            name=f"{instrument}.{name}",
            title=name,
            needs=(instrument,),
            draw=partial(draw, instrument, name, column, indexes),
            says=partial(ends, instrument, name, column, indexes),
            table=every if len(values) > most and name == drawn[-1][0] else lambda frames: None,
            there=partial(_there, instrument, name),
            shape="map" if indexes else "small",
            command=f"read RUN --with {instrument}",
        )
        for name, column in drawn
    )


def draw(instrument: str, name: str, column: Shown, indexes: Sequence[str], frames: Frames, clock: Clock, **options: Any) -> Drawn:
    """One column over training: a line, a few lines, or a map of many things at all checkpoints."""
    values = frames[instrument].select("seed", "step", *indexes, pl.col(name).cast(pl.Float64).alias("value")).drop_nulls("value")
    if not indexes:
        return reading(values, clock.spans, column.chance, span=column.span, last=clock.last, **options)
    said = pl.concat_str([pl.format("{} {}", pl.lit(index), pl.col(index)) for index in indexes], separator=", ")
    many = values.with_columns(said.alias(OF)).sort(*indexes, "step", "seed")
    if many[OF].n_unique() <= LINES:
        return lines(many, name, column, clock, **options)
    return index_map(many, name, column, **options)


def reading(
    values: pl.DataFrame,
    spans: pl.DataFrame | None = None,
    chance: float | None = None,
    *,
    span: tuple[float, float] | None = None,
    width: Width = WIDTH,
    height: int = 150,
    last: int | None = None,
) -> alt.Chart:
    """One reading over log steps, the mean over seeds with single seeds as thin lines; the dashed line is chance.

    `values`: step, value (seed).  `span`: ends of the axis; left out, 0 to 1 if all values lie there.  `last` ends the steps.
    Raises OntogenyError for missing columns or no rows.
    """
    need(values, ("step", "value"), "the figure of a reading")
    last = last_step(values) if last is None else last
    tables = {
        "readings": rows(seeded(values).select("seed", "step", "value").sort("seed", "step")),
        "chance": [] if chance is None else [{"value": round(chance, 4), "name": "chance"}],
        "spans": span_rows(spans, last),
    }
    return filled(_reading(span or share(values), last, width, height), tables)


@cache
def _reading(span: tuple[float, float] | None, last: int, width: Width, height: int) -> alt.Chart:
    scale = alt.Scale(zero=False) if span is None else alt.Scale(domain=list(span))
    x, y = step_axis(last), alt.Y("value:Q", scale=scale, title=None, axis=alt.Axis(tickCount=3, minExtent=30))
    base, chance = table("readings"), table("chance")
    seeds = base.mark_line(strokeWidth=0.8, opacity=0.4, clip=True).encode(x=x, y=y, detail="seed:N")
    dots = base.mark_point(size=10, filled=True, opacity=0.5, clip=True).encode(x=x, y=y, tooltip=tips("seed", "step", "value"))
    mean = base.mark_line(strokeWidth=1.8, clip=True).encode(x=x, y=alt.Y("mean(value):Q", scale=scale, title=None))
    line = chance.mark_rule(strokeDash=[4, 3]).encode(y=y)
    word = chance.mark_text(align="right", dx=-4, dy=-5, fontSize=9).encode(x=alt.value("width"), y=y, text="name:N")
    return alt.layer(*shading(last), seeds, dots, mean, line, word).properties(width=width, height=height)


def share(values: pl.DataFrame) -> tuple[float, float] | None:
    """0 and 1 where all values lie between them, as the axis then ends there."""
    found = values["value"].drop_nulls().drop_nans()
    return (0.0, 1.0) if len(found) and bool(found.is_between(0, 1).all()) else None


def lines(values: pl.DataFrame, name: str, column: Shown, clock: Clock, *, width: Width = WIDTH, height: int = 200) -> alt.Chart:
    """A line for each of a few things, the mean over seeds.  `values`: of, seed, step, value."""
    need(values, (OF, "step", "value"), "the figure of a reading")
    means = values.group_by(OF, "step", maintain_order=True).agg(pl.col("value").mean())
    drawing = _lines(_unit(name, column), column.span, clock.last, width, height)
    return filled(drawing, {"readings": rows(means), "spans": span_rows(clock.spans, clock.last)})


@cache
def _lines(unit: str | None, span: tuple[float, float] | None, last: int, width: Width, height: int) -> alt.Chart:
    scale = alt.Scale(zero=False) if span is None else alt.Scale(domain=list(span))
    title = wrap(unit, height // 6) if unit else None  # pixels that a character takes
    y = alt.Y("value:Q", scale=scale, title=title, axis=alt.Axis(tickCount=4))
    dash = alt.StrokeDash(f"{OF}:N", sort=None, legend=alt.Legend(title=None, orient="top", symbolType="stroke", symbolOpacity=1))
    base, x = table("readings"), step_axis(last)
    layers = [
        *shading(last),
        base.mark_line(strokeWidth=1.6, clip=True).encode(x=x, y=y, strokeDash=dash),
        base.mark_point(size=12, filled=True, clip=True).encode(x=x, y=y, tooltip=tips(OF, "step", "value")),
    ]
    return alt.layer(*layers).properties(width=width, height=height)


def index_map(values: pl.DataFrame, name: str, column: Shown, *, width: Width = WIDTH, row: int = 11) -> alt.Chart:
    """Many things (rows) at every checkpoint (columns), mean over seeds.  `values`: of, seed, step, value."""
    need(values, (OF, "step", "value"), "the map of a reading")
    order = values[OF].unique(maintain_order=True).to_list()
    means = values.group_by(OF, "step", maintain_order=True).agg(pl.col("value").mean())
    ticks = {"labelOverlap": "greedy", "ticks": False, "domain": False}
    colour = alt.Color(
        "value:Q",
        scale=alt.Scale(range="diverging", domainMid=column.chance, interpolate="lab")
        if column.chance is not None
        else alt.Scale(range="heatmap", **({} if column.span is None else {"domain": list(column.span)})),
        legend=alt.Legend(title=_unit(name, column), orient="top", gradientLength=180, gradientThickness=8),
    )
    x = alt.X("step:O", axis=alt.Axis(title="step (checkpoints at equal distance)", labelAngle=0, format="~s", **ticks))
    y = alt.Y(f"{OF}:N", sort=None, scale=alt.Scale(domain=order), axis=alt.Axis(title=None, labelLimit=220, **ticks))
    squares = table("readings").mark_rect().encode(x=x, y=y, color=colour, tooltip=tips(OF, "step", "value"))
    return filled(squares.properties(width=width, height=row * len(order)), {"readings": rows(means)})


def ends(instrument: str, name: str, column: Shown, indexes: Sequence[str], frames: Frames, clock: Clock) -> str:
    """The value at the last checkpoint, beside chance; of many things, how they spread there."""
    last = frames[instrument].filter(pl.col("step") == pl.col("step").max())[name].drop_nulls().cast(pl.Float64)
    if last.is_empty():
        return ""
    unit = f" {column.unit}" if column.unit else ""
    if indexes:
        low, high = (float(end) for end in (last.min(), last.max()))  # type: ignore[arg-type]
        return f"At the last checkpoint from {low:.3f} to {high:.3f}{unit}."
    mean = float(last.mean())  # type: ignore[arg-type]
    return f"{mean:.3f}{unit} at the end{'' if column.chance is None else f', chance {column.chance:.3f}'}"


def at_end(instrument: str, values: Mapping[str, Shown], indexes: Sequence[str], frames: Frames) -> Tabulated | None:
    """Every column's mean at the last checkpoint."""
    last = frames[instrument].filter(pl.col("step") == pl.col("step").max())
    means: dict[str, Any] = {
        name: last[name].cast(pl.Float64).mean() for name in values if name in last.columns and known(last, name)
    }
    return Tabulated(("reading", "at the last checkpoint"), tuple((name, f"{mean:.3f}") for name, mean in means.items()))


def _there(instrument: str, name: str, frames: Frames) -> bool:
    return name in frames[instrument].columns and known(frames[instrument], name)


def _unit(name: str, column: Shown) -> str:
    return f"{name} ({column.unit})" if column.unit else name


def means_by_verdict(paradigms: pl.DataFrame, frames: Frames, heads: tuple[str, ...]) -> Tabulated | None:
    """A row a verdict: how many of these paradigms have it, and the mean of each further column over them; None without verdicts.

    `paradigms` has a row a paradigm; `heads` are those of the verdict, of the number and of each column.
    """
    if "verdicts" not in frames:
        return None
    joined = paradigms.join(frames["verdicts"].select("paradigm", "verdict"), on="paradigm").drop("paradigm")
    means = joined.group_by("verdict").agg(pl.len(), pl.exclude("verdict").mean()).sort("verdict")
    found = [(str(v), str(n), *("" if one is None else f"{one:.2f}" for one in values)) for v, n, *values in means.iter_rows()]
    return Tabulated(heads, tuple(found)) if found else None

"""Learning curves of several runs over words seen: a line a run, named where it ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.axes import WIDTH, Width, dashed, filled, need, rows, table, tips
from ontogeny.pages.theme import colours_apart, dashes_apart

NAME = 13  # pixels that a name at a line's end takes in height
BANDS = 4  # most runs whose ranges of seeds can be drawn over one another
LONGEST = 18  # characters of a name that are written
TITLES = {"bits_per_word": "bits per word (held-out text)", "accuracy": "accuracy (mean of paradigms)"}


def title(value: str) -> str:
    """What an axis of it is called."""
    order = value.removeprefix("ladder_")
    return f"r of all margins with those of {order}-grams" if order != value else TITLES.get(value, value)


def learning_curves(
    curves: pl.DataFrame, value: str, order: Sequence[str], *, width: Width = WIDTH, height: int = 300
) -> alt.Chart:
    """`value` over words seen (log scale; step 0 has a place): means over seeds, with the range of seeds if runs are few.

    `curves`: run, seed, words and the value.  `order`: the runs, which gives each its colour.

    Raises OntogenyError for missing columns or where nothing is known.
    """
    need(curves, ("run", "seed", "words", value), "the figure of learning curves")
    own = curves.drop_nulls(["words", value])
    need(own, ("run",), "the figure of learning curves")
    means = _means(own, value)
    low, high = _domain(means, value)
    height = max(height, NAME * means["run"].n_unique() + 10)
    bands = means["seeds"].max() != 1 and means["run"].n_unique() <= BANDS

    def y(field: str) -> Any:
        scale, axis = alt.Scale(domain=[low, high], nice=False), alt.Axis(tickCount=6)
        return alt.Y(f"{field}:Q", scale=scale, title=title(value), axis=axis)

    x, hue, dash = _words(means), _hue(order), _dash(order)
    base = table("curves")
    mean = alt.Tooltip("mean:Q", format=".3f", title=value.replace("_", " "))
    tooltip = [*tips("run", "words", "step"), mean, *tips("seeds")]
    seeds = base.mark_area(opacity=0.14).encode(x=x, y=y("low"), y2=alt.Y2("high:Q"), color=hue)
    layers = [
        *([dashed(0.5).encode(y=y("at"))] if value == "accuracy" else []),
        *([seeds] if bands else []),
        base.mark_line(strokeWidth=2).encode(x=x, y=y("mean"), color=hue, strokeDash=dash),
        base.mark_point(size=18, filled=True).encode(x=x, y=y("mean"), color=hue, tooltip=tooltip),
        *_names(hue, y("place")),
    ]
    drawing = alt.layer(*layers).properties(
        width=width,
        height=height,
        padding={"left": 4, "right": 8, "top": 6, "bottom": 4},
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    )
    return filled(drawing, {"curves": rows(means), "ends": rows(_ends(means, low, high, height))})


def accuracy_by_loss(curves: pl.DataFrame, order: Sequence[str], *, width: Width = WIDTH, height: int = 300) -> alt.Chart:
    """Mean accuracy against bits per word at every checkpoint, which falls to the right: a line a run, means over seeds.

    `curves`: run, seed, step, bits_per_word, accuracy.  Raises OntogenyError for missing columns or where nothing is known.
    """
    need(curves, ("run", "seed", "step", "bits_per_word", "accuracy"), "the figure of accuracy against loss")
    own = curves.drop_nulls(["bits_per_word", "accuracy"])
    need(own, ("run",), "the figure of accuracy against loss")
    means = own.group_by("run", "step", maintain_order=True).agg(pl.col("bits_per_word", "accuracy").mean()).sort("run", "step")
    loss = alt.Scale(zero=False, reverse=True)
    x = alt.X("bits_per_word:Q", scale=loss, title=f"{TITLES['bits_per_word']}, falling to the right")
    y = alt.Y("accuracy:Q", scale=alt.Scale(zero=False), title=TITLES["accuracy"], axis=alt.Axis(tickCount=6))
    hue, dash, base = _hue(order), _dash(order), table("curves")
    hue.legend = dash.legend = alt.Legend(title=None, orient="top", columns=6, labelLimit=140)  # lines end beside one another
    layers = [
        dashed(0.5).encode(y=alt.Y("at:Q", title=TITLES["accuracy"])),
        base.mark_line(strokeWidth=2).encode(x=x, y=y, color=hue, strokeDash=dash, order="step:Q"),
        base.mark_point(size=18, filled=True).encode(x=x, y=y, color=hue, tooltip=tips("run", "step", "bits_per_word", "accuracy")),
    ]
    return filled(alt.layer(*layers).properties(width=width, height=height), {"curves": rows(means)})


def _means(curves: pl.DataFrame, value: str) -> pl.DataFrame:
    """run, step, words, mean, low, high, seeds."""
    own = pl.col(value)
    found = curves.group_by("run", "step", maintain_order=True).agg(
        pl.col("words").mean(), own.mean().alias("mean"), own.min().alias("low"), own.max().alias("high"), pl.len().alias("seeds")
    )
    return found.sort("run", "words")


def _domain(means: pl.DataFrame, value: str) -> tuple[float, float]:
    """Ends of the vertical axis: all that is seen, and chance where accuracy is drawn."""
    extra = [0.5] if value == "accuracy" else []
    low, high = (float(edge) for edge in (min([means["low"].min(), *extra]), max([means["high"].max(), *extra])))  # type: ignore[type-var,list-item,arg-type]
    step = (
        1.0 if value == "bits_per_word" else 0.05 if value == "accuracy" else 10.0 ** math.floor(math.log10(max(high - low, 1e-6)))
    )
    return math.floor(low / step) * step, max(math.ceil(high / step) * step, math.floor(low / step) * step + step)


def _words(means: pl.DataFrame) -> Any:
    last, seen = float(means["words"].max()), means.filter(pl.col("words") > 0)["words"]  # type: ignore[arg-type]
    least = max(float(seen.min()) if len(seen) else 1.0, 1.0)  # type: ignore[arg-type]
    first, final = math.ceil(math.log10(least)), math.floor(math.log10(max(last, 1.0)) + 1e-9)
    ticks = [0, *(10**power for power in range(first, final + 1))]
    scale = alt.Scale(type="symlog", constant=least, domain=[0, max(last, 1.0)], nice=False)
    axis = alt.Axis(values=ticks, labelExpr="format(datum.value, '~s')", title="words seen (log scale)", grid=False)
    return alt.X("words:Q", scale=scale, axis=axis)


def _hue(order: Sequence[str]) -> Any:
    return alt.Color("run:N", scale=alt.Scale(domain=list(order), range=colours_apart(len(order))), legend=None)


def _dash(order: Sequence[str]) -> Any:
    return alt.StrokeDash("run:N", scale=alt.Scale(domain=list(order), range=dashes_apart(len(order))), legend=None)


def _names(hue: Any, y: Any) -> list[Any]:
    """Each run's name at the right edge, as near to its line's end as the other names allow."""
    base = table("ends")
    dot = base.mark_point(shape="square", size=34, filled=True, opacity=1, xOffset=8)
    text = base.mark_text(align="left", dx=15, fontSize=11)
    edge = alt.XValue("width")
    return [dot.encode(x=edge, y=y, color=hue), text.encode(x=edge, y=y, text=alt.Text("name:N"))]


def _ends(means: pl.DataFrame, low: float, high: float, height: int) -> pl.DataFrame:
    """run, name, place: heights of the names in the axis's own unit."""
    last = means.sort("words").group_by("run", maintain_order=True).last().sort("mean", "run")
    gap = NAME * (high - low) / height
    places = spaced([float(value) for value in last["mean"]], gap, low, high)
    return pl.DataFrame({"run": last["run"], "name": [_shortened(run) for run in last["run"]], "place": places})


def _shortened(name: str) -> str:
    """A name that is too long without its middle: what tells names apart stands at their ends."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}…{name[-(LONGEST // 2 - 1) :]}"


def spaced(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Ascending places moved apart to at least `gap`, as little as can be (least squares), within low and high if they all fit.

    With x_i = place_i - i gap the task is isotonic regression: neighbours that are out of order share their mean.
    """
    blocks: list[list[float]] = []
    for i, place in enumerate(places):
        blocks.append([place - i * gap])
        while len(blocks) > 1 and _mean(blocks[-2]) > _mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    top = high - (len(places) - 1) * gap
    flat = [min(max(_mean(block), low), max(top, low)) for block in blocks for _ in block]
    return [value + i * gap for i, value in enumerate(flat)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

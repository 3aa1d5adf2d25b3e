"""What figures of n-gram models of order 1 to 5 share: names, colours, lines over training, and where each is at its peak."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.axes import Width, rows, seeded, shading, step_axis, table, tips
from ontogeny.pages.panel import Frames

ORDERS = [1, 2, 3, 4, 5]
NAMES = {1: "unigrams", 2: "bigrams", 3: "trigrams", 4: "4-grams", 5: "5-grams"}
MODELS = {1: "the unigram model", 2: "the bigram model", 3: "the trigram model", 4: "the 4-gram model", 5: "the 5-gram model"}
TICKS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20]  # of the axis of nats


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


def peaks(frame: pl.DataFrame, spans: pl.DataFrame | None, value: str = "r") -> pl.DataFrame:
    """Where each order's mean over seeds is highest among the trained checkpoints: order, step and the value there."""
    start = 0.0 if spans is None else float(spans.filter(window="untrained").get_column("end").max() or 0)  # type: ignore[arg-type]
    means = frame.group_by("order", "step").agg(pl.col(value).mean()).filter(pl.col(value).is_not_nan())
    trained = means.filter(pl.col("step") >= start)
    return (trained if len(trained) else means).sort("order", value, "step").group_by("order", maintain_order=True).last()


def drawn(frame: pl.DataFrame, value: str) -> list[dict[str, Any]]:
    """Rows of a chart's table: seed, step, order and the value, as far as they are there."""
    kept = [name for name in ("seed", "step", "order", value) if name in seeded(frame).columns]
    return rows(seeded(frame).select(kept).with_columns(pl.col(value).round(4)).sort(kept[:-1]))


def _y(field: str) -> Any:
    if "kl" in field:
        axis = alt.Axis(values=TICKS, format="~g", title="distance, KL (nats a token, log scale)")
        return alt.Y(field, scale=alt.Scale(type="log", nice=False, padding=8), axis=axis)
    return alt.Y(field, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5, format=".1f", title="correlation of margins"))


def orders_key(*names: str, network: bool = False) -> Callable[[Frames], list[tuple[str, str]]]:
    """The legend of the orders that frames of these names have, and of the network."""

    def key(frames: Frames) -> list[tuple[str, str]]:
        there = {int(order) for name in names if name in frames for order in frames[name]["order"].unique()} & set(NAMES)
        return [*([("ink", "the network")] if network else []), *((f"order-{order}", NAMES[order]) for order in sorted(there))]

    return key

"""Figures of the training itself: loss and learning rate, with the windows that verdicts look at."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
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

POINTS = 240  # drawn for each seed, whatever the number of steps


def loss_curve(
    losses: pl.DataFrame | None,
    dev: pl.DataFrame | None = None,
    entropy: float | None = None,
    spans: pl.DataFrame | None = None,
    *,
    width: Width = WIDTH,
    height: int = 200,
) -> alt.Chart:
    """Training loss and dev loss (dots) in nats per token; the dashed line is the text's unigram entropy.

    `losses` and `dev`: step, loss (seed).  Where dev loss falls below the line, the model stops counting as untrained.
    Training loss is averaged over equal stretches of log steps.  Raises OntogenyError where neither has rows.
    """
    frame = _loss_frame(losses, dev)
    need(frame, ("step", "loss"), "the figure of losses")
    last = last_step(losses, dev)
    y = alt.Y("loss:Q", scale=alt.Scale(zero=False), title="loss (nats per token)", axis=alt.Axis(tickCount=5, minExtent=46))
    dash = alt.StrokeDash(
        "text:N",
        title="loss on",
        scale=alt.Scale(domain=["training", "dev"]),
        legend=alt.Legend(orient="top", symbolType="stroke", symbolOpacity=1),
    )
    base = table("losses")
    lines = base.mark_line(strokeWidth=1.2).encode(x=step_axis(last), y=y, detail="seed:N", strokeDash=dash)
    dots = base.transform_filter("datum.text == 'dev'").mark_point(size=16, filled=True)
    dots = dots.encode(x=step_axis(last), y=y, tooltip=tips("seed", "step", "loss"))
    layers = [*shading(last), *_warmup(spans, last), lines, dots, *_entropy(entropy)]
    tables = {"losses": rows(frame), "spans": span_rows(spans, last)}
    return filled(alt.layer(*layers).properties(width=width, height=height), tables)


def _loss_frame(losses: pl.DataFrame | None, dev: pl.DataFrame | None) -> pl.DataFrame:
    """Both losses one below the other: seed, step, loss, text (training or dev)."""
    columns = {"seed": pl.Int64, "step": pl.Float64, "loss": pl.Float64}
    frames = [pl.DataFrame(schema={**columns, "text": pl.String})]
    for text, given in (("training", losses), ("dev", dev)):
        if given is not None and len(given):
            part = seeded(given).select(pl.col(name).cast(kind) for name, kind in columns.items())
            part = thinned(part, "loss") if text == "training" else part
            frames.append(part.with_columns(text=pl.lit(text)).select(frames[0].columns))
    return pl.concat(frames).sort("text", "seed", "step")


def rate_curve(losses: pl.DataFrame, spans: pl.DataFrame | None = None, *, width: Width = WIDTH, height: int = 80) -> alt.Chart:
    """The learning rate over log steps.  `losses`: step, learning_rate (seed).  Raises OntogenyError without them."""
    need(losses, ("step", "learning_rate"), "the figure of the learning rate")
    frame = thinned(seeded(losses).select("seed", "step", "learning_rate"), "learning_rate")
    last = last_step(losses)
    y = alt.Y("learning_rate:Q", title="learning rate", axis=alt.Axis(format="~g", tickCount=3, minExtent=46))
    line = table("rates").mark_line(strokeWidth=1.4).encode(x=step_axis(last), y=y, detail="seed:N")
    drawing = alt.layer(*shading(last), *_warmup(spans, last), line).properties(width=width, height=height)
    return filled(drawing, {"rates": rows(frame), "spans": span_rows(spans, last)})


KINDS = {
    "update": "size of an update (log10 of its share of the weights)",
    "agreement": "agreement of update and gradient (cosine)",
    "saturated": "coordinates at their largest step (share)",
}


def health(
    found: pl.DataFrame, spans: pl.DataFrame | None = None, *, width: Width = 300, height: int = 110
) -> dict[str, alt.Chart]:
    """How the optimiser did: of all tensors together a line a seed, and between the dotted ones half of the tensors."""
    need(found, ("step", "tensor", *KINDS), "the figure of the optimiser's health")
    last = last_step(found)
    whole, parts = found.filter(tensor=""), found.filter(pl.col("tensor") != "")
    drawn = {}
    for name, title in KINDS.items():
        x, y = step_axis(last), alt.Y("value:Q", scale=alt.Scale(zero=False), title=None, axis=alt.Axis(tickCount=4, minExtent=36))
        ends = [parts.group_by("step").agg(value=pl.col(name).quantile(q)).with_columns(end=pl.lit(q)) for q in (0.25, 0.75)]
        lines = table("health").mark_line(strokeWidth=1.2).encode(x=x, y=y, detail="seed:N")
        between = table("ends").mark_line(strokeWidth=0.8, strokeDash=[2, 2]).encode(x=x, y=y, detail="end:N")
        drawing = alt.layer(*shading(last), between, lines).properties(width=width, height=height)
        own = seeded(whole).select("seed", "step", value=name).sort("seed", "step")
        tables = {"health": rows(own), "ends": rows(pl.concat(ends).sort("end", "step")), "spans": span_rows(spans, last)}
        drawn[title] = filled(drawing, tables)
    return drawn


def health_says(found: pl.DataFrame) -> str:
    """Spikes and clipping, in words."""
    whole = seeded(found.filter(tensor=""))
    spiked = whole.filter(pl.col("spikes") > 0)
    where = f", the first before step {spiked['step'].to_numpy().min():,}" if len(spiked) else ""
    clipped = float(whole["clipped"].to_numpy().mean())
    return (
        "Over log steps, all weights together (a line a seed) and the middle half of the tensors (dotted). "
        f"The gradient was clipped in {clipped:.0%} of the steps; the loss leapt by six median absolute deviations "
        f"over the hundred steps before in {int(whole['spikes'].sum() or 0)}{where}."
    )


def thinned(frame: pl.DataFrame, value: str, points: int = POINTS) -> pl.DataFrame:
    """Means over at most `points` equal stretches of log(1 + step), by seed; frame of seed, step and value."""
    width = np.log1p(max(last_step(frame), 1)) / points
    stretch = ((pl.col("step").cast(pl.Float64) + 1).log() / width).floor()
    means = frame.group_by("seed", stretch.alias("stretch")).agg(pl.col("step", value).mean())
    return means.select("seed", "step", value).sort("seed", "step")


def _entropy(entropy: float | None) -> list[Any]:
    if entropy is None:
        return []
    base = alt.Chart(alt.InlineData(values=[{"loss": round(entropy, 4), "name": "unigram entropy"}]))
    text = base.mark_text(align="right", dx=-4, dy=-6, fontSize=9).encode(x=alt.value("width"), y="loss:Q", text="name:N")
    return [base.mark_rule(strokeDash=[4, 3]).encode(y="loss:Q"), text]


def _warmup(spans: pl.DataFrame | None, last: int) -> list[Any]:
    if spans is None or spans.filter(window="warm-up").is_empty():
        return []
    end = spans.filter(window="warm-up")["end"][0]
    base = alt.Chart(alt.InlineData(values=[{"end": end, "window": "warm-up", "name": "end of warm-up"}]))
    x = step_axis(last, "end:Q")
    text = base.mark_text(align="right", baseline="bottom", dx=-3, dy=-3, fontSize=9).encode(
        x=x, y=alt.value("height"), text="name:N"
    )
    return [base.mark_rule(strokeDash=[2, 2]).encode(x=x, tooltip=tips("window", "end")), text]

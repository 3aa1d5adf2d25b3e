"""Figures of a study's effects: dose and response, and the controls."""

from __future__ import annotations

from functools import cache
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.axes import WIDTH, Tables, Width, filled, need, rows, table
from ontogeny.studies.arm_styles import OTHERS, ArmStyle, ArmStyles, colour

# --- dose and response --------------------------------------------------------------------------------------------


def achieved(evidence: pl.DataFrame) -> pl.DataFrame:
    """The bigram margin that each arm achieved: arm, paradigm, bigram margin.

    Over the periods in which an edit of its text holds, each weighed by its length; over all of training where none does.
    """
    own = evidence.with_columns(pl.col("edited").any().over("arm", "paradigm").alias("any"))
    held = own.filter(pl.col("edited") | ~pl.col("any")).with_columns(length=pl.col("until") - pl.col("start"))
    mean = (pl.col("bigram_margin") * pl.col("length")).sum() / pl.col("length").sum()
    return held.group_by("arm", "paradigm").agg(mean.alias("bigram margin")).sort("arm", "paradigm")


def response(
    outcomes: pl.DataFrame, at: pl.DataFrame, arm_styles: ArmStyles, measure: str, title: str, **options: Any
) -> alt.Chart:
    """A measure against the evidence achieved: see `response_parts`."""
    return filled(*response_parts(outcomes, at, arm_styles, measure, title, **options))


def response_parts(
    outcomes: pl.DataFrame,
    at: pl.DataFrame,
    arm_styles: ArmStyles,
    measure: str,
    title: str,
    *,
    width: Width = WIDTH,
    height: int = 260,
) -> tuple[alt.Chart, Tables]:
    """Drawing and tables: each seed a dot, the arms' means joined by a line for each panel of `arm_styles`.

    `outcomes`: arm, seed and the measure, one paradigm.  `at`: arm, x; `title`: what x is.  The reference is a black diamond and
    lies on every line.  Arms without a dose are short strokes to the right of their place.  Raises OntogenyError for missing
    columns or no rows.
    """
    need(outcomes, ("arm", "seed", measure), "the figure of dose and response")
    own = outcomes.join(at.select("arm", "x"), on="arm").drop_nulls(["x", measure])
    need(own, ("x",), "the figure of dose and response")
    places = _lines(arm_styles)
    panel_of = {style.arm: style.panel for style in arm_styles.arms if style.panel in places}
    line = pl.col("arm").replace_strict(panel_of, default=None, return_dtype=pl.String)
    hue = line.replace_strict(places, default=None, return_dtype=pl.Float64)
    own = own.with_columns(line=line, colour=hue).select("arm", "seed", "x", measure, "line", "colour").sort("arm", "seed")
    parts = {
        "dosed": own.filter(pl.col("line").is_not_null()),
        "reference": own.filter(arm=arm_styles.reference),
        "others": own.filter(pl.col("line").is_null() & (pl.col("arm") != arm_styles.reference)),
    }
    parts["means"] = _joined(parts["dosed"], parts["reference"], measure)
    return _response_drawing(arm_styles, measure, title, width, height), {name: rows(part) for name, part in parts.items()}


def _lines(arm_styles: ArmStyles) -> dict[str, float]:
    """The place on the colour scale of each panel of doses, which is a line."""
    panels = [panel for panel in arm_styles.panels if panel != OTHERS] if arm_styles.dose else []
    return {panel: round(i / max(len(panels) - 1, 1), 4) for i, panel in enumerate(panels)}


def _joined(dosed: pl.DataFrame, reference: pl.DataFrame, measure: str) -> pl.DataFrame:
    """The means that a line joins: those of its arms, and the reference's."""
    lines = dosed.select("line", "colour").unique()
    base = reference.drop("line", "colour").join(lines, how="cross")
    every = pl.concat([dosed, base.select(dosed.columns)])
    return every.group_by("line", "colour", "arm", "x").agg(pl.col(measure).mean()).sort("line", "x", "arm")


@cache
def _response_drawing(arm_styles: ArmStyles, measure: str, x_title: str, width: Width, height: int) -> alt.Chart:
    accuracy = measure.endswith("accuracy")
    x = alt.X("x:Q", title=x_title, scale=alt.Scale(zero=False, padding=14), axis=alt.Axis(tickCount=6, format="~g", grid=False))
    y_axis = alt.Axis(format=".2~f", values=[0, 0.25, 0.5, 0.75, 1]) if accuracy else alt.Axis(tickCount=6, format="~g")
    scale = alt.Scale(domain=[0, 1]) if accuracy else alt.Scale(zero=False, padding=10)
    title = measure.replace("_", " ") + ("" if accuracy else " (nats)")
    y = alt.Y(f"{measure}:Q", title=title, scale=scale, axis=y_axis)
    tooltip = [
        alt.Tooltip("arm:N"),
        alt.Tooltip("seed:N"),
        alt.Tooltip("x:Q", format=".3f", title=x_title),
        alt.Tooltip(f"{measure}:Q", format=".3f"),
    ]
    chance = alt.Chart(alt.InlineData(values=[{"chance": 0.5 if accuracy else 0}])).mark_rule(strokeDash=[4, 3], strokeWidth=0.8)
    layers = [chance.encode(y=alt.Y("chance:Q", scale=scale, axis=y_axis, title=title))]
    if lines := _lines(arm_styles):
        shown = [ArmStyle("", panel or "dose", panel, at) for panel, at in lines.items()]
        hue = colour(shown, "ramp", arm_styles.given or None)
        line = table("means").mark_line(strokeWidth=1.8).encode(x=x, y=y, color=hue, detail="line:N", order="x:Q")
        dots = table("dosed").mark_point(size=26, filled=True, opacity=0.6).encode(x=x, y=y, color=hue, tooltip=tooltip)
        layers += [line, dots]
    layers.append(table("others").mark_point(size=70, shape="stroke", opacity=0.8, xOffset=9).encode(x=x, y=y, tooltip=tooltip))
    layers.append(
        table("reference").mark_point(size=44, filled=True, shape="diamond", opacity=0.8).encode(x=x, y=y, tooltip=tooltip)
    )
    return alt.layer(*layers).properties(width=width, height=height)


# --- controls -----------------------------------------------------------------------------------------------------


def moved(outcomes: pl.DataFrame, reference: str, measure: str = "late_accuracy") -> pl.DataFrame:
    """How far each paradigm is from the reference: arm, paradigm, change, seeds; the mean over the seeds that both arms have.

    `outcomes`: arm, seed, paradigm and the measure, one row a seed.
    """
    base = outcomes.filter(arm=reference).select("seed", "paradigm", pl.col(measure).alias("base"))
    paired = outcomes.filter(pl.col("arm") != reference).join(base, on=["seed", "paradigm"]).drop_nulls([measure, "base"])
    change = (pl.col(measure) - pl.col("base")).mean()
    return paired.group_by("arm", "paradigm").agg(change.alias("change"), pl.len().alias("seeds")).sort("arm", "paradigm")


def controls(changes: pl.DataFrame, order: list[str], within: float | None = None, *, width: Width = WIDTH) -> alt.Chart:
    """How far each control paradigm (a dot) is from the reference at the end, an arm a row; shaded: within what was predicted.

    `changes`: see `moved`.  Raises OntogenyError for missing columns or no rows.
    """
    need(changes, ("arm", "paradigm", "change"), "the figure of controls")
    shown = [arm for arm in order if arm in set(changes["arm"])]
    base = table("changes")
    x = alt.X(
        "change:Q", title="change of late accuracy from the reference", axis=alt.Axis(tickCount=7, format="+.2~f", grid=False)
    )
    y = alt.Y("arm:N", sort=None, scale=alt.Scale(domain=shown), title=None, axis=alt.Axis(labelLimit=170, grid=True))
    tooltip = ["paradigm:N", "arm:N", alt.Tooltip("change:Q", format="+.3f"), alt.Tooltip("seeds:Q", format="d")]
    zero = alt.Chart(alt.InlineData(values=[{"at": 0}])).mark_rule(strokeDash=[4, 3], strokeWidth=0.8).encode(x="at:Q")
    layers = [zero, base.mark_point(size=34, filled=True, opacity=0.55).encode(x=x, y=y, tooltip=tooltip)]
    if within is not None:
        zone = alt.Chart(alt.InlineData(values=[{"from": -within, "to": within}])).mark_rect(opacity=0.12)
        layers.insert(0, zone.encode(x="from:Q", x2="to:Q"))
    drawing = alt.layer(*layers).properties(width=width, height=22 * len(shown))
    return filled(drawing, {"changes": rows(changes)})

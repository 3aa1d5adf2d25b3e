"""Figures of a study's arms: their trajectories over one another, and every seed's end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.axes import WIDTH, Tables, Width, filled, last_step, need, rows, shading, span_rows, step_axis, table
from ontogeny.pages.theme import VERDICT_COLOURS
from ontogeny.studies.arm_styles import OTHERS, ArmStyle, ArmStyles, colour

UNITS = {"accuracy": "accuracy", "margin": "mean margin (nats)"}


def trajectories(curves: pl.DataFrame, arm_styles: ArmStyles, panel: str, *options: Any, **more: Any) -> alt.Chart:
    """One paradigm's accuracy or mean margin over training in the arms of one panel: see `trajectory_parts`."""
    return filled(*trajectory_parts(curves, arm_styles, panel, *options, **more))


def trajectory_parts(
    curves: pl.DataFrame,
    arm_styles: ArmStyles,
    panel: str,
    spans: pl.DataFrame | None = None,
    measure: str = "accuracy",
    *,
    width: Width = WIDTH,
    height: int = 200,
    domain: tuple[float, float] | None = None,
) -> tuple[alt.Chart, Tables]:
    """Drawing and tables of accuracy or mean margin over training: means over seeds, and from the lowest seed to the highest.

    `curves`: arm, seed, step and the measure.  The reference is black (white on a dark page).  `domain`: the ends of the margin's
    axis, so that panels can share it.  Raises OntogenyError for missing columns or no rows.
    """
    need(curves, ("arm", "seed", "step", measure), "the figure of trajectories")
    last, known = last_step(curves), set(curves["arm"])
    there = tuple(style for style in arm_styles.of(panel) if style.arm in known)
    reference = [ArmStyle(arm_styles.reference, arm_styles.reference, panel, 0)] if arm_styles.reference in known else []
    scheme = arm_styles.ranges[arm_styles.panels.index(panel)] if panel in arm_styles.panels else "ramp"
    tables = {name: rows(_bands(curves, shown, measure)) for name, shown in (("arms", there), ("reference", reference))}
    drawing = _drawing(last, there, scheme, _title(arm_styles, panel), measure, width, height, domain)
    return drawing, {**tables, "spans": span_rows(spans, last)}


def _title(arm_styles: ArmStyles, panel: str) -> str:
    """Of the legend."""
    return arm_styles.dose if arm_styles.dose and panel != OTHERS else "arm"


def _bands(curves: pl.DataFrame, shown: Sequence[ArmStyle], measure: str) -> pl.DataFrame:
    """arm, colour, step, mean, low, high, seeds: over the seeds of each arm."""
    places = {style.arm: round(style.colour, 4) for style in shown}
    own = curves.filter(pl.col("arm").is_in(list(places)))
    value = pl.col(measure)
    found = own.group_by("arm", "step").agg(
        value.mean().alias("mean"), value.min().alias("low"), value.max().alias("high"), pl.col("seed").n_unique().alias("seeds")
    )
    at = pl.col("arm").replace_strict(places, default=None, return_dtype=pl.Float64)
    return found.with_columns(colour=at).sort("colour", "arm", "step")


@cache
def _drawing(
    last: int,
    shown: tuple[ArmStyle, ...],
    scheme: str,
    title: str | None,
    measure: str,
    width: Width,
    height: int,
    domain: tuple[float, float] | None,
) -> alt.Chart:
    x, base, ink = step_axis(last), table("arms"), table("reference")
    if measure == "accuracy":
        axis = alt.Axis(format=".2~f", values=[0, 0.25, 0.5, 0.75, 1], grid=True)
        scale, chance = alt.Scale(domain=[0, 1]), 0.5
    else:
        axis, scale, chance = (
            alt.Axis(tickCount=5, format="~g"),
            alt.Scale(zero=True, nice=True, **({"domain": list(domain)} if domain else {})),
            0.0,
        )

    def y(name: str) -> Any:
        return alt.Y(f"{name}:Q", scale=scale, axis=axis, title=UNITS[measure])

    tooltip = [
        alt.Tooltip("arm:N"),
        alt.Tooltip("step:Q", format=",d"),
        *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("mean", "low", "high")),
        alt.Tooltip("seeds:Q", format="d"),
    ]
    zero = alt.Chart(alt.InlineData(values=[{"chance": chance}])).mark_rule(strokeDash=[4, 3], strokeWidth=0.8)
    layers = [*shading(last), zero.encode(y=y("chance"))]
    layers += [_band(ink, x, y, 0.12), ink.mark_line(strokeWidth=2.4).encode(x=x, y=y("mean"))]
    if shown:
        hue = colour(shown, scheme, title)
        layers += [
            _band(base, x, y, 0.13, hue),
            base.mark_line(strokeWidth=1.8).encode(x=x, y=y("mean"), color=hue, detail="arm:N"),
        ]
        points = base.mark_point(size=16, filled=True, opacity=0.9)
        layers += [points.encode(x=x, y=y("mean"), color=hue, tooltip=tooltip)]
    layers += [ink.mark_point(size=18, filled=True).encode(x=x, y=y("mean"), tooltip=tooltip)]
    return alt.layer(*layers).properties(width=width, height=height)


def _band(base: Any, x: Any, y: Any, opacity: float, hue: Any = alt.Undefined) -> Any:
    return base.mark_area(opacity=opacity).encode(x=x, y=y("low"), y2=alt.Y2("high:Q"), color=hue, detail="arm:N")


def seeds(outcomes: pl.DataFrame, verdicts: pl.DataFrame, order: list[str], *options: Any, **more: Any) -> alt.Chart:
    """Every seed of every arm, one paradigm: see `seed_parts`."""
    return filled(*seed_parts(outcomes, verdicts, order, *options, **more))


def seed_parts(
    outcomes: pl.DataFrame, verdicts: pl.DataFrame, order: list[str], measure: str = "late_accuracy", *, width: Width = WIDTH
) -> tuple[alt.Chart, Tables]:
    """Drawing and tables of every seed of every arm: a dot in the colour of its own verdict, hollow where it was not judged.

    `outcomes`: arm, seed and the measure, one paradigm (see `by_seed`).  `verdicts`: arm, seed, verdict.  `order`: the arms from
    top to bottom.  A tick is an arm's mean.  Raises OntogenyError for missing columns or no rows.
    """
    need(outcomes, ("arm", "seed", measure), "the figure of seeds")
    own = outcomes.join(verdicts.select("arm", "seed", "verdict").drop_nulls("seed"), on=["arm", "seed"], how="left")
    there, known = set(own["arm"]), set(own["verdict"].drop_nulls())
    arms, present = tuple(arm for arm in order if arm in there), tuple(name for name in VERDICT_COLOURS if name in known)
    return _seed_drawing(arms, present, measure, width), {
        "seeds": rows(own.select("arm", "seed", measure, "verdict").sort("arm", "seed"))
    }


@cache
def _seed_drawing(arms: tuple[str, ...], present: tuple[str, ...], measure: str, width: Width) -> alt.Chart:
    base, accuracy = table("seeds"), measure.endswith("accuracy")
    y = alt.Y("arm:N", sort=None, scale=alt.Scale(domain=list(arms)), title=None, axis=alt.Axis(labelLimit=150, grid=True))
    axis = alt.Axis(format=".2~f", values=[0, 0.25, 0.5, 0.75, 1]) if accuracy else alt.Axis(tickCount=5)
    scale = alt.Scale(domain=[0, 1]) if accuracy else alt.Scale(zero=False)
    title = measure.replace("_", " ") + ("" if accuracy else " (nats)")

    def x(field: str) -> Any:
        return alt.X(f"{field}:Q", scale=scale, axis=axis, title=title)

    legend = alt.Legend(title=None, orient="top", columns=3, values=list(present), symbolOpacity=1)
    hue = alt.Color("verdict:N", scale=alt.Scale(domain=list(VERDICT_COLOURS), range="category"), legend=legend)
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("seed:N"), alt.Tooltip(f"{measure}:Q", format=".3f"), alt.Tooltip("verdict:N")]
    chance = alt.Chart(alt.InlineData(values=[{"chance": 0.5 if accuracy else 0.0}])).mark_rule(strokeDash=[4, 3], strokeWidth=0.8)
    unjudged = base.transform_filter("datum.verdict == null").mark_point(size=36, filled=False)
    judged = base.transform_filter("datum.verdict != null").mark_point(size=42, filled=True, opacity=0.75)
    layers = [
        chance.encode(x=x("chance")),
        base.mark_tick(thickness=2, size=15).encode(x=x(f"mean({measure})"), y=y),
        unjudged.encode(x=x(measure), y=y, tooltip=tooltip),
        judged.encode(x=x(measure), y=y, color=hue, tooltip=tooltip),
    ]
    return alt.layer(*layers).properties(width=width, height=22 * len(arms))


def by_seed(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Means over the pairs of a paradigm: arm, seed, paradigm and the four measures."""
    measures = ("early_margin", "early_accuracy", "late_margin", "late_accuracy")
    return outcomes.group_by("arm", "seed", "paradigm").agg(pl.col(*measures).mean()).sort("paradigm", "arm", "seed")

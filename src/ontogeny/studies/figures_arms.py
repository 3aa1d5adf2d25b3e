"""Figures of a study's arms: their trajectories over one another, every seed's end, dose and response, and the controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.axes import (
    WIDTH,
    Width,
    dashed,
    filled,
    last_step,
    need,
    rows,
    shading,
    share_axis,
    span_rows,
    step_axis,
    table,
    tips,
    verdict_colour,
)
from ontogeny.studies.arm_styles import OTHERS, ArmStyle, ArmStyles, looks
from ontogeny.studies.measures import OF_PAIRS


def scale_of(measure: str, **margins: Any) -> dict[str, Any]:
    """Scale, axis and title of a measure: accuracies from 0 to 1, margins in nats on a scale of `margins`."""
    title = measure.replace("_", " ")
    if measure.endswith("accuracy"):
        return {"scale": alt.Scale(domain=[0, 1]), "axis": share_axis(), "title": title}
    return {"scale": alt.Scale(**margins), "axis": alt.Axis(tickCount=5, format="~r"), "title": f"{title} (nats)"}


def indifferent(measure: str) -> Any:
    """A dashed line where neither sentence is preferred."""
    return dashed(0.5 if measure.endswith("accuracy") else 0.0)


# --- over training ------------------------------------------------------------------------------------------------


def trajectories(
    curves: pl.DataFrame,
    arm_styles: ArmStyles,
    panel: str,
    spans: pl.DataFrame | None = None,
    measure: str = "accuracy",
    *,
    width: Width = WIDTH,
    height: int = 200,
    domain: tuple[float, float] | None = None,
) -> alt.Chart:
    """One paradigm's accuracy or mean margin over training in the arms of one panel, from the lowest seed to the highest.

    `curves`: arm, seed, step and the measure.  The reference is black (white on a dark page).  `domain`: the ends of the margin's
    axis, so that panels can share it.  Raises OntogenyError for missing columns or no rows.
    """
    need(curves, ("arm", "seed", "step", measure), "the figure of trajectories")
    last, known = last_step(curves), set(curves["arm"])
    there = [style for style in arm_styles.of(panel) if style.arm in known]
    reference = [ArmStyle(arm_styles.reference, arm_styles.reference, panel, 0)] if arm_styles.reference in known else []
    along = scale_of(measure, zero=True, nice=True, **({"domain": list(domain)} if domain else {}))
    x, title = step_axis(last), {"title": "mean margin (nats)"} if measure == "margin" else {}

    def y(name: str) -> Any:
        return alt.Y(f"{name}:Q", **along | title)

    *ink, ink_dots = _band(table("reference"), x, y, 2.4, {"size": 18})
    layers = [*shading(last), indifferent(measure).encode(y=y("at")), *ink]
    if there:
        scheme = arm_styles.ranges[arm_styles.panels.index(panel)]
        look = looks(there, scheme, arm_styles.dose if arm_styles.dose and panel != OTHERS else "arm")
        layers += _band(table("arms"), x, y, 1.8, {"size": 16, "opacity": 0.9}, look)
    tables = {name: rows(_over_seeds(curves, shown, measure)) for name, shown in (("arms", there), ("reference", reference))}
    drawing = alt.layer(*layers, ink_dots).properties(width=width, height=height)
    return filled(drawing, {**tables, "spans": span_rows(spans, last)})


def _over_seeds(curves: pl.DataFrame, shown: Sequence[ArmStyle], measure: str) -> pl.DataFrame:
    """arm, colour, step, mean, low, high, seeds: over the seeds of each arm."""
    places = {style.arm: round(style.colour, 4) for style in shown}
    value = pl.col(measure)
    found = curves.filter(pl.col("arm").is_in(list(places))).group_by("arm", "step")
    means = found.agg(mean=value.mean(), low=value.min(), high=value.max(), seeds=pl.col("seed").n_unique())
    at = pl.col("arm").replace_strict(places, default=None, return_dtype=pl.Float64)
    return means.with_columns(colour=at).sort("colour", "arm", "step")


def _band(
    base: Any, x: Any, y: Callable[[str], Any], thick: float, dots: dict[str, Any], look: dict[str, Any] | None = None
) -> list[Any]:
    """What lies between the lowest and the highest seed, the line of the mean, and its dots."""
    told, line = tips("arm", "step", "mean", "low", "high", "seeds"), look or {}
    hue = {name: part for name, part in line.items() if name == "color"}
    return [
        base.mark_area(opacity=0.13).encode(x=x, y=y("low"), y2=alt.Y2("high:Q"), detail="arm:N", **hue),
        base.mark_line(strokeWidth=thick).encode(x=x, y=y("mean"), detail="arm:N", **line),
        base.mark_point(filled=True, **dots).encode(x=x, y=y("mean"), tooltip=told, **hue),
    ]


# --- of every seed ------------------------------------------------------------------------------------------------


def arm_rows(arms: Sequence[str]) -> Any:
    """An arm a row, from top to bottom."""
    axis = alt.Axis(labelLimit=170, grid=True)
    return alt.Y("arm:N", sort=None, scale=alt.Scale(domain=list(arms)), title=None, axis=axis)


def seeds(
    outcomes: pl.DataFrame, verdicts: pl.DataFrame, order: list[str], measure: str = "late_accuracy", *, width: Width = WIDTH
) -> alt.Chart:
    """Every seed of every arm, one paradigm: a dot in the colour of its own verdict, hollow where it was not judged.

    `outcomes`: arm, seed and the measure (see `by_seed`).  `verdicts`: arm, seed, verdict.  `order`: the arms from top to
    bottom.  A tick is an arm's mean.  Raises OntogenyError for missing columns or no rows.
    """
    need(outcomes, ("arm", "seed", measure), "the figure of seeds")
    own = outcomes.join(verdicts.select("arm", "seed", "verdict").drop_nulls("seed"), on=["arm", "seed"], how="left")
    arms, along = [arm for arm in order if arm in set(own["arm"])], scale_of(measure, zero=False)
    base, y, told = table("seeds"), arm_rows(arms), tips("arm", "seed", measure, "verdict", **{measure: ".3f"})

    def x(field: str) -> Any:
        return alt.X(f"{field}:Q", **along)

    unjudged = base.transform_filter("datum.verdict == null").mark_point(size=36, filled=False)
    judged = base.transform_filter("datum.verdict != null").mark_point(size=42, filled=True, opacity=0.75)
    layers = [
        indifferent(measure).encode(x=x("at")),
        base.mark_tick(thickness=2, size=15).encode(x=x(f"mean({measure})"), y=y),
        unjudged.encode(x=x(measure), y=y, tooltip=told),
        judged.encode(x=x(measure), y=y, color=verdict_colour(own["verdict"].drop_nulls(), columns=2), tooltip=told),
    ]
    drawing = alt.layer(*layers).properties(width=width, height=22 * len(arms))
    return filled(drawing, {"seeds": rows(own.select("arm", "seed", measure, "verdict").sort("arm", "seed"))})


def by_seed(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Means over the pairs of a paradigm: arm, seed, paradigm and the four measures."""
    return outcomes.group_by("arm", "seed", "paradigm").agg(pl.col(*OF_PAIRS).mean()).sort("paradigm", "arm", "seed")


# --- dose and response --------------------------------------------------------------------------------------------


def response(
    outcomes: pl.DataFrame,
    at: pl.DataFrame,
    arm_styles: ArmStyles,
    measure: str,
    title: str,
    *,
    width: Width = WIDTH,
    height: int = 260,
) -> alt.Chart:
    """A measure against the evidence achieved: each seed a dot, the arms' means joined by a line for each panel of `arm_styles`.

    `outcomes`: arm, seed and the measure, one paradigm.  `at`: arm, x; `title`: what x is.  The reference is a black diamond and
    lies on every line.  Arms without a dose are short strokes to the right of their place.  Raises OntogenyError for missing
    columns or no rows.
    """
    need(outcomes, ("arm", "seed", measure), "the figure of dose and response")
    own = outcomes.join(at.select("arm", "x"), on="arm").drop_nulls(["x", measure])
    need(own, ("x",), "the figure of dose and response")
    panels = [panel for panel in arm_styles.panels if panel != OTHERS] if arm_styles.dose else []  # of doses: each is a line
    places = {panel: round(i / max(len(panels) - 1, 1), 4) for i, panel in enumerate(panels)}
    tables = _dots(own.select("arm", "seed", "x", measure), arm_styles, places, measure)
    x = alt.X("x:Q", title=title, scale=alt.Scale(zero=False, padding=14), axis=alt.Axis(tickCount=6, format="~r", grid=False))
    told = [*tips("arm", "seed"), alt.Tooltip("x:Q", format=".3f", title=title), *tips(measure, **{measure: ".3f"})]
    along = scale_of(measure, zero=False, padding=10)
    y = alt.Y(f"{measure}:Q", **along)
    layers = [indifferent(measure).encode(y=alt.Y("at:Q", **along))]
    if places:
        shown = [ArmStyle("", panel or "dose", panel, place) for panel, place in places.items()]
        look = looks(shown, "ramp", arm_styles.given or None)
        layers.append(table("means").mark_line(strokeWidth=1.8).encode(x=x, y=y, detail="line:N", order="x:Q", **look))
        layers.append(table("dosed").mark_point(size=26, filled=True, opacity=0.6).encode(x=x, y=y, tooltip=told, **look))
    strokes = table("others").mark_point(size=70, shape="stroke", opacity=0.8, xOffset=9)
    diamonds = table("reference").mark_point(size=44, filled=True, shape="diamond", opacity=0.8)
    marks = {"others": strokes, "reference": diamonds}
    layers += [
        one.encode(x=x, y=y, tooltip=told) for name, one in marks.items() if not tables[name].is_empty()
    ]  # Vega warns of none
    return filled(alt.layer(*layers).properties(width=width, height=height), {name: rows(part) for name, part in tables.items()})


def _dots(own: pl.DataFrame, arm_styles: ArmStyles, places: dict[str, float], measure: str) -> dict[str, pl.DataFrame]:
    """The seeds of dosed arms, of the reference and of others, and the means that a line joins: of its arms and the reference."""
    panel_of = {style.arm: style.panel for style in arm_styles.arms if style.panel in places}
    line = pl.col("arm").replace_strict(panel_of, default=None, return_dtype=pl.String)
    hue = line.replace_strict(places, default=None, return_dtype=pl.Float64)
    own = own.with_columns(line=line, colour=hue).sort("arm", "seed")
    dosed, reference = own.drop_nulls("line"), own.filter(arm=arm_styles.reference)
    others = own.filter(pl.col("line").is_null() & (pl.col("arm") != arm_styles.reference))
    base = reference.drop("line", "colour").join(dosed.select("line", "colour").unique(), how="cross")
    joined = pl.concat([dosed, base.select(dosed.columns)]).group_by("line", "colour", "arm", "x").agg(pl.col(measure).mean())
    return {"dosed": dosed, "reference": reference, "others": others, "means": joined.sort("line", "x", "arm")}


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
    axis = alt.Axis(tickCount=7, format="+.2~f", grid=False)
    x = alt.X("change:Q", title="change of late accuracy from the reference", axis=axis)
    told = tips("paradigm", "arm", "change", "seeds")
    dots = table("changes").mark_point(size=34, filled=True, opacity=0.55).encode(x=x, y=arm_rows(shown), tooltip=told)
    zone = [] if within is None else [alt.Chart(alt.InlineData(values=[{"from": -within, "to": within}])).mark_rect(opacity=0.12)]
    layers = [*(one.encode(x="from:Q", x2="to:Q") for one in zone), dashed(0).encode(x="at:Q"), dots]
    return filled(alt.layer(*layers).properties(width=width, height=22 * len(shown)), {"changes": rows(changes)})

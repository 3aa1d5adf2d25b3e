"""The map of accuracy: paradigms x checkpoints, grouped by phenomenon, with each paradigm's verdict beside its row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.axes import Width, filled, known, need, rows, table, tips
from ontogeny.pages.theme import VERDICT_COLOURS

HEADING = "§ "  # begins the map's rows that name a phenomenon
NOT_FIRM = {"in the mean only": " · mean", "seeds differ": " · differ"}  # beside a verdict that seeds do not bear out
WINDOWS = "§"  # the map's first row, where the windows are marked


def accuracy_map(
    curves: pl.DataFrame,
    verdicts: pl.DataFrame | None = None,
    spans: pl.DataFrame | None = None,
    *,
    width: Width = 900,
    narrow: bool = False,
    links: Callable[[str], str] | None = None,
) -> alt.Chart:
    """Accuracy of every paradigm (rows, by phenomenon) at every checkpoint (columns), mean over seeds, diverging at .5.

    `curves`: paradigm, step, accuracy (phenomenon, field, seed, words and tokens where known), one suite.
    `verdicts`: paradigm, verdict, written beside each row.  `spans`: window, start, end in steps; untrained checkpoints
    are drawn grey.  `narrow` puts names above their rows, for a phone.  `links`: where a paradigm's cells and verdict lead to.
    Raises OntogenyError for missing columns or no rows.
    """
    need(curves, ("paradigm", "step", "accuracy"), "the accuracy map")
    cells = _cells(curves, verdicts, spans)
    if links is not None:
        cells = cells.with_columns(link=pl.col("paradigm").map_elements(links, return_dtype=pl.String))
    shown = ["paradigm", "phenomenon", "step", "accuracy", "window", "seeds", "words", "tokens", "verdict"]
    colour = alt.Color(
        "accuracy:Q",
        scale=alt.Scale(domain=[0, 1], domainMid=0.5, range="diverging", interpolate="lab"),
        legend=alt.Legend(title="accuracy", orient="top", gradientLength=180, gradientThickness=8, values=[0, 0.5, 1]),
    )
    return paradigm_rows(cells, {"color": colour}, shown, verdicts, width=width, narrow=narrow)


def paradigm_rows(
    cells: pl.DataFrame,
    colour: dict[str, Any],
    shown: list[str],
    verdicts: pl.DataFrame | None = None,
    marked: str | None = None,
    *,
    width: Width = 900,
    narrow: bool = False,
) -> alt.Chart:
    """A map of paradigms (rows, by phenomenon) x checkpoints (columns) with the verdict beside each row.

    `cells`: paradigm, phenomenon, step, window, in the order of the rows, and what `colour`, a table of encodings, draws.
    `shown`: columns of the tooltip, as far as they are there.  `marked`: an expression; a diamond stands where it holds.
    """
    order = _row_order(cells)
    y = alt.Y("paradigm:N", sort=None, scale=alt.Scale(domain=order, paddingInner=0.06), title=None)
    tooltip = tips(*(name for name in shown if name in cells.columns))
    layers = [
        *_squares(colour, tooltip, y, narrow, "link" in cells.columns),
        *_diamonds(marked, tooltip, y, narrow),
        *_names(order, y, narrow),
        *_window_marks(cells, y),
        *_verdict_words(verdicts, order, y, narrow),
    ]
    right = 8 if narrow or verdicts is None else 132
    drawing = (
        alt.layer(*layers)
        .resolve_scale(color="independent")
        .properties(
            width=width,
            height=(27 if narrow else 15) * len(order),
            padding={"left": 4, "right": right, "top": 4, "bottom": 4},
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        )
    )
    return filled(drawing, {"cells": rows(cells)})


def _cells(curves: pl.DataFrame, verdicts: pl.DataFrame | None, spans: pl.DataFrame | None) -> pl.DataFrame:
    keep = [name for name in ("field", "phenomenon") if name in curves.columns]
    times = [pl.col(name).mean() for name in ("words", "tokens") if known(curves, name)]
    cells = (
        curves.group_by("paradigm", "step", *keep)
        .agg(pl.col("accuracy").mean(), pl.len().alias("seeds"), *times)
        .with_columns(window=window_of(pl.col("step"), spans))
    )
    if "phenomenon" not in cells.columns:
        cells = cells.with_columns(phenomenon=pl.lit(""))
    if verdicts is not None:
        cells = cells.join(verdicts.select("paradigm", "verdict"), on="paradigm", how="left")
    return cells.sort(*keep, "paradigm", "step")


def window_of(step: pl.Expr, spans: pl.DataFrame | None) -> pl.Expr:
    """The window a step lies in: untrained, early, middle or late; middle where nothing is known."""
    bounds = {} if spans is None else {row["window"]: row for row in spans.to_dicts()}
    result = pl.lit("middle")
    if "late" in bounds:
        result = pl.when(step >= bounds["late"]["start"] - 1e-6).then(pl.lit("late")).otherwise(result)
    if "early" in bounds:
        result = pl.when(step <= bounds["early"]["end"] + 1e-6).then(pl.lit("early")).otherwise(result)
    if "untrained" in bounds:
        result = pl.when(step < bounds["untrained"]["end"] - 1e-6).then(pl.lit("untrained")).otherwise(result)
    return result


def _row_order(cells: pl.DataFrame) -> list[str]:
    order = [WINDOWS]
    for (phenomenon,), group in cells.group_by("phenomenon", maintain_order=True):
        order += [HEADING + str(phenomenon).replace("_", " ")] if phenomenon else []
        order += group["paradigm"].unique(maintain_order=True).to_list()
    return order


def _squares(colour: dict[str, Any], tooltip: list[Any], y: Any, narrow: bool, linked: bool) -> list[Any]:
    ticks = {"labelOverlap": "greedy", "labelSeparation": 8, "format": "~s", "ticks": False, "domain": False}
    axis = alt.Axis(title="step (checkpoints at equal distance)", labelAngle=0, orient="top", **ticks)
    rule = "slice(datum.label, 0, 1) == '§'"
    names = alt.Axis(
        ticks=False,
        domain=False,
        labelLimit=330,
        labelPadding=6,
        labelExpr=f"{rule} ? slice(datum.label, 2) : datum.label",
        labelFontWeight=alt.condition(rule, alt.value("bold"), alt.value("normal")),
    )
    mark = {"height": alt.RelativeBandSize(0.5), "yOffset": 6} if narrow else {}
    base = table("cells").encode(
        **({"href": alt.Href("link:N")} if linked else {}),
        x=alt.X("step:O", axis=axis, scale=alt.Scale(paddingInner=0.04)),
        y=y.axis(None) if narrow else y.axis(names),
        tooltip=tooltip,
    )
    trained = base.transform_filter("datum.window != 'untrained'").mark_rect(**mark).encode(**colour)
    grey = base.transform_filter("datum.window == 'untrained'").mark_rect(opacity=0.3, **mark)
    return [trained, grey]


def _diamonds(marked: str | None, tooltip: list[Any], y: Any, narrow: bool) -> list[Any]:
    if marked is None:
        return []
    points = table("cells").transform_filter(marked).mark_point(shape="diamond", size=26, filled=True, yOffset=6 if narrow else 0)
    return [points.encode(x="step:O", y=y, tooltip=tooltip)]


def _names(order: list[str], y: Any, narrow: bool) -> list[Any]:
    if not narrow:
        return []
    frame = pl.DataFrame({"paradigm": order[1:]}).with_columns(heading=pl.col("paradigm").str.starts_with(HEADING))
    base = alt.Chart(alt.InlineData(values=rows(frame.with_columns(name=pl.col("paradigm").str.strip_prefix(HEADING))))).encode(
        x=alt.XValue(0), y=y, text=alt.Text("name:N")
    )
    style = {"align": "left", "dy": -7, "fontSize": 10}
    return [
        base.transform_filter("!datum.heading").mark_text(**style),
        base.transform_filter("datum.heading").mark_text(**style | {"dy": 4}, fontWeight="bold"),
    ]


def _window_marks(cells: pl.DataFrame, y: Any) -> list[Any]:
    marks = cells.filter(pl.col("window") != "middle").select("step", "window").unique().sort("step")
    if marks.is_empty():
        return []
    marks = marks.with_columns(paradigm=pl.lit(WINDOWS))
    middles = marks.group_by("window", maintain_order=True).agg(
        pl.col("paradigm").first(), pl.col("step").sort().get(pl.len() // 2)
    )
    strip = (
        alt.Chart(alt.InlineData(values=rows(marks)))
        .mark_rect(height=3, yOffset=5)
        .encode(
            x="step:O",
            y=y,
            opacity=alt.condition("datum.window == 'untrained'", alt.value(0.3), alt.value(0.9)),
            tooltip=tips("window", "step"),
        )
    )
    words = alt.Chart(alt.InlineData(values=rows(middles))).mark_text(fontSize=9, dy=-1).encode(x="step:O", y=y, text="window:N")
    return [strip, words]


def _verdict_words(verdicts: pl.DataFrame | None, order: list[str], y: Any, narrow: bool) -> list[Any]:
    if verdicts is None:
        return []
    how_sure = [pl.col("standing").replace_strict(NOT_FIRM, default="").alias("sure")] if known(verdicts, "standing") else []
    frame = verdicts.select("paradigm", "verdict", *how_sure).filter(pl.col("paradigm").is_in(order)).sort("paradigm")
    place = {"align": "right", "dx": 0, "dy": -7} if narrow else {"align": "left", "dx": 8}
    colour = alt.Color("verdict:N", scale=alt.Scale(domain=list(VERDICT_COLOURS), range="category"), legend=None)
    words = alt.Chart(alt.InlineData(values=rows(frame))).mark_text(fontSize=10, fontWeight=600, **place)
    said = words.transform_calculate(said="datum.verdict + datum.sure") if how_sure else words
    return [said.encode(x=alt.XValue("width"), y=y, text=alt.Text("said:N" if how_sure else "verdict:N"), color=colour)]

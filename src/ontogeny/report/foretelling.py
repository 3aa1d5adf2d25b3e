"""Figures of what foretells: bigrams against outcomes, areas under the ROC curve, and matched pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.axes import Width, filled, need, rows, table, tips
from ontogeny.pages.orders import at_token_level
from ontogeny.pages.panel import Frames, Tabulated
from ontogeny.pages.theme import VERDICT_COLOURS

PREDICTORS = {
    "b": "bigram margin",
    "u": "unigram margin",
    "length": "length",
    "early margin": "the network's early margin",
    "b + u + length": "bigrams, unigrams and length",
    "all": "all together",
}
QUESTIONS = {"stays wrong": "Of what is wrong early: what stays wrong?", "ends wrong": "Of everything: what ends wrong?"}
CORNERS = {  # of the scatter: where, and whether the network and the bigrams are wrong there
    ("left", "bottom"): ("wrong_and_wrong", "bigrams wrong, ends wrong"),
    ("left", "top"): ("wrong_and_right", "bigrams wrong, does not end wrong"),
    ("right", "bottom"): ("right_and_wrong", "bigrams right, ends wrong"),
    ("right", "top"): ("right_and_right", "bigrams right, does not end wrong"),
}


# --- bigrams against the end --------------------------------------------------------------------------------------


def bigrams(
    outcomes: pl.DataFrame, counts: dict[str, int] | None = None, *, width: Width = 560, height: int = 380, narrow: bool = False
) -> alt.Chart:
    """The network's final accuracy against the bigram model's, a dot a paradigm in the colour of its verdict.

    `outcomes`: see `outcomes_of`.  `counts`: paradigms in each corner by the names of the table `tables`, counted from the
    dots if left out.  Raises OntogenyError for missing columns or no rows.
    """
    need(outcomes, ("paradigm", "bigram accuracy", "final accuracy", "edge", "ends wrong"), "the figure of bigrams and outcomes")
    counts = corners(outcomes) if counts is None else counts
    base = table("outcomes")
    x = alt.X("bigram accuracy:Q", scale=alt.Scale(domain=[0, 1]), title="accuracy of a model of bigrams alone", axis=_shares())
    y = alt.Y(
        "final accuracy:Q",
        scale=alt.Scale(domain=[-0.1, 1.1], nice=False),
        title="accuracy of the network at the end",
        axis=_shares(),
    )
    tooltip = tips(*(c for c in ("paradigm", "verdict", "bigram accuracy", "final accuracy") if c in outcomes.columns))
    dots = base.mark_point(size=48, filled=True, opacity=0.85).encode(x=x, y=y, tooltip=tooltip)
    if "verdict" in outcomes.columns:
        present = [name for name in VERDICT_COLOURS if name in set(outcomes["verdict"])]
        scale = alt.Scale(domain=list(VERDICT_COLOURS), range="category")
        legend = alt.Legend(title=None, orient="top", columns=3 if narrow else 5, values=present, symbolOpacity=1)
        dots = dots.encode(color=alt.Color("verdict:N", scale=scale, legend=legend))
    chart = alt.layer(*_lines(outcomes), *_corners(counts, narrow), dots).properties(width=width, height=height)
    return filled(chart, {"outcomes": rows(outcomes.drop("ends wrong", "edge"))})


def outcomes_of(accuracies: pl.DataFrame, curves: pl.DataFrame, verdicts: pl.DataFrame | None) -> pl.DataFrame:
    """What `bigrams` draws: paradigm, bigram accuracy, final accuracy, verdict, ends wrong, edge (below it is wrong).

    `accuracies`: paradigm, accuracy of the bigram model.  Final accuracy is the late mean of the verdicts, or the last
    checkpoint's where there are none; wrong is then below one half.
    """
    found = accuracies.select("paradigm", pl.col("accuracy").alias("bigram accuracy"))
    if verdicts is not None and {"late_mean", "late_state", "hi"} <= set(verdicts.columns):
        ends = verdicts.filter(pl.col("late_mean").is_not_null()).select(
            "paradigm",
            "verdict",
            pl.col("late_mean").alias("final accuracy"),
            pl.col("late_state").eq(-1).fill_null(False).alias("ends wrong"),
            (1 - pl.col("hi").cast(pl.Float64).clip(upper_bound=1.0)).alias("edge"),
        )
    else:
        last = curves.filter(pl.col("step") == pl.col("step").max())
        ends = last.group_by("paradigm").agg(pl.col("accuracy").mean().alias("final accuracy"))
        ends = ends.with_columns((pl.col("final accuracy") < 0.5).alias("ends wrong"), edge=pl.lit(0.5))
    joined = found.join(ends, on="paradigm", how="inner")
    return joined.with_columns(pl.col("bigram accuracy", "final accuracy").round(4)).sort("paradigm")


def bigram_accuracies(margins: pl.DataFrame | None, ngram_curves: pl.DataFrame | None) -> pl.DataFrame | None:
    """Paradigm, accuracy (a tie counts half) and mean margin of the bigram model; None where neither table tells."""
    if margins is not None:
        right = pl.when(pl.col("margin") == 0).then(0.5).otherwise((pl.col("margin") > 0).cast(pl.Float64))
        kept = at_token_level(margins).filter(order=2)
        found = kept.group_by("paradigm").agg(right.mean().alias("accuracy"), pl.col("margin").mean())
    elif ngram_curves is not None:
        kept = at_token_level(ngram_curves).filter(order=2)
        last = kept.filter(pl.col("step") == pl.col("step").max())
        found = last.group_by("paradigm").agg(pl.col("accuracy", "margin").mean())
    else:
        return None
    return found.sort("paradigm") if len(found) else None


def corners(outcomes: pl.DataFrame) -> dict[str, int]:
    """Paradigms in each corner: bigram accuracy below one half or not, ends wrong or not."""
    wrong = outcomes.select((pl.col("bigram accuracy") < 0.5).alias("bigrams"), "ends wrong").to_dicts()
    said = [(("wrong" if row["bigrams"] else "right"), ("wrong" if row["ends wrong"] else "right")) for row in wrong]
    return {name: sum(f"{first}_and_{second}" == name for first, second in said) for name, _ in CORNERS.values()}


def _shares() -> Any:
    return alt.Axis(format=".2~f", values=[0, 0.25, 0.5, 0.75, 1], grid=True)


def _lines(outcomes: pl.DataFrame) -> list[Any]:
    base = alt.Chart(alt.InlineData(values=[{"x": 0.5, "edge": round(float(outcomes["edge"].median() or 0.5), 4)}]))  # type: ignore[arg-type]
    style = {"strokeWidth": 1, "strokeDash": [4, 3]}
    return [base.mark_rule(**style).encode(x="x:Q"), base.mark_rule(**style).encode(y="edge:Q")]


def _corners(counts: dict[str, int], narrow: bool) -> list[Any]:
    layers = []
    for (side, end), (name, said) in CORNERS.items():
        lines = f"{counts[name]} · {said}".split(", ") if narrow else [f"{counts[name]} · {said}"]
        values = alt.InlineData(values=[{"text": "\n".join(lines)}])
        down = 4 if end == "top" else -4 - 13 * (len(lines) - 1)
        mark = alt.Chart(values).mark_text(
            align=side, baseline="top" if end == "top" else "bottom", dx=5 if side == "left" else -5, dy=down, lineBreak="\n"
        )
        x, y = alt.value(0 if side == "left" else "width"), alt.value(0 if end == "top" else "height")
        layers.append(mark.encode(x=x, y=y, text="text:N"))
    return layers


# --- forests ------------------------------------------------------------------------------------------------------


def foretold(frame: pl.DataFrame, question: str, *, width: Width = 340, narrow: bool = False) -> alt.Chart:
    """Areas under the ROC curve for one question, a line a set of predictors with its interval; pale where undecided.

    `frame`: question, predictors, auc, low, high (undecided).  Raises OntogenyError for missing columns or no rows.
    """
    need(frame, ("question", "predictors", "auc", "low", "high"), "the figure of what foretells")
    kept = frame.filter(question=question).drop_nulls("auc")
    need(kept, (), f"the figure of what foretells {question!r}")
    place = {name: number for number, name in enumerate(PREDICTORS)}
    kept = kept.sort(pl.col("predictors").replace_strict(place, default=len(place), return_dtype=pl.Int64), "predictors")
    undecided = pl.col("undecided") if "undecided" in kept.columns else pl.lit(False)
    lines = kept.select(
        name=pl.col("predictors").replace(PREDICTORS),
        value=pl.col("auc"),
        low=pl.col("low"),
        high=pl.col("high"),
        kind=pl.when(undecided).then(pl.lit("undecided")).otherwise(pl.lit("decided")),
    )
    title = "area under the ROC curve"
    return _forest(lines, title, 0.5, [0, 1], width, 28, narrow)


def matched(frame: pl.DataFrame, *, width: Width = 560, narrow: bool = False) -> alt.Chart:
    """How much oftener the network is right where bigrams favour the good sentence, a line a paradigm, all pairs first.

    `frame`: paradigm ("" for all), difference, low, high, p_adjusted; rows without an estimate are left out.
    Raises OntogenyError for missing columns or no rows.
    """
    need(frame, ("paradigm", "difference", "low", "high", "p_adjusted"), "the figure of matched pairs")
    kept = frame.drop_nulls("difference").filter(pl.col("difference").is_not_nan())
    need(kept, (), "the figure of matched pairs")
    pooled, apart = kept.filter(paradigm=""), kept.filter(pl.col("paradigm") != "").sort("difference", descending=True)
    lines = pl.concat([pooled, apart]).select(
        name=pl.when(pl.col("paradigm") == "").then(pl.lit("all pairs")).otherwise("paradigm"),
        value=pl.col("difference"),
        low=pl.col("low"),
        high=pl.col("high"),
        kind=pl.when((pl.col("p_adjusted") < 0.05).fill_null(False)).then(pl.lit("decided")).otherwise(pl.lit("undecided")),
    )
    return _forest(lines, "difference in the network's accuracy", 0.0, None, width, 15, narrow)


def _forest(
    lines: pl.DataFrame, title: str, zero: float, domain: Sequence[float] | None, width: Width, row: int, narrow: bool
) -> alt.Chart:
    """Points with intervals, in the order given; blue right of `zero`, orange left of it, pale where undecided."""
    floats = [name for name, kind in lines.schema.items() if kind.is_float()]
    drawn = lines.with_columns(
        pl.col(floats).round(4), side=pl.when(pl.col("value") >= zero).then(pl.lit("above")).otherwise(pl.lit("below"))
    )
    axis = None if narrow else alt.Axis(title=None, labelLimit=330, ticks=False, domain=False, labelPadding=6)
    y = alt.Y("name:N", sort=None, axis=axis, scale=alt.Scale(domain=drawn["name"].to_list()))
    scale = alt.Scale() if domain is None else alt.Scale(domain=list(domain))
    x = alt.X("value:Q", scale=scale, axis=alt.Axis(title=title, grid=True, orient="bottom", tickCount=5, format="~r"))
    span = alt.X("low:Q", scale=scale, title=title)
    colour = alt.Color("side:N", scale=alt.Scale(domain=["above", "below"], range="ordinal"), legend=None)
    pale = alt.condition("datum.kind == 'undecided'", alt.value(0.4), alt.value(1))
    first_thick = alt.condition("datum.name === 'all pairs'", alt.value(3.2), alt.value(1.6))
    base, down = table("lines"), {"yOffset": 5} if narrow else {}
    tooltip = [*tips("name", "kind"), *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high"))]
    layers = [
        alt.Chart(alt.InlineData(values=[{"value": zero}])).mark_rule(strokeDash=[4, 3]).encode(x=x),
        base.mark_rule(**down).encode(
            strokeWidth=first_thick, x=span, x2="high:Q", y=y, opacity=pale, color=colour, tooltip=tooltip
        ),
        base.mark_point(filled=True, size=44, **down).encode(x=x, y=y, opacity=pale, color=colour, tooltip=tooltip),
    ]
    if narrow:
        layers.append(base.mark_text(align="left", dy=-7, fontSize=10).encode(x=alt.value(0), y=y, text="name:N"))
    return filled(
        alt.layer(*layers).properties(width=width, height=(max(row, 28) if narrow else row) * len(drawn)), {"lines": rows(drawn)}
    )


# --- from frames --------------------------------------------------------------------------------------------------

COUNTS = [name for name, _ in CORNERS.values()]


def outcomes(frames: Frames) -> pl.DataFrame | None:
    """What the figure of bigrams against outcomes draws; None where nothing tells the bigram model's accuracy."""
    accuracies = bigram_accuracies(frames.get("margins"), frames.get("ngram_curves"))
    return None if accuracies is None else outcomes_of(accuracies, frames["curves"], frames.get("verdicts"))


def two_by_two(frames: Frames) -> dict[str, Any] | None:
    """The row of `tables` about bigrams among all paradigms, if there is one."""
    rows = at_token_level(frames["tables"]).filter(order=2, among="all").to_dicts() if "tables" in frames else []
    return rows[0] if rows else None


def counts_of(frames: Frames, drawn: pl.DataFrame) -> dict[str, int]:
    """Paradigms in the four corners: those of `tables`, or counted from what is drawn."""
    row = two_by_two(frames)
    return corners(drawn) if row is None else {name: int(row[name]) for name in COUNTS}


def contests_table(frames: Frames) -> Tabulated | None:
    """Which predictor foretells better than which, from the predictions for phenomena that were left out."""
    if "contests" not in frames:
        return None
    rows = out_of_fold(frames["contests"]).to_dicts()
    names = [[PREDICTORS.get(row[side], row[side]) for side in ("first", "second")] for row in rows]
    firsts = {first for first, _ in names}
    one = len(firsts) == 1  # that all others are held against
    found = [
        (
            row["question"],
            *(pair[1:] if one else pair),
            _signed(row["difference"]),
            "" if row["low"] is None else f"{_signed(row['low'])} to {_signed(row['high'])}",
            row["verdict"],
        )
        for row, pair in zip(rows, names, strict=True)
    ]
    against = (f"{next(iter(firsts))} against",) if one else ("foretold from", "against")
    return Tabulated(("what", *against, ">difference", ">interval", "it is"), tuple(found)) if found else None


def out_of_fold(contests: pl.DataFrame) -> pl.DataFrame:
    """The contests between predictions for phenomena that were left out."""
    return contests.filter(measure="out of fold") if "measure" in contests.columns else contests


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}".replace("-", "−")

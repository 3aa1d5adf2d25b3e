"""The page's chapter "inside": what sets stuck paradigms apart from learned ones, what comes first, phases, what seeds change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from ontogeny.evidence.apart import FEWEST, GROUPS
from ontogeny.evidence.precedence import SEEDS
from ontogeny.evidence.seeds import FEWEST_DIP, FEWEST_Z
from ontogeny.pages.axes import Width, dashed, filled, rows, table, tips
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel, Tabulated
from ontogeny.pages.words import count, decimals, enumerated, listed, probability
from ontogeny.report.ngram_chapter import of_suite
from ontogeny.results import Results

LEVEL = 0.05
FEWEST_SEEDS = 3  # that have a reading's onset and an event, below which their lead is not drawn
SHOWN = 12  # paradigms whose seeds are drawn, those that differ most


def inside_chapter(results: Results, suite: str, panels: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The template's variables: the panels, and why there is no comparison where there is none."""
    found, verdicts = of_suite(results, suite, "apart"), of_suite(results, suite, "verdicts")
    missing = ""
    if results.numbers.filter(pl.col("paradigm") != "").is_empty():
        missing = (
            f"No instrument has read the paradigms of this run: ontogeny read {results.folder.path} --with reach --with knowledge "
            "--with depth."
        )
    elif verdicts is None:
        missing = "There are no verdicts that readings could be held against."
    elif found is None or "stuck" not in set(found["group"]):
        stuck = verdicts.filter(pl.col("verdict").is_in(GROUPS["stuck"])).height
        missing = f"{count(stuck, 'paradigm')} ended wrong, and fewer than {FEWEST} are not compared with those that are learned."
    return {"panels": panels, "missing": missing, "there": bool(panels) or not missing}


# --- what sets them apart -----------------------------------------------------------------------------------------


def _apart(frames: Frames, clock: Clock, *, width: Width = 520, row: int = 34) -> Drawn:
    found = frames["apart"].drop_nulls("difference").filter(pl.col("scale") > 0)
    drawn = found.with_columns(
        (pl.col(name) / pl.col("scale")).alias(f"{name} in sd") for name in ("difference", "difference_low", "difference_high")
    )
    order = drawn["reading"].unique(maintain_order=True).to_list()
    base = table("apart")
    axis = alt.Axis(title="how much higher than in learned paradigms, standard deviations of paradigms", tickCount=6)
    y = alt.Y("reading:N", sort=None, scale=alt.Scale(domain=order), axis=alt.Axis(title=None, labelLimit=260, ticks=False))
    groups = [group for group in GROUPS if group in set(drawn["group"])]
    colour = alt.Color("group:N", scale=alt.Scale(domain=groups), legend=alt.Legend(title=None, orient="top"))
    place = {"y": y, "yOffset": alt.YOffset("group:N", scale=alt.Scale(domain=groups)), "color": colour}
    tip = tips("reading", "group", "paradigms", "mean", "difference", "p_adjusted", p_adjusted=".3f")
    drawing = alt.layer(
        dashed(0).encode(x="at:Q"),
        base.mark_rule(strokeWidth=1.6).encode(x=alt.X("difference_low in sd:Q", axis=axis), x2="difference_high in sd:Q", **place),
        base.mark_point(filled=True, size=44).encode(x="difference in sd:Q", tooltip=tip, **place),
    )
    return filled(drawing.properties(width=width, height=row * len(order)), {"apart": rows(drawn)})


def _apart_says(frames: Frames, clock: Clock) -> str:
    found = frames["apart"].drop_nulls("p_adjusted")
    stuck = found.filter(group="stuck")
    if stuck.is_empty():
        return ""
    sizes = _sizes(frames["apart"])
    firm = stuck.filter(pl.col("p_adjusted") < LEVEL)
    parts = [
        f"{row['reading']} is {'higher' if row['difference'] > 0 else 'lower'} (by {_plain(abs(row['difference']))}, "
        f"p {probability(row['p_adjusted'])})"
        for row in firm.sort("p_adjusted").to_dicts()
    ]
    tests = f"after correction for {count(len(found), 'test')} (Holm)"
    against = f"held against {sizes.get('learned', 0)} learned ones"
    said = f"At the end, {count(sizes['stuck'], 'paradigm')} that ended wrong are {against}. "
    said += f"In the wrong ones {enumerated(parts)}, {tests}." if parts else f"Nothing that was read sets them apart {tests}."
    undecided = stuck.filter(pl.col("p_adjusted") >= LEVEL)
    if len(undecided):
        said += f" Undecided: {listed(undecided['reading'].to_list(), 4)}"
        seen = ((undecided["difference_high"] - undecided["difference_low"]) / 2 / undecided["scale"]).drop_nulls().drop_nans()
        said += (
            f"; differences of {float(np.median(seen.to_numpy())):.1f} standard deviations could have been seen."
            if len(seen)
            else "."
        )
    return (
        f"{said} What goes with a verdict need not be its cause: verdicts are made of the same margins that most readings look "
        "into, and paradigms of one phenomenon are alike in more than their verdicts."
    )


def _apart_table(frames: Frames) -> Tabulated | None:
    found = frames["apart"]
    by = {(row["reading"], row["group"]): row for row in found.to_dicts()}
    groups = [group for group in GROUPS if group in set(found["group"])]
    lines = []
    for reading in found["reading"].unique(maintain_order=True):
        own = [by.get((reading, group)) for group in groups]
        first = by.get((reading, "stuck"), {})
        lines.append((str(reading), *map(_with_interval, own), _gap(first), _p(first)))
    sizes = _sizes(found)
    heads = [f">{group} ({sizes[group]})" for group in groups]
    return Tabulated(("reading", *heads, ">wrong less learned", ">p, corrected"), tuple(lines))


def _sizes(found: pl.DataFrame) -> dict[str, int]:
    """Paradigms of each group."""
    return dict(found.group_by("group").agg(pl.col("paradigms").max()).iter_rows())


def _with_interval(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    ends = "" if row["low"] is None else f" ({_plain(row['low'])} to {_plain(row['high'])})"
    return f"{_plain(row['mean'])}{ends}"


def _gap(row: dict[str, Any]) -> str:
    if row.get("difference") is None:
        return ""
    ends = "" if row["difference_low"] is None else f" ({_plain(row['difference_low'])} to {_plain(row['difference_high'])})"
    return f"{row['difference']:+.2f}{ends}".replace("-", "−")


def _p(row: dict[str, Any]) -> str:
    return "" if row.get("p_adjusted") is None else probability(row["p_adjusted"]).removeprefix("= ")


def _plain(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


# --- what comes first ---------------------------------------------------------------------------------------------


def _order(frames: Frames, clock: Clock, *, width: Width = 520, row: int = 16) -> Drawn:
    found = frames["precedence.decided"].drop_nulls("low").filter(pl.col("seeds") >= FEWEST_SEEDS)
    drawn, ends = {}, [float(end) for end in (np.floor(found["low"].to_numpy().min()), np.ceil(found["high"].to_numpy().max()))]
    for (event,), own in found.sort("lead", descending=True).group_by("event", maintain_order=True):
        base, order = table("leads"), own["reading"].to_list()
        y = alt.Y("reading:N", sort=None, scale=alt.Scale(domain=order), axis=alt.Axis(title=None, labelLimit=260, ticks=False))
        colour = alt.Color(
            "verdict:N", scale=alt.Scale(domain=["leads", "follows", "undecided"]), legend=alt.Legend(title=None, orient="top")
        )
        axis = alt.Axis(title=f"doublings of the step from the reading's onset to the paradigm's {event}")
        x = alt.X("low:Q", axis=axis, scale=alt.Scale(domain=ends))
        tip = tips("reading", "lead", "first", "seeds", "rho", "verdict", lead="+.2f", first="d")
        drawn[str(event)] = filled(
            alt.layer(
                dashed(0).encode(x="at:Q"),
                base.mark_rule(strokeWidth=1.6).encode(x=x, x2="high:Q", y=y, color=colour),
                base.mark_point(filled=True, size=44).encode(x="lead:Q", y=y, color=colour, tooltip=tip),
            ).properties(width=width, height=max(row * len(order), 40)),
            {"leads": rows(own)},
        )
    return drawn


def _order_says(frames: Frames, clock: Clock) -> str:
    found = frames["precedence.decided"]
    most = int(found["seeds"].max())  # type: ignore[arg-type]
    said = "How long before a paradigm's event each reading has turned halfway for good, mean over seeds and paradigms. "
    if most < SEEDS:
        return (
            f"{said}With {count(most, 'seed')} nothing is decided: it takes {SEEDS}, as all moves with the logarithm of the step."
        )
    least, tested = 2.0 ** (1 - most), found["p_order"].count()  # of a sign test: all seeds on one side
    if least * tested >= LEVEL:
        alone, among = decimals(least), decimals(min(1.0, least * tested))
        return (
            f"{said}Nothing can be decided: an order that all {most} seeds share has p = {alone} by itself, and among {tested} "
            f"comparisons {among} (Holm); it takes {math.ceil(1 + math.log2(tested / LEVEL))} seeds, or fewer readings."
        )
    firm = found.filter(pl.col("verdict") != "undecided").sort("event", "reading")
    parts = [f"{reading} {verdict} {event}" for reading, event, verdict in firm.select("reading", "event", "verdict").iter_rows()]
    said += f"Decided: {listed(parts, 6)}. " if parts else "Of none is it decided that it leads or follows. "
    early = found.filter((pl.col("verdict") == "undecided") & (pl.col("p_order") < LEVEL)).height
    said += (
        f"Of {len(found)} comparisons {early} have the same order in nearly all seeds without being earlier in the seeds in which "
        "the event is: so do any two things that come early and late. "
        if early
        else ""
    )
    return f"{said}A lead counts if both hold after correction for all of them (Holm); it says what comes first, not what it does."


# --- phases and seeds ---------------------------------------------------------------------------------------------


def _phases(frames: Frames, clock: Clock, *, width: Width = 640, row: int = 16) -> Drawn:
    found = frames["phases"].sort("seed", "step")
    x = alt.X(
        "step:O", axis=alt.Axis(title="step (checkpoints at equal distance)", labelAngle=0, format="~s", labelOverlap="greedy")
    )
    y = alt.Y("seed:O", axis=alt.Axis(title="seed"))
    colour = alt.Color("phase:O", scale=alt.Scale(scheme="viridis"), legend=alt.Legend(orient="top"))
    squares = table("phases").mark_rect().encode(x=x, y=y, color=colour, tooltip=tips("seed", "step", "phase"))
    return filled(squares.properties(width=width, height=row * found["seed"].n_unique()), {"phases": rows(found.drop("how"))})


def _phases_say(frames: Frames, clock: Clock) -> str:
    found = frames["phases"]
    if found["how"][0] == "change points":
        return (
            "Stretches of time between change points of the weights' statistics, each seed by itself: with so few seeds or "
            "checkpoints no phases are told that seeds share, and equal numbers mean nothing."
        )
    begins = frames.get("phases.begins")
    seeds = found["seed"].n_unique()
    many = count(found["phase"].n_unique(), "phase")
    said = f"{many} of the weights' statistics, shared by {count(seeds, 'seed')} (hidden Markov map)."
    if begins is not None and len(begins) > 1:
        parts = [
            f"phase {row['phase']} begins at step {row['begins']:,.0f}"
            + ("" if row["seeds"] == seeds else f" in {row['seeds']} of {seeds} seeds")
            for row in begins.to_dicts()[1:]
        ]
        said += f" In the median over seeds {enumerated(parts)}."
    return f"{said} A phase is a stretch in which the weights look alike, and no more."


def _seeds(frames: Frames, clock: Clock, *, width: Width = 520, row: int = 15) -> Drawn:
    wide = (
        frames["seeds.places"].with_columns(apart=pl.col("highest") - pl.col("lowest")).sort("apart", descending=True).head(SHOWN)
    )
    curves = frames["curves"]
    late = curves.filter(pl.col("step") >= 0.8 * pl.col("step").max(), pl.col("paradigm").is_in(wide["paradigm"].to_list()))
    means = late.group_by("paradigm", "seed").agg(pl.col("accuracy").mean()).sort("paradigm", "seed")
    y = alt.Y(
        "paradigm:N",
        sort=None,
        scale=alt.Scale(domain=wide["paradigm"].to_list()),
        axis=alt.Axis(title=None, labelLimit=330, ticks=False),
    )
    x = alt.X("accuracy:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(title="late accuracy, a dot a seed"))
    dots = (
        table("seeds").mark_point(filled=True, size=30, opacity=0.6).encode(x=x, y=y, tooltip=tips("paradigm", "seed", "accuracy"))
    )
    drawing = alt.layer(dashed(0.5).encode(x="at:Q"), dots)
    return filled(drawing.properties(width=width, height=row * len(wide)), {"seeds": rows(means)})


def _seeds_say(frames: Frames, clock: Clock) -> str:
    places, table_ = frames["seeds.places"], frames.get("seeds")
    split = places.filter(pl.col("p_adjusted") < LEVEL)["paradigm"].to_list()
    n = int(places["seeds"].max())  # type: ignore[arg-type]
    said = f"The {min(SHOWN, len(places))} paradigms in which {count(n, 'seed')} end farthest apart. "
    if n < FEWEST_DIP:
        said += f"Whether they end in two places is not asked of fewer than {FEWEST_DIP}. "
    elif split:
        said += f"Two places rather than one (dip test, Holm over {count(len(places), 'paradigm')}): {listed(split, 5)}. "
    else:
        said += f"In none are two places shown (dip test, Holm over {count(len(places), 'paradigm')}), nor one. "
    if table_ is None or not table_["outlier"].count():
        return f"{said}Seeds that lie apart are not asked of fewer than {FEWEST_Z}."
    out = [str(seed) for seed in table_.filter(pl.col("outlier") == 1)["seed"]]
    return said + (f"Seeds that lie apart from the others: {enumerated(out)}." if out else "No seed lies apart.")


_of = partial(Panel, per="suite", chapter="inside", files=("svg",))
PANELS = (
    _of(
        name="inside.apart",
        title="what sets paradigms that ended wrong apart from learned ones",
        needs=("apart",),
        draw=_apart,
        says=_apart_says,
        table=_apart_table,
        there=lambda frames: "stuck" in set(frames["apart"]["group"]) and frames["apart"]["difference"].count() > 0,
        command="read RUN --with reach",
    ),
    _of(
        name="inside.order",
        title="what comes first",
        needs=("precedence.decided",),
        draw=_order,
        says=_order_says,
        there=lambda frames: int(frames["precedence.decided"]["seeds"].max() or 0) >= FEWEST_SEEDS,  # type: ignore[arg-type]
        shape="stack",
        command="read RUN --with reach",
    ),
    _of(
        name="inside.phases",
        title="phases of training",
        needs=("phases",),
        takes=("phases.begins",),
        draw=_phases,
        says=_phases_say,
        command="read RUN --with weights",
    ),
    _of(
        name="inside.seeds",
        title="where seeds end apart",
        needs=("seeds.places", "curves"),
        takes=("seeds",),
        draw=_seeds,
        says=_seeds_say,
        there=lambda frames: int(frames["seeds.places"]["seeds"].max() or 0) > 2,  # type: ignore[arg-type]
    ),
)

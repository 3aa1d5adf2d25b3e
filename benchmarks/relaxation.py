"""The study `factorial`, early x late, from its committed curves: its tables and its figure.

    python -m benchmarks relaxation

Reads docs/bigram-hypothesis/factorial.parquet (arm, seed, paradigm, step, margin, accuracy, verdict of that seed alone), prints the
cells, what is left in the end of each early difference, and what the shams do, and draws docs/bigram-hypothesis/factorial.png; with
`--table docs/bigram-hypothesis/factorial-larger.parquet` the same of the larger network.  With `--study runs/factorial` the table
is gathered anew from the study's folder first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontogeny.disk import write_table
from ontogeny.estimators.means import Comparison, estimate
from ontogeny.pages.axes import save
from ontogeny.studies.commands import open_study
from ontogeny.studies.gathering import gather
from ontogeny.studies.relaxation import Relaxation, plateaus

DOCS = Path(__file__).parents[1] / "docs" / "bigram-hypothesis"
NAMED = "principle_A_domain_1_a"
CELLS = ("neutral, neutral", "misleading, neutral", "neutral, misleading", "misleading, misleading")
EARLY = (("misleading, neutral", "neutral, neutral"), ("neutral, misleading", "misleading, misleading"))  # one late text each
SWITCH, LATE = 240, 480  # steps: the early text ends, the late window begins
COLOURS = ["#1b5ca5", "#6cc4d2", "#d06a2c", "#8f3206"]

Floats = NDArray[np.float64]


def options(parser: argparse.ArgumentParser) -> None:
    """What can be set."""
    parser.add_argument("--table", type=Path, default=DOCS / "factorial.parquet", help="the curves")
    parser.add_argument("--study", type=Path, help="a study's folder to gather them from first")
    parser.add_argument("--figure", type=Path, help="where the figure goes; left out: beside the table")


def run(asked: argparse.Namespace) -> None:
    """Prints the tables and draws the figure."""
    if asked.study:
        write_table(asked.table, gathered(asked.study))
    curves = pl.read_parquet(asked.table)
    own = curves.filter(paradigm=NAMED)
    print("\n".join([*cells(own), "", *relaxations(own), "", *shams(own)]))
    save(figure(own), asked.figure or asked.table.with_suffix(".png"), scale=1)


def gathered(folder: Path) -> pl.DataFrame:
    """Curves and verdicts of every seed that was read to its end."""
    frames = gather(folder, open_study(folder))
    verdicts = frames.verdicts.drop_nulls("seed")
    kept = frames.curves.select("arm", "seed", "paradigm", "step", "margin", "accuracy")
    return kept.join(verdicts, on=["arm", "seed", "paradigm"], how="left").sort("arm", "paradigm", "seed", "step")


def cells(curves: pl.DataFrame) -> list[str]:
    """A row a cell: margins where the early text ends and in the end, the late accuracy, and verdicts of single seeds."""
    lines = [
        "| early, late | seeds | margin where the early text ends | late margin | late accuracy | verdicts |",
        "|---|---|---|---|---|---|",
    ]
    for arm in (arm for arm in (*CELLS, *(f"{cell}, sham" for cell in CELLS)) if arm in set(curves["arm"])):
        own = curves.filter(arm=arm)
        late, ends = own.filter(pl.col("step") >= LATE), own.filter(step=SWITCH)
        counts = own.unique("seed")["verdict"].value_counts(sort=True).rows()
        said = ", ".join(f"{name} {number}" for name, number in counts)
        numbers = [f"{mean(frame, what):.2f}" for frame, what in ((ends, "margin"), (late, "margin"), (late, "accuracy"))]
        lines.append(f"| {arm} | {own['seed'].n_unique()} | {' | '.join(numbers)} | {said} |")
    return lines


def relaxations(curves: pl.DataFrame) -> list[str]:
    """What is left of an early difference, for each late text."""
    lines = ["| difference | seeds | D(0) | T, steps | followed for | D(inf), 95 % interval |", "|---|---|---|---|---|---|"]
    for arm, base in EARLY:
        seeds, steps, gaps = apart(curves, arm, base)
        comparison, found = plateaus(seeds, steps, gaps)
        numbers = f"{found.start:.2f} | {found.time:.1f} | {steps[-1] / found.time:.0f} T | {interval(comparison)}"
        lines.append(f"| ({arm}) - ({base}) | {len(seeds)} | {numbers} |")
    return lines


def shams(curves: pl.DataFrame) -> list[str]:
    """How far each cell's sham is from its cell in the late window."""
    lines = ["| sham of | seeds | late margin, minus the cell's | late accuracy, minus the cell's |", "|---|---|---|---|"]
    for cell in (cell for cell in CELLS if f"{cell}, sham" in set(curves["arm"])):
        own = [late_gap(curves, f"{cell}, sham", cell, what) for what in ("margin", "accuracy")]
        lines.append(f"| {cell} | {len(own[0].seeds)} | {interval(own[0])} | {interval(own[1])} |")
    return lines


def apart(curves: pl.DataFrame, arm: str, base: str) -> tuple[list[int], Floats, Floats]:
    """Seeds, steps since the early text ended, and (seeds, steps) how far the arm's margin is from the other's."""
    both = curves.filter(arm=arm).join(curves.filter(arm=base), on=["seed", "step"], suffix="_base")
    late = both.filter(pl.col("step") >= SWITCH).with_columns(gap=pl.col("margin") - pl.col("margin_base")).sort("seed", "step")
    wide = late.pivot(on="step", index="seed", values="gap")
    steps = np.array([int(name) for name in wide.columns[1:]], dtype=np.float64)
    return wide["seed"].to_list(), steps - SWITCH, wide.drop("seed").to_numpy()


def late_gap(curves: pl.DataFrame, arm: str, base: str, what: str) -> Comparison:
    """The mean over the late window of arm minus base, seed by seed."""
    both = curves.filter(arm=arm).join(curves.filter(arm=base), on=["seed", "step"], suffix="_base").filter(pl.col("step") >= LATE)
    means = both.group_by("seed").agg((pl.col(what) - pl.col(f"{what}_base")).mean().alias("gap")).sort("seed")
    return Comparison(tuple(means["seed"]), means["gap"].to_numpy()[:, None], np.ones(1))


def interval(comparison: Comparison) -> str:
    """An estimate with its interval over seeds."""
    (found,) = estimate([comparison], 1000, np.random.default_rng(0)) if comparison.seeds else (None,)
    if found is None or len(found.seeds) < 2:
        return "-" if found is None else f"{found.value:+.2f}, one seed"
    low, high = found.interval(0.95)
    return f"{found.value:+.2f} ({low:+.2f} to {high:+.2f})"


def mean(frame: pl.DataFrame, what: str) -> float:
    """Of a column; NaN where there is no row."""
    return float(np.mean(frame[what].to_numpy())) if len(frame) else float("nan")


# --- the figure -----------------------------------------------------------------------------------------------------


def figure(curves: pl.DataFrame) -> alt.HConcatChart:
    """Margins of the four cells, and what is left of the early difference, seed by seed, with the curve that was fitted."""
    step = alt.X("step:Q", title="training step")
    own = (
        curves.filter(pl.col("arm").is_in(CELLS))
        .group_by("arm", "step")
        .agg(pl.col("margin").mean(), low=pl.col("margin").min(), high=pl.col("margin").max())
    )
    colour = alt.Color(
        "arm:N",
        title="early, late",
        scale=alt.Scale(domain=list(CELLS), range=COLOURS),
        legend=alt.Legend(orient="bottom", columns=2),
    )
    base = alt.Chart(alt.Data(values=own.to_dicts())).encode(x=step, color=colour)
    band = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title="margin, nats"), y2="high:Q")
    cut = alt.Chart(alt.Data(values=[{"step": SWITCH}])).mark_rule(strokeDash=[3, 3], opacity=0.6).encode(x="step:Q")
    left = (band + base.mark_line().encode(y="margin:Q") + cut).properties(width=330, height=240, title="The four cells")
    return alt.hconcat(left, _left_over(curves, step)).resolve_scale(color="independent")


def _left_over(curves: pl.DataFrame, step: alt.X) -> alt.LayerChart:
    rows, fitted = [], []
    for arm, base in EARLY:
        seeds, steps, gaps = apart(curves, arm, base)
        name = f"late {arm.split(', ')[1]}"
        rows += [
            {"step": float(t + SWITCH), "gap": float(g), "seed": s, "late": name}
            for s, own in zip(seeds, gaps, strict=True)
            for t, g in zip(steps, own, strict=True)
        ]
        fitted += [
            {"step": float(t + SWITCH), "gap": float(g), "late": name} for t, g in drawn(plateaus(seeds, steps, gaps)[1], steps)
        ]
    colour = alt.Color(
        "late:N",
        title=None,
        scale=alt.Scale(domain=["late neutral", "late misleading"], range=[COLOURS[1], COLOURS[2]]),
        legend=alt.Legend(orient="bottom"),
    )
    y = alt.Y("gap:Q", title="difference of margins, nats")
    lines = (
        alt.Chart(alt.Data(values=rows)).mark_line(opacity=0.3, strokeWidth=0.8).encode(x=step, y=y, color=colour, detail="seed:N")
    )
    curve = alt.Chart(alt.Data(values=fitted)).mark_line(strokeWidth=2.5).encode(x=step, y=y, color=colour)
    zero = alt.Chart(alt.Data(values=[{"gap": 0}])).mark_rule(strokeDash=[3, 3], opacity=0.6).encode(y="gap:Q")
    return (zero + lines + curve).properties(width=330, height=240, title="What is left of the early text")


def drawn(found: Relaxation, steps: Floats) -> list[tuple[float, float]]:
    """The fitted curve at many steps."""
    moments = np.linspace(0, steps[-1], 100)
    return list(zip(moments.tolist(), found.at(moments).tolist(), strict=True))

"""What is left at the end of training of an early edit, from a study of two forks that are each other's control.

    python -m benchmarks crossover runs/crossover

Of each paradigm that a fork's interventions name, D(t) is its mean margin in that fork minus that in the other, turned so that the
side to which its bigrams were moved is up.  Retained is the mean of D at the end over the mean of D where the edit ends, paradigms
as replicates, with Fieller's (1954) interval: an upper end below .1 refutes that an early trace stays, a lower end above .25
supports it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from ontogeny.disk import read_table, write_table
from ontogeny.records import OntogenyError
from ontogeny.results import Results
from ontogeny.store import RunFolder
from ontogeny.studies.commands import open_study
from ontogeny.studies.relaxation import fit
from ontogeny.studies.running import path_of

Floats = NDArray[np.float64]
REFUTED, SUPPORTED = 0.1, 0.25  # shares of what the edit made
TRIED = np.linspace(-2, 3, 5001)  # shares that an interval may end at


class Retained(NamedTuple):
    """A share with its 95 % interval, which may have no end."""

    share: float
    low: float
    high: float

    @property
    def says(self) -> str:
        """The verdict on an early trace."""
        return "refuted" if self.high < REFUTED else "supported" if self.low > SUPPORTED else "undecided"


def options(parser: argparse.ArgumentParser) -> None:
    """What can be set."""
    parser.add_argument("study", type=Path, help="the folder of a study with two arms")
    parser.add_argument("--out", type=Path, help="a folder for crossover.parquet and crossover.md")


def run(asked: argparse.Namespace) -> int:
    """Prints the table, and writes it where it is to go."""
    try:
        curves = apart(asked.study)
    except OntogenyError as error:
        raise SystemExit(f"error: {error}") from None
    lines = told(curves)
    print("\n".join(lines))
    if asked.out:
        write_table(asked.out / "crossover.parquet", curves)
        (asked.out / "crossover.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def apart(folder: Path) -> pl.DataFrame:
    """paradigm, step, until (where its edit ends), distance: how far a fork is on its edit's side, nats, the mean over seeds."""
    study = open_study(folder)
    if len(study.arms) != 2:
        raise SystemExit(f"{folder} has {len(study.arms)} arms; a crossover has two, each the other's control")
    runs = [RunFolder(path_of(folder, arm)) for arm in study.arms]
    own, other = ([margins(run) for run in order] for order in (runs, runs[::-1]))
    found = []
    for mine, theirs, run, arm in zip(own, other, runs, study.arms, strict=True):
        edits: tuple[Any, ...] = arm.recipe.interventions
        names = [name for part in edits for name in part.paradigm]
        both = mine.join(theirs, on=["seed", "paradigm", "step"], suffix="_other").filter(pl.col("paradigm").is_in(names))
        side, until = sides(run), max(part.when.until for part in edits)
        means = both.group_by("paradigm", "step").agg(distance=(pl.col("margin") - pl.col("margin_other")).mean())
        turned = pl.col("distance") * pl.col("paradigm").replace_strict(side, default=0.0)
        ends = until * Results(run).timeline(read_table(run.curves)).total
        found.append(means.with_columns(turned, until=pl.lit(ends)))
    return pl.concat(found).sort("paradigm", "step")


def margins(run: RunFolder) -> pl.DataFrame:
    """seed, paradigm, step and mean margin."""
    return read_table(run.curves).select("seed", "paradigm", "step", "margin")


def sides(run: RunFolder) -> dict[str, float]:
    """By paradigm: 1 where the fork's first stretch has a higher bigram margin than its last, which is plain, else -1."""
    rows = read_table(run.stream_margins).sort("start").group_by("paradigm", maintain_order=True)
    ends = rows.agg(first=pl.col("bigram_margin").first(), last=pl.col("bigram_margin").last())
    return {name: float(np.sign(first - last)) for name, first, last in ends.iter_rows()}


def retained(edit: Floats, end: Floats) -> Retained:
    """Of distances (paradigms,) where the edit ends and at the end of training: the ratio of their means, by Fieller's theorem.

    The interval is every share r at which the mean of end - r edit is not told from 0.
    """
    n, share = len(edit), float(end.mean() / edit.mean())
    left = end[:, None] - TRIED * edit[:, None]
    reach = stats.t.ppf(0.975, n - 1) * left.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(TRIED), np.inf)
    inside = TRIED[np.abs(left.mean(axis=0)) <= reach]
    low, high = (inside[0], inside[-1]) if len(inside) else (share, share)
    return Retained(share, -np.inf if low == TRIED[0] else float(low), np.inf if high == TRIED[-1] else float(high))


def told(curves: pl.DataFrame) -> list[str]:
    """The table, what is retained, and how fast the rest goes."""
    wide = {str(name): own for (name,), own in curves.group_by("paradigm", maintain_order=True)}
    pairs = {name: (at_edit(own), float(own["distance"][-1])) for name, own in wide.items()}
    lines = ["| paradigm | D where the edit ends, nats | D at the end |", "|---|---|---|"]
    lines += [f"| {name} | {first:+.3f} | {last:+.3f} |" for name, (first, last) in pairs.items()]
    found = retained(*(np.array(column) for column in zip(*pairs.values(), strict=True)))
    lines += ["", f"retained: {found.share:.2f} ({found.low:.2f} to {found.high:.2f}), {len(pairs)} paradigms: {found.says}"]
    after = curves.filter(pl.col("step") >= pl.col("until")).group_by("step").agg(pl.col("distance").mean()).sort("step")
    if len(after) >= 4:
        shape = fit(after["step"].to_numpy().astype(np.float64), after["distance"].to_numpy())
        reached = "" if shape.reached else ", which it was not followed long enough for"
        lines.append(f"relaxation: T = {shape.time:,.0f} steps, D(inf) = {shape.plateau:+.3f} nats{reached}")
    return lines


def at_edit(own: pl.DataFrame) -> float:
    """D at the last checkpoint that the edit had made."""
    rows: list[dict[str, Any]] = own.filter(pl.col("step") <= pl.col("until")).to_dicts()
    return float(rows[-1]["distance"])

"""A run as it is explored: its tables are scanned, and of many checkpoints as many are looked at as a figure can draw."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import polars as pl

from ontogeny.pages.panel import DRAWN
from ontogeny.recipe import Thresholds
from ontogeny.results import CURVES, Results
from ontogeny.store import scan_table
from ontogeny.trajectories import judge_alone

COLUMNS = 60  # checkpoints that a map has columns for: more are neither told apart nor hit


class Seen(Results):
    """The same as Results, with the curves of at most DRAWN checkpoints, evenly chosen in their order."""

    @cached_property
    def every_step(self) -> list[int]:
        """The checkpoints that curves know, in order."""
        if not self.folder.curves.exists():
            return []
        found: list[int] = scan_table(self.folder.curves).select(pl.col("step").unique().sort()).collect()["step"].to_list()
        return found

    @cached_property
    def curves(self) -> pl.DataFrame:
        """Scanned, and cut."""
        if not self.folder.curves.exists():
            return pl.DataFrame(schema=CURVES)
        table = scan_table(self.folder.curves)
        if len(self.every_step) > DRAWN:
            table = table.filter(pl.col("step").is_in(evenly(self.every_step, DRAWN)))
        return table.collect()

    def checkpoints(self, suite: str) -> int:
        """All, those that are not looked at too."""
        return super().checkpoints(suite) if len(self.every_step) <= DRAWN else len(self.every_step)

    def cells(self, suite: str) -> pl.DataFrame:
        """What a map shows: paradigm, phenomenon, step, accuracy (mean over seeds), by field and phenomenon."""
        own = self.curves.filter(pl.col("suite") == suite)
        kept = [name for name in ("field", "phenomenon") if name in own.columns]
        drawn = own.filter(pl.col("step").is_in(evenly(own["step"].unique().sort().to_list(), COLUMNS)))
        return drawn.group_by("paradigm", "step", *kept).agg(pl.col("accuracy").mean()).sort(*kept, "paradigm", "step")

    def tried(self, suite: str, thresholds: Thresholds) -> dict[str, str]:
        """Each paradigm's verdict under other thresholds, from the curves that are looked at; nothing in the run changes.

        Raises OntogenyError as `trajectories.judge` does.
        """
        own = self.counted(suite)
        return judge_alone(own, self.timeline(own), thresholds)


def evenly(steps: list[int], most: int) -> list[int]:
    """At most so many of them, with the first and the last."""
    if len(steps) <= most:
        return steps
    return [steps[place] for place in np.linspace(0, len(steps) - 1, most).round().astype(int)]

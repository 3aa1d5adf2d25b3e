"""A run as it is explored: its tables are scanned, and of many checkpoints as many are looked at as a figure can draw."""

from __future__ import annotations

from functools import cached_property
from typing import cast

import numpy as np
import polars as pl

from ontogeny.disk import collected, scan_table
from ontogeny.instruments.instrument import Instrument
from ontogeny.pages.panel import DRAWN, Panel
from ontogeny.recipe import Thresholds
from ontogeny.records import Suite
from ontogeny.results import CURVES, Results
from ontogeny.store import RunFolder
from ontogeny.trajectories import judge_alone

COLUMNS = 60  # checkpoints that a map has columns for: more are neither told apart nor hit


class Seen(Results):
    """The same as Results, with the curves of at most DRAWN checkpoints, evenly chosen in their order.

    `live`: curves of a run that is not judged yet, by suite, seed and step, kept from one look at it to the next.
    """

    def __init__(self, folder: RunFolder, live: dict[tuple[str, int, int], pl.DataFrame] | None = None):
        super().__init__(folder)
        self.live = {} if live is None else live

    @cached_property
    def _read(self) -> dict[str, pl.DataFrame]:
        return {}

    @cached_property
    def every_step(self) -> list[int]:
        """The checkpoints that curves know, in order."""
        if not self.folder.curves.exists():
            return sorted(set(self.curves["step"]))
        found: list[int] = scan_table(self.folder.curves).select(pl.col("step").unique().sort()).collect()["step"].to_list()
        return found

    @cached_property
    def curves(self) -> pl.DataFrame:
        """Scanned, and cut; of a run that is not judged yet, what its scores come to so far."""
        if not self.folder.curves.exists():
            return cast(pl.DataFrame, self.part("what was scored so far", self._unjudged, pl.DataFrame(schema=CURVES)))
        table = scan_table(self.folder.curves)
        if len(self.every_step) > DRAWN:
            table = table.filter(pl.col("step").is_in(evenly(self.every_step, DRAWN)))
        return table.collect()

    def _unjudged(self) -> pl.DataFrame:
        """Curves from tables of scores, each of which is read once, as it stands there whole."""
        from ontogeny.judging import curves_of
        from ontogeny.readers.readings import recipe_of

        recipe, found = recipe_of(self.folder), [pl.DataFrame(schema=CURVES)]
        for suite in (cast(Suite, part).name for part in recipe.suites):
            own = [(seed, step) for seed in self.folder.seeds() for step in self.folder.scored(seed, suite)]
            new = [moment for moment in own if (suite, *moment) not in self.live]
            new = [new[place] for place in evenly(list(range(len(new))), DRAWN)]
            for (seed, step), frame in curves_of(self.folder, suite, recipe, new).group_by("seed", "step") if new else ():
                self.live[suite, cast(int, seed), cast(int, step)] = frame
            found += [self.live[suite, *moment] for moment in own if (suite, *moment) in self.live]
        return pl.concat(found, how="diagonal_relaxed").sort("suite", "paradigm", "seed", "step", maintain_order=True)

    @cached_property
    def panels(self) -> list[Panel]:
        """Every figure of the run's page."""
        from ontogeny.report.panels import panels_of

        return panels_of(self)

    @cached_property
    def _instruments(self) -> list[Instrument]:
        return super().instruments()

    def instruments(self) -> list[Instrument]:
        """As of Results, loaded once."""
        return self._instruments

    def looked_at(self, instrument: str) -> pl.DataFrame:
        """What an instrument read, at the checkpoints that are looked at; read once."""
        if instrument not in self._read:
            table = self.table(instrument)
            steps = collected(table.select(pl.col("step").unique().sort()))["step"].to_list()
            self._read[instrument] = collected(table.filter(pl.col("step").is_in(evenly(steps, DRAWN))))
        return self._read[instrument]

    def sealed(self) -> list[tuple[int, int]]:
        """The checkpoints that are looked at for faults: as many as a map has columns; each has a view that looks at it too."""
        return [(seed, step) for seed in self.folder.seeds() for step in evenly(self.folder.steps(seed), COLUMNS)]

    def checkpoints(self, suite: str) -> int:
        """All, those that are not looked at too."""
        return super().checkpoints(suite) if len(self.every_step) <= DRAWN else len(self.every_step)

    def cells(self, suite: str) -> pl.DataFrame:
        """What a map shows: phenomenon, paradigm, step, first seed, accuracy (mean over seeds), by field and phenomenon."""
        own = self.curves.filter(suite=suite)
        kept = [name for name in ("field", "phenomenon") if name in own.columns]
        drawn = own.filter(pl.col("step").is_in(evenly(own["step"].unique().sort().to_list(), COLUMNS)))
        means = drawn.group_by("paradigm", "step", *kept).agg(pl.col("seed").min(), pl.col("accuracy").fill_nan(None).mean())
        of = pl.col("phenomenon").fill_null("") if "phenomenon" in kept else pl.lit("").alias("phenomenon")
        return means.sort(*kept, "paradigm", "step").select(of, "paradigm", "step", "seed", "accuracy")

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

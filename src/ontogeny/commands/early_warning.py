"""Early warning for a run in progress, calibrated on runs that have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import polars as pl

from ontogeny import store
from ontogeny.evidence.warning import Finished, calibrate, warn
from ontogeny.judging import curves_of
from ontogeny.laboratory import Run
from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError, Suite
from ontogeny.results import Results
from ontogeny.trajectories import read_accuracy_table, timeline_of, without_common_prefix


def warn_of(run: Run, sources: Sequence[Path], step: int | None = None, alpha: float = 0.1) -> pl.DataFrame:
    """Which paradigms of a run look, at a checkpoint (None: the newest), as those do that stay wrong (`evidence.warning.warn`).

    `sources` are finished runs' folders or tables of accuracies.  Raises OntogenyError for a run without scores, a run that is its
    own calibration, and as `warn` and `calibrate` do.
    """
    suite = cast(Suite, run.recipe.suites[0]).name
    if any(source.resolve() == run.folder.path.resolve() for source in sources):
        raise OntogenyError(f"{run.folder.path} cannot be calibrated on itself; --from takes runs that have ended")
    if not any(run.folder.scored(seed, suite) for seed in run.folder.seeds()):
        raise OntogenyError(f"{run.folder.path} has no scores on {suite} yet; run: ontogeny score {run.folder.path}")
    curves = curves_of(run.folder, suite, run.recipe)
    calibration = calibrate([finished(source, suite, run.display.say) for source in sources])
    at = int(curves["step"].to_numpy().max()) if step is None else step
    return warn(curves, Results(run.folder).timeline(curves), calibration, at, alpha, run.recipe.verdicts)


def finished(source: Path, suite: str | None = None, say: Callable[[str], None] = lambda text: None) -> Finished:
    """A run that has ended, or a table of accuracies, to calibrate on: its name, its curves, its clock, its thresholds.

    Of a run the curves are those of `suite`, of its first if left out; `say` is told what is not read of a table.  Raises
    OntogenyError for a run that has not ended, or that was not read on that suite.
    """
    if not source.is_dir():
        curves, _ = without_common_prefix(read_accuracy_table(source, say=say))
        return source.stem, curves, timeline_of(curves, None), Thresholds()
    run = Run(source)
    curves = store.read_table(run.folder.curves) if run.folder.curves.exists() else pl.DataFrame()
    if curves.is_empty():
        raise OntogenyError(f"{source} has no curves to calibrate on; run: ontogeny verdicts {source}")
    names = [cast(Suite, part).name for part in run.recipe.suites]
    if suite is not None and suite not in names:
        raise OntogenyError(f"{source} was read on {', '.join(names)} and not on {suite}: its paradigms are others'")
    suite = suite or names[0]
    own = curves.filter(pl.col("suite") == suite)
    clock = Results(run.folder).timeline(own)
    if clock.steps[-1] < clock.total:
        raise OntogenyError(f"{source} has been read to step {clock.steps[-1]:,} of {clock.total:,} only: it cannot calibrate yet")
    return run.folder.name, own, clock, run.recipe.verdicts

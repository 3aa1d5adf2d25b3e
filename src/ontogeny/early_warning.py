"""Early warning for a training in progress, calibrated on runs that have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontogeny import disk
from ontogeny.evidence.warning import Calibration, Finished, calibrate, need_enough, warn
from ontogeny.judging import curves_of
from ontogeny.readers import recipe_of
from ontogeny.recipe import Observation, Recipe, Thresholds
from ontogeny.records import OntogenyError, Suite
from ontogeny.registry import nearest
from ontogeny.results import Results
from ontogeny.store import RunFolder
from ontogeny.training.setting_out import training_differences
from ontogeny.trajectories import Timeline, read_accuracy_table, timeline_of, without_common_prefix
from ontogeny.trajectories.bands import States
from ontogeny.trajectories.cases import cases

Say = Callable[[str], None]
KIND = ("corpus", "tokenizer", "model", "training")  # fields of a recipe in which a run to calibrate on should be the same


def warned(
    folder: RunFolder, recipe: Observation, sources: Sequence[Path], step: int | None, alpha: float, say: Say
) -> pl.DataFrame:
    """Which paradigms of a run look, at a checkpoint (None: the newest), as those do that stay wrong (`evidence.warning.warn`).

    `sources` are finished runs' folders or tables of accuracies.  Raises OntogenyError for a run without scores, a run that is its
    own calibration, and as `warn` and `calibrate` do.
    """
    suite = _suite(recipe)
    calibration = calibrated(folder, recipe, sources, say)
    if not any(folder.scored(seed, suite) for seed in folder.seeds()):
        raise OntogenyError(f"{folder.path} has no scores on {suite} yet; run: ontogeny score {folder.path}")
    curves = curves_of(folder, suite, recipe)
    at = int(curves["step"].to_numpy().max()) if step is None else step
    return warn(curves, Results(folder).timeline(curves), calibration, at, alpha, recipe.verdicts)


class Alarms:
    """What a training hears of its own paradigms at some moments of it, one seed at a time."""

    def __init__(
        self,
        folder: RunFolder,
        recipe: Recipe,
        seed: int,
        sources: Sequence[Path],
        moments: Sequence[float],
        paradigms: Sequence[str],
        alpha: float,
        say: Say,
    ):
        """`moments`: shares of training.  Raises OntogenyError, before anything is trained, for what cannot raise an alarm."""
        self.folder, self.recipe, self.seed, self.alpha, self.say = folder, recipe, seed, alpha, say
        self.moments, self.paradigms = sorted(moments), tuple(paradigms)
        self.calibration = calibrated(folder, recipe, sources, say)
        known = self.calibration.curves["paradigm"].unique().sort().to_list()
        if lacking := next((name for name in paradigms if name not in known), None):
            raise OntogenyError(
                f"no finished run has a paradigm {lacking!r} with pairs enough to warn by; {nearest(lacking, known)}"
            )
        for moment in self.moments:
            need_enough(self.calibration.at(moment), alpha)

    def standing(self, step: int, steps: int) -> list[str]:
        """Paradigms whose alarm stands at a checkpoint: raised at a moment before, and not ended since.

        An alarm ends after two checkpoints in a row at which the paradigm is not below chance.  Raises OntogenyError where the
        checkpoint has not been scored.
        """
        suite, moments = _suite(self.recipe), [share * steps for share in self.moments if share * steps <= step]
        if not moments:
            return []
        if step not in (scored := self.folder.scored(self.seed, suite)):
            raise OntogenyError(
                f"{self.folder.path}: seed {self.seed} has no scores on {suite} at step {step}, which alarms are raised by; run: "
                f"ontogeny score {self.folder.path}, and go on"
            )
        curves = curves_of(self.folder, suite, self.recipe).filter((pl.col("seed") == self.seed) & (pl.col("step") <= step))
        time, raised = Results(self.folder).timeline(curves), dict[str, int]()
        for moment in moments:
            at = max(known for known in scored if known <= moment)
            raised |= dict.fromkeys(self._raised(curves, time, at), at)
        own = [one for one in cases(curves, time, self.recipe.verdicts) if one.paradigm in raised]
        return [one.paradigm for one in own if stands(one.states(one.curve()), np.array(time.steps) > raised[one.paradigm])]

    def _raised(self, curves: pl.DataFrame, time: Timeline, at: int) -> list[str]:
        try:
            found = warn(curves, time, self.calibration, at, self.alpha, self.recipe.verdicts)
        except OntogenyError as error:  # untrained as yet
            self.say(f"no warning of seed {self.seed}: {error}")
            return []
        return [name for name in found.filter("alarm")["paradigm"] if name in self.paradigms]


def stands(states: States, after: NDArray[np.bool_]) -> bool:
    """Whether an alarm stands, given the state at each checkpoint and which of them came after it was raised."""
    return not any(all(both) for both in pairwise(states[after] != -1))


def calibrated(folder: RunFolder, recipe: Observation, sources: Sequence[Path], say: Say) -> Calibration:
    """How finished runs looked along training; in what their trainings differ from this one is said."""
    if any(source.resolve() == folder.path.resolve() for source in sources):
        raise OntogenyError(f"{folder.path} cannot be calibrated on itself; --from takes runs that have ended")
    for source in (one for one in sources if one.is_dir()):
        theirs = recipe_of(RunFolder.existing(source))
        if isinstance(recipe, Recipe) and isinstance(theirs, Recipe):
            about = (*KIND, *(["interventions"] if theirs.interventions else []))  # calibrated on what is untouched
            if differ := training_differences(theirs, recipe, about):
                say(f"{source} is of another kind, so that false alarms need not be as rare as said: {'; '.join(differ)}")
    return calibrate([finished(source, _suite(recipe), say) for source in sources])


def finished(source: Path, suite: str | None = None, say: Say = lambda text: None) -> Finished:
    """A run that has ended, or a table of accuracies, to calibrate on: its name, its curves, its clock, its thresholds.

    Of a run the curves are those of `suite`, of its first if left out; `say` is told what is not read of a table.  Raises
    OntogenyError for a run that has not ended, or that was not read on that suite.
    """
    if not source.exists():
        raise OntogenyError(
            f"there is no file or folder {source}: warnings are calibrated on finished runs, or on tables of accuracies"
        )
    if not source.is_dir():
        curves, _ = without_common_prefix(read_accuracy_table(source, say=say))
        return source.stem, curves, timeline_of(curves, None), Thresholds()
    folder = RunFolder.existing(source)
    recipe = recipe_of(folder)
    curves = disk.read_table(folder.curves) if folder.curves.exists() else pl.DataFrame()
    if curves.is_empty():
        raise OntogenyError(f"{source} has no curves to calibrate on; run: ontogeny verdicts {source}")
    names = [cast(Suite, part).name for part in recipe.suites]
    if suite is not None and suite not in names:
        raise OntogenyError(f"{source} was read on {', '.join(names)} and not on {suite}: its paradigms are others'")
    suite = suite or names[0]
    own = curves.filter(pl.col("suite") == suite)
    clock = Results(folder).timeline(own)
    if clock.steps[-1] < clock.total:
        raise OntogenyError(f"{source} has been read to step {clock.steps[-1]:,} of {clock.total:,} only: it cannot calibrate yet")
    return folder.name, own, clock, recipe.verdicts


def _suite(recipe: Observation) -> str:
    return cast(Suite, recipe.suites[0]).name

"""Early warning: which paradigms of a run in progress look as those do that stay wrong, with a stated false-alarm rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.trajectories.cases import cases
from ontogeny.trajectories.curves import grid, matrices, need
from ontogeny.trajectories.timeline import ROUNDING, Floats, Timeline, Windows, windows
from ontogeny.trajectories.verdicts import window_state

Finished = tuple[str, pl.DataFrame, Timeline, Thresholds]  # a run's name, its curves of one suite, its clock, its thresholds

SHARES = (0.01, 0.02, 0.05, 0.10, 0.20, 0.50)
CALIBRATED: dict[str, Any] = {
    "run": pl.String,
    "seed": pl.Int64,
    "paradigm": pl.String,
    "step": pl.Int64,
    "share": pl.Float64,
    "score": pl.Float64,
    "ends_wrong": pl.Boolean,
}
WARNINGS: dict[str, Any] = {
    "seed": pl.Int64,
    "paradigm": pl.String,
    "step": pl.Int64,
    "share": pl.Float64,
    "accuracy": pl.Float64,
    "score": pl.Float64,
    "p": pl.Float64,
    "alarm": pl.Boolean,
    "as_bad": pl.Int64,
    "as_bad_wrong": pl.Int64,
    "runs": pl.Int64,
}
EVALUATED: dict[str, Any] = {
    "run": pl.String,
    "calibrated_on": pl.String,
    "share": pl.Float64,
    "wrong": pl.Int64,
    "hits": pl.Int64,
    "hit_rate": pl.Float64,
    "fine": pl.Int64,
    "false_alarms": pl.Int64,
    "false_alarm_rate": pl.Float64,
    "why_not": pl.String,
}


def _last(accuracy: Floats, view: Windows) -> Floats:
    return np.asarray(-accuracy[:, np.flatnonzero(view.trained)[-1]])


def _mean(accuracy: Floats, view: Windows) -> Floats:
    return np.asarray(-(accuracy @ view.weights))


def _relative(accuracy: Floats, view: Windows) -> Floats:
    last = _last(accuracy, view)
    return np.asarray(last - last.mean())


# From one seed's accuracies so far (paradigms, checkpoints) to how bad each paradigm looks; larger is worse.
#   last      minus the accuracy at this checkpoint
#   mean      minus the time-weighted mean over the trained checkpoints so far: the first of them, settled by length, drag on
#   relative  minus the accuracy at this checkpoint, from the mean over the run's paradigms
# Between seeds of one run `relative` is as good as `last`, and both find more than `mean`.  With runs of another size to
# calibrate on (alpha .1, two data sets) the false alarms of `relative` reached .19, those of the others .49 and .32: how
# right a whole run is at a share of its training depends on its size.
SCORES: dict[str, Callable[[Floats, Windows], Floats]] = {"relative": _relative, "last": _last, "mean": _mean}


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What finished runs looked like along training, and how they ended."""

    curves: pl.DataFrame  # CALIBRATED: one row a run, seed, paradigm and trained checkpoint
    score: str = "relative"  # of SCORES

    def at(self, share: float) -> pl.DataFrame:
        """Each run's rows at its last trained checkpoint at or before this share of its training.

        Raises OntogenyError where no run has one.
        """
        until = self.curves.filter(pl.col("share") <= share + ROUNDING)
        if until.is_empty():
            raise OntogenyError(
                f"no finished run has a trained checkpoint in the first {share:.2%} of its training; "
                f"the earliest is at {self.curves['share'].to_numpy().min():.2%}"
            )
        return until.filter(pl.col("step") == pl.col("step").max().over("run"))


def calibrate(runs: Sequence[Finished], score: str = "relative") -> Calibration:
    """How every curve of finished runs scored at each trained checkpoint, from what had been read until then.

    Each run is (name, curves of one suite, timeline, thresholds).  A curve is a paradigm of one seed; it ends wrong where
    the seed's own late state is -1, else it ends fine.  Paradigms with too few pairs for a verdict are left out.  Raises
    OntogenyError for runs of one name, a run without enough late checkpoints, an unknown score, and where no curve ends
    wrong or none ends fine.
    """
    if score not in SCORES:
        raise OntogenyError(f"no score is called {score!r}; {nearest(score, list(SCORES))}")
    names = [name for name, *_ in runs]
    if len(set(names)) < len(names):
        raise OntogenyError(f"finished runs need names of their own, but they are called {', '.join(names)}")
    frames = [_calibrated(*run, score) for run in runs]
    curves = pl.concat([pl.DataFrame(schema=CALIBRATED), *frames])
    for ending, there in (("wrong", curves["ends_wrong"].any()), ("fine", not curves["ends_wrong"].all())):
        if curves.is_empty() or not there:
            raise OntogenyError(f"no paradigm of {', '.join(names) or 'no run at all'} ends {ending}: nothing to warn by")
    return Calibration(curves, score)


def warn(
    curves: pl.DataFrame,
    timeline: Timeline,
    calibration: Calibration,
    step: int,
    alpha: float = 0.1,
    thresholds: Thresholds | None = None,
) -> pl.DataFrame:
    """Which paradigms of a run in progress look, at `step`, as paradigms do that stay wrong (WARNINGS; the worst first).

    `curves`: of one suite, one row a paradigm, seed and step; rows after `step` are not looked at.  Of `timeline` only the
    planned total and the end of *untrained* are used.  A row is a paradigm of a seed that has been read at `step`.

    p is a split-conformal p-value (Vovk et al. 2005): (1 + the number of calibration paradigms that end fine and scored at
    least as badly at the same share of training) / (1 + the number that end fine).  Where a paradigm has several curves,
    of seeds or runs, it counts by the share of those (hierarchical conformal prediction, Lee, Barber & Willett 2023).  An
    alarm is p <= alpha: of paradigms that end fine at most a share of alpha raises one, as far as they are exchangeable
    with those of the calibration.  Those of a run of another kind need not be, and another choice of paradigms moves the
    mean that "relative" is measured from.  as_bad counts calibration curves that looked at least this bad, as_bad_wrong
    those of them that ended wrong, runs the runs compared with.

    Raises OntogenyError for a step that has not been read, one that is still untrained, and a calibration that has no run
    at this share or too few paradigms that end fine for any alarm at alpha.
    """
    need(curves, ("seed", "step", "paradigm", "n", "accuracy"), "the curves")
    seeds = curves.filter(pl.col("step") == step)["seed"].unique().sort().to_list()
    if not seeds:
        read = curves["step"].unique().to_list()
        closest = f"the nearest that has is {min(read, key=lambda other: (abs(other - step), other))}" if read else "none has"
        raise OntogenyError(f"step {step} has not been read; {closest}")
    frames = [
        _scored(curves.filter(pl.col("seed") == seed), timeline, thresholds or Thresholds(), step, calibration.score)
        for seed in seeds
    ]
    share = step / timeline.total
    compared = calibration.at(share)
    need_enough(compared, alpha)
    found = pl.concat(frames).with_columns(share=pl.lit(share), runs=pl.lit(compared["run"].n_unique()))
    judged = found.with_columns(**_compared(found["score"].to_numpy(), compared)).with_columns(alarm=pl.col("p") <= alpha + 1e-12)
    return judged.select(pl.col(name).cast(kind) for name, kind in WARNINGS.items()).sort(
        "p", "score", "paradigm", "seed", descending=[False, True, False, False]
    )


def evaluate(
    runs: Sequence[Finished], shares: Sequence[float] = SHARES, alpha: float = 0.1, score: str = "relative"
) -> pl.DataFrame:
    """How the warning would have done on finished runs (EVALUATED).

    Each seed of a run is warned about by the run's other seeds ("other seeds"), and each run by all other runs ("other
    runs"), at the last checkpoint at or before each share.  wrong and fine count curves by their end; hits and
    false_alarms those of each with an alarm.  why_not says why a warning could not be given.  Raises as `calibrate` does.
    """
    calibration = calibrate(runs, score)
    rows = [
        {"run": run[0], "calibrated_on": scheme, "share": share} | _outcome(run, share, folds, calibration, alpha)
        for run in runs
        for scheme, folds in _folds(run[0], calibration.curves).items()
        for share in shares
    ]
    return pl.DataFrame(rows, EVALUATED, orient="row")


# ---- scoring curves by what has been read


def _calibrated(name: str, curves: pl.DataFrame, timeline: Timeline, thresholds: Thresholds, score: str) -> pl.DataFrame:
    view, (seeds, _, _) = windows(timeline, thresholds), grid(curves)
    if view.late.sum() < thresholds.min_late:
        raise OntogenyError(f"{name} has {view.late.sum()} late checkpoints, too few to say how it ended: is it finished?")
    paradigms, how = list(cases(curves, timeline, thresholds)), ends(curves, timeline, thresholds)
    frames = []
    for index, seed in enumerate(seeds):
        accuracy = np.stack([case.accuracy["sum"][index] for case in paradigms])  # (paradigms, checkpoints)
        for at in np.flatnonzero(view.trained):
            step = timeline.steps[at]
            columns = {
                "seed": seed,
                "paradigm": [case.paradigm for case in paradigms],
                "step": step,
                "score": SCORES[score](accuracy[:, : at + 1], _until(timeline, thresholds, step)),
                "ends_wrong": how.filter(seed=seed)["ends_wrong"],
                "enough": [case.enough for case in paradigms],
            }
            frames.append(pl.DataFrame(columns))
    table = pl.concat(frames).filter("enough").with_columns(run=pl.lit(name), share=pl.col("step") / timeline.total)
    return table.select(pl.col(column).cast(kind) for column, kind in CALIBRATED.items())


def ends(curves: pl.DataFrame, timeline: Timeline, thresholds: Thresholds) -> pl.DataFrame:
    """seed, paradigm, ends_wrong: whether the seed's own late state is -1; by seed and paradigm, `curves` being of one suite."""
    view, (seeds, _, _) = windows(timeline, thresholds), grid(curves)
    rows = [
        (seed, case.paradigm, window_state(case.states(own), view.late, view.late_weights, thresholds.cover) == -1)
        for case in cases(curves, timeline, thresholds)
        for seed, own in zip(seeds, case.accuracy["sum"], strict=True)
    ]
    return pl.DataFrame(rows, {name: CALIBRATED[name] for name in ("seed", "paradigm", "ends_wrong")}, orient="row").sort(
        "seed", "paradigm"
    )


def _until(timeline: Timeline, thresholds: Thresholds, step: int) -> Windows:
    """The windows as they were known at `step`."""
    return windows(replace(timeline, steps=tuple(other for other in timeline.steps if other <= step)), thresholds)


def _scored(curves: pl.DataFrame, timeline: Timeline, thresholds: Thresholds, step: int, score: str) -> pl.DataFrame:
    """seed, paradigm, step, accuracy and score of one seed's curves."""
    until = curves.filter(pl.col("step") <= step)
    (seed,), steps, paradigms = grid(until)
    view = _until(replace(timeline, steps=tuple(steps)), thresholds, step)
    if not view.trained[-1]:
        raise OntogenyError(
            f"at step {step} the model is untrained: its dev loss is not yet below the unigram entropy of its text, or, "
            f"where that is not known, less than {thresholds.untrained:.1%} of the training is done"
        )
    by_paradigm = matrices(until)
    accuracy = np.concatenate([by_paradigm[paradigm] for paradigm in paradigms])  # (paradigms, checkpoints)
    scores = SCORES[score](accuracy, view)
    return pl.DataFrame({"seed": seed, "paradigm": paradigms, "step": step, "accuracy": accuracy[:, -1], "score": scores})


# ---- against the calibration


def _fine(compared: pl.DataFrame) -> pl.DataFrame:
    """Curves that end fine, each weighing one over the number of its paradigm's."""
    return compared.filter(~pl.col("ends_wrong")).with_columns(weight=1 / pl.len().over("paradigm"))


def need_enough(compared: pl.DataFrame, alpha: float) -> None:
    """Raises OntogenyError where too few calibration paradigms end fine for any alarm at alpha."""
    paradigms = _fine(compared)["paradigm"].n_unique()
    if 1 / (paradigms + 1) > alpha + 1e-12:
        raise OntogenyError(
            f"{paradigms} calibration paradigms end fine, and no p-value can be below 1/{paradigms + 1}: "
            f"an alarm at alpha {alpha:g} needs {int(np.ceil(1 / alpha - 1e-9)) - 1}"
        )


def _compared(scores: Floats, compared: pl.DataFrame) -> dict[str, pl.Series]:
    """p, as_bad and as_bad_wrong of each score."""
    fine = _fine(compared)
    worse_fine = fine["score"].to_numpy() >= scores[:, None] - 1e-12  # (scores, curves)
    worse = compared["score"].to_numpy() >= scores[:, None] - 1e-12
    p = (1 + worse_fine @ fine["weight"].to_numpy()) / (1 + fine["paradigm"].n_unique())
    wrong = compared["ends_wrong"].to_numpy().astype(np.int64)
    return {"p": pl.Series(p), "as_bad": pl.Series(worse.sum(axis=1)), "as_bad_wrong": pl.Series(worse @ wrong)}


# ---- had it been used


def _folds(name: str, curves: pl.DataFrame) -> dict[str, list[tuple[list[int], pl.DataFrame]]]:
    """By scheme: seeds of the run to be warned about, and the calibration rows to do it with."""
    own, others = curves.filter(pl.col("run") == name), curves.filter(pl.col("run") != name)
    seeds = own["seed"].unique().sort().to_list()
    folds = {}
    if len(seeds) > 1:
        folds["other seeds"] = [([seed], own.filter(pl.col("seed") != seed)) for seed in seeds]
    if len(others):
        folds["other runs"] = [(seeds, others)]
    return folds


def _outcome(
    run: Finished, share: float, folds: list[tuple[list[int], pl.DataFrame]], calibration: Calibration, alpha: float
) -> dict[str, Any]:
    name, curves, timeline, thresholds = run
    step = max((step for step in timeline.steps if step <= (share + ROUNDING) * timeline.total), default=timeline.steps[0])
    ends = calibration.curves.filter(pl.col("run") == name).select("seed", "paradigm", "ends_wrong").unique()
    try:
        warned = pl.concat(
            warn(curves.filter(pl.col("seed").is_in(seeds)), timeline, replace(calibration, curves=rows), step, alpha, thresholds)
            for seeds, rows in folds
        )
    except OntogenyError as error:
        return {"why_not": str(error)}
    judged = warned.join(ends, on=["seed", "paradigm"])
    wrong, fine = judged.filter("ends_wrong"), judged.filter(~pl.col("ends_wrong"))
    hits, false_alarms = int(wrong["alarm"].sum()), int(fine["alarm"].sum())
    return {
        "wrong": len(wrong),
        "hits": hits,
        "hit_rate": hits / len(wrong) if len(wrong) else None,
        "fine": len(fine),
        "false_alarms": false_alarms,
        "false_alarm_rate": false_alarms / len(fine) if len(fine) else None,
        "why_not": None,
    }

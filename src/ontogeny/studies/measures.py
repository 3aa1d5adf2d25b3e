"""What predictions are about, as arrays: one number an arm, seed and cluster of pairs, or one an arm and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ontogeny.estimators.resampling import cluster_sums
from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError
from ontogeny.studies.gathering import StudyFrames
from ontogeny.studies.plan import Study
from ontogeny.trajectories.bands import upper_edge
from ontogeny.trajectories.curves import need
from ontogeny.trajectories.summaries import acquired_lasting
from ontogeny.trajectories.timeline import ROUNDING, Floats, Ints

OF_PAIRS = ("early_margin", "late_margin", "early_accuracy", "late_accuracy")
BASIN = 0.75  # late accuracy above which a seed counts as having found the rule: halfway from chance to always right
EVIDENCE = ("arm", "paradigm", "start", "until", "bigram_margin", "edited")


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """One measure of one paradigm in every arm, with every seed."""

    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    sums: Floats  # (arms, seeds, clusters): each cluster's sum over its pairs; NaN where a seed is missing from an arm
    sizes: Ints  # (clusters,): pairs of each
    censored: Ints | None = None  # (arms, seeds): 1 where never learned, of learned_at alone

    def means(self) -> Floats:
        """(arms, seeds): means over pairs."""
        return np.asarray(self.sums.sum(axis=2) / self.sizes.sum())

    def there(self, arm: str) -> list[int]:
        """Seeds that the arm has."""
        known = ~np.isnan(self.sums[self.arms.index(arm)]).any(axis=1)
        return [seed for seed, has in zip(self.seeds, known, strict=True) if has]


class Measures:
    """The values of each measure, made from a study's frames when asked for."""

    def __init__(self, study: Study, frames: StudyFrames):
        self.study, self.frames = study, frames
        self.arms, self.seeds = tuple(arm.name for arm in study.arms), study.file.seeds
        need(frames.outcomes, ("arm", "seed", "paradigm", "pair", "contrast", *OF_PAIRS), "the outcomes")
        judged = frames.outcomes.filter("held") if study.file.guards and study.file.guards.held_out_words else frames.outcomes
        self._outcomes = _by_paradigm(self._known(judged))
        self._curves = _by_paradigm(self._known(frames.curves))
        self._verdicts = _by_paradigm(self._known(frames.verdicts.filter(pl.col("seed").is_not_null())))
        self.paradigms = sorted(self._outcomes)
        self._made: dict[str, dict[str, Values]] = {}  # of pairs, by paradigm: every prediction and table asks for them again

    def values(self, measure: str, paradigm: str | None) -> Values:
        """One measure of one paradigm (None: of none, dev_loss).  Raises OntogenyError for frames that do not fit together."""
        return self.several((measure,), paradigm)[measure]

    def several(self, measures: Sequence[str], paradigm: str | None) -> dict[str, Values]:
        """Some measures of a paradigm; those of pairs are read off its pairs once."""
        found: dict[str, Values] = {}
        if any(measure in OF_PAIRS for measure in measures):
            if (name := str(paradigm)) not in self._made:
                self._made[name] = self._of_pairs(name)
            found |= self._made[name]
        if "basin" in measures:
            found["basin"] = _basin(self.values("late_accuracy", paradigm))
        if "learned_at" in measures:
            found["learned_at"] = self._learned_at(str(paradigm))
        if "dev_loss" in measures:
            found["dev_loss"] = self._last(self.frames.losses.drop_nulls("dev_loss").rename({"dev_loss": "value"}))
        for measure in (one for one in measures if "." in one):
            own = self.frames.readings.filter(pl.col("measure") == measure)
            found[measure] = self._last(own if paradigm is None else own.filter(pl.col("paradigm") == paradigm))
        return {measure: found[measure] for measure in measures}

    def bigram_margin(self, paradigm: str) -> dict[str, float]:
        """Nats by arm, as `achieved` has them; arms that the evidence does not have are left out."""
        need(self.frames.evidence, EVIDENCE, "the evidence")
        own = achieved(self.frames.evidence.filter(pl.col("paradigm") == paradigm))
        found = dict(own.select("arm", "bigram margin").iter_rows())
        return {arm: found[arm] for arm in self.arms if arm in found}

    def apart(self, paradigm: str, arm: str, reference: str) -> tuple[list[int], Floats, Floats]:
        """Seeds, steps, and (seeds, steps) how far the arm's mean margin is from the reference's, where both were read."""
        curves = self._curves.get(paradigm, self.frames.curves.clear()).select("arm", "seed", "step", "margin")
        both = [curves.filter(arm=name).rename({"margin": name}).drop("arm") for name in (arm, reference)]
        joined = both[0].join(both[1], on=["seed", "step"]).with_columns(gap=pl.col(arm) - pl.col(reference))
        wide = joined.pivot(on="step", index="seed", values="gap", sort_columns=True).sort("seed").drop_nulls()
        steps = np.array([int(name) for name in wide.columns[1:]], dtype=np.float64)
        order = np.argsort(steps)
        return wide["seed"].to_list(), steps[order], wide.drop("seed").to_numpy()[:, order]

    def verdicts(self, paradigm: str) -> dict[tuple[str, int], str]:
        """The verdict by arm and seed."""
        own = self._verdicts.get(paradigm)
        return {} if own is None else {(arm, seed): name for arm, seed, name in own.select("arm", "seed", "verdict").iter_rows()}

    def overall_verdicts(self, paradigm: str) -> dict[str, str]:
        """The verdict over all seeds, by arm."""
        own = self.frames.verdicts.filter(pl.col("seed").is_null() & (pl.col("paradigm") == paradigm))
        return dict(own.select("arm", "verdict").iter_rows())

    def _known(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of the study's own arms and seeds."""
        return frame.filter(pl.col("arm").is_in(self.arms) & pl.col("seed").is_in(self.seeds))

    def _of_pairs(self, paradigm: str) -> dict[str, Values]:
        if paradigm not in self._outcomes:  # no arm has been read yet
            nothing = Values(self.arms, self.seeds, np.full((*self._shape(), 1), np.nan), np.ones(1, dtype=np.int64))
            return dict.fromkeys(OF_PAIRS, nothing)
        frame = self._outcomes[paradigm]
        pairs = frame.select("pair", "contrast").unique().sort("pair")
        if pairs["pair"].n_unique() != len(pairs):
            raise OntogenyError(f"a pair of {paradigm} has several contrasts: the arms were read on different pairs")
        codes = {pair: index for index, pair in enumerate(pairs["pair"])}
        cells = frame.group_by("arm", "seed").agg(pl.len(), pl.col("pair").n_unique().alias("pairs"))
        if len(wrong := cells.filter((pl.col("pairs") != len(pairs)) | (pl.col("len") != len(pairs)))):
            row = wrong.sort("arm", "seed").row(0, named=True)
            raise OntogenyError(
                f"arm {row['arm']!r}, seed {row['seed']} has {row['len']} rows for the {len(pairs)} pairs of {paradigm}: "
                "all arms and seeds must have each pair once"
            )
        place = np.ravel_multi_index(
            (*self._places(frame), frame["pair"].replace_strict(codes).to_numpy()), (*self._shape(), len(pairs))
        )
        clusters = pairs["contrast"].rank("dense").cast(pl.Int64).fill_null(-1).to_numpy()
        if (clusters < 0).any():
            raise OntogenyError(f"a pair of {paradigm} has no contrast")
        if self.study.file.analysis.clusters == "pair":
            clusters = np.arange(len(pairs))
        found = {}
        for measure in OF_PAIRS:
            values = np.full((*self._shape(), len(pairs)), np.nan)
            values.flat[place] = frame[measure].cast(pl.Float64).fill_null(np.nan).to_numpy()
            sums, sizes = cluster_sums(values, clusters)
            found[measure] = Values(self.arms, self.seeds, sums, sizes)
        return found

    def _learned_at(self, paradigm: str) -> Values:
        """Tokens until learned, restricted to the tokens that every arm and seed saw: never learned counts as those."""
        frame, thresholds = self._curves.get(paradigm), self.study.base.verdicts
        values, never = np.full(self._shape(), np.nan), np.zeros(self._shape(), dtype=np.int64)
        if frame is not None and len(frame) and not frame["tokens"].null_count():
            horizon = float(frame.group_by("arm", "seed").agg(pl.col("tokens").max())["tokens"].min())  # type: ignore[arg-type]
            hi = upper_edge(self._outcomes[paradigm]["pair"].n_unique(), len(self.paradigms), thresholds)
            for (arm, seed), curve in frame.sort("step").partition_by("arm", "seed", as_dict=True).items():
                place = self.arms.index(str(arm)), self.seeds.index(int(seed))  # type: ignore[call-overload]
                at = tokens_until_learned(curve, hi, thresholds)
                never[place] = at is None or at > horizon
                values[place] = horizon if at is None else min(at, horizon)
        return Values(self.arms, self.seeds, values[..., None], np.ones(1, dtype=np.int64), never)

    def _last(self, frame: pl.DataFrame) -> Values:
        """What a run has one of at its last checkpoint.  `frame`: arm, seed, step, value."""
        values = np.full(self._shape(), np.nan)
        last = self._known(frame).sort("step").group_by("arm", "seed").last()
        if len(last):
            values[self._places(last)] = last["value"].cast(pl.Float64).to_numpy()
        return Values(self.arms, self.seeds, values[..., None], np.ones(1, dtype=np.int64))

    def _shape(self) -> tuple[int, int]:
        return len(self.arms), len(self.seeds)

    def _places(self, frame: pl.DataFrame) -> tuple[Ints, Ints]:
        arm = {name: index for index, name in enumerate(self.arms)}
        seed = {number: index for index, number in enumerate(self.seeds)}
        return (
            frame["arm"].replace_strict(arm, return_dtype=pl.Int64).to_numpy(),
            frame["seed"].replace_strict(seed, return_dtype=pl.Int64).to_numpy(),
        )


def _basin(late: Values) -> Values:
    """1 where a seed ends above BASIN, 0 where it does not.  `late`: late accuracies."""
    means = late.means()
    found = np.where(np.isnan(means), np.nan, means > BASIN)
    return Values(late.arms, late.seeds, found[..., None], np.ones(1, dtype=np.int64))


def tokens_until_learned(curve: pl.DataFrame, hi: float, thresholds: Thresholds) -> float | None:
    """Tokens at the first trained checkpoint at or above `hi` that lasts `thresholds.lasting` checkpoints; None if never.

    `curve`: step, tokens, accuracy of one seed, in order.
    """
    steps = curve["step"].to_numpy()
    trained = steps >= thresholds.untrained * steps[-1] - ROUNDING
    step = acquired_lasting(steps[trained], curve["accuracy"].to_numpy()[trained], hi, thresholds.lasting)
    return None if step is None else float(curve["tokens"].to_numpy()[steps == step][0])


def achieved(evidence: pl.DataFrame) -> pl.DataFrame:
    """The bigram margin that each arm achieved, nats: arm, paradigm, bigram margin.

    Over the periods in which an edit of its text holds, each weighed by its length; over all of training where none does.
    """
    length = pl.col("until") - pl.col("start")
    own = evidence.drop_nulls("bigram_margin").with_columns(length=length).filter(pl.col("length") > 0)
    held = own.filter(pl.col("edited") | ~pl.col("edited").any().over("arm", "paradigm"))
    mean = (pl.col("bigram_margin") * pl.col("length")).sum() / pl.col("length").sum()
    return held.group_by("arm", "paradigm").agg(mean.alias("bigram margin")).sort("arm", "paradigm")


def _by_paradigm(frame: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    return {str(name): rows for (name,), rows in frame.partition_by("paradigm", as_dict=True).items()}

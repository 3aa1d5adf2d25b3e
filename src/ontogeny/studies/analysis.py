"""From the frames of a study's runs to its claims, effects, flips of verdicts and divided seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import polars as pl

from ontogeny.estimators.means import Comparison
from ontogeny.estimators.significance import Share, flips, holm
from ontogeny.studies.bimodality import split
from ontogeny.studies.claims import claims, disagreement, generator_of
from ontogeny.studies.estimates import difference, estimated
from ontogeny.studies.gathering import StudyFrames
from ontogeny.studies.measures import OF_PAIRS, Measures
from ontogeny.studies.plan import Study

OF_PARADIGMS = (*OF_PAIRS, "learned_at", "basin")
EFFECTS: dict[str, Any] = {
    "arm": pl.String,
    "paradigm": pl.String,  # null: dev_loss
    "measure": pl.String,
    "mean": pl.Float64,
    "difference": pl.Float64,  # from the reference, over seeds that both have
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "seeds": pl.Int64,  # of the difference; of the reference: of its mean
    "never": pl.Int64,  # learned_at: seeds of this arm that never learned
}
FLIPS: dict[str, Any] = {
    "arm": pl.String,
    "paradigm": pl.String,
    "before": pl.String,  # the reference's verdict over all seeds
    "after": pl.String,
    "seeds": pl.Int64,  # that both have
    "flipped": pl.Int64,  # whose verdicts differ
    "share": pl.Float64,
    "low": pl.Float64,  # Clopper & Pearson
    "high": pl.Float64,
    "by_chance": pl.Float64,  # share of pairs of the reference's own seeds that differ
}
DIVIDED: dict[str, Any] = {
    "arm": pl.String,
    "paradigm": pl.String,
    "measure": pl.String,
    "seeds": pl.Int64,
    "lower": pl.Float64,  # means of the two groups
    "upper": pl.Float64,
    "in_lower": pl.Int64,
    "share": pl.Float64,  # of the variation over seeds that lies between them
    "p": pl.Float64,
    "p_corrected": pl.Float64,  # Holm, over all rows
}


@dataclass(frozen=True, slots=True, eq=False)
class Analysed:
    """What a study found."""

    claims: pl.DataFrame  # claims.CLAIMS
    effects: pl.DataFrame  # EFFECTS
    flips: pl.DataFrame  # FLIPS
    divided: pl.DataFrame  # DIVIDED

    def tables(self) -> dict[str, pl.DataFrame]:
        """By the name of their file under `analysis`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def analyse(study: Study, frames: StudyFrames) -> Analysed:
    """Decides every prediction and describes every arm; arms and seeds that are not there yet are named, not guessed.

    Raises OntogenyError for frames that do not fit together or lack a paradigm that the study names.
    """
    measures = Measures(study, frames)
    return Analysed(claims(study, measures), effects(study, measures), flipped(study, measures), divided(study, measures))


def effects(study: Study, measures: Measures) -> pl.DataFrame:
    """Each arm, paradigm and measure: mean, and difference from the reference within seeds with interval and sign-flip p.

    The p are not corrected: predictions are decided by `claims`.  learned_at is in tokens, restricted to the end of training.
    """
    own = [measure for measure in study.readings if study.of_paradigms(measure)]
    of_runs = [measure for measure in study.readings if measure not in own]
    rows = [row for paradigm in measures.paradigms for row in _effects_of(study, measures, paradigm, (*OF_PARADIGMS, *own))]
    rows += _effects_of(study, measures, None, ("dev_loss", *of_runs))
    return pl.DataFrame(rows, EFFECTS, orient="row")


def _effects_of(study: Study, measures: Measures, paradigm: str | None, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    values = measures.several(names, paradigm)
    pairs = [(name, arm.name) for name in names for arm in study.arms if values[name].there(arm.name)]
    reference = study.file.reference
    compared = [(name, arm) for name, arm in pairs if arm != reference and values[name].there(reference)]
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for group in (
        OF_PAIRS,
        ("learned_at", "basin", "dev_loss", *study.readings),
    ):  # those of pairs share their clusters, and so their draws
        own = [(name, arm) for name, arm in compared if name in group]
        differences = [difference(values[name], arm, reference) for name, arm in own]
        found |= dict(zip(own, _estimates(study, paradigm, [name for name, _ in own], differences), strict=True))
    for name, arm in pairs:
        place, there = values[name].arms.index(arm), values[name].there(arm)
        row = {"arm": arm, "paradigm": paradigm, "measure": name, "mean": float(np.nanmean(values[name].means()[place]))}
        if (censored := values[name].censored) is not None:
            row["never"] = int(censored[place][np.isin(values[name].seeds, there)].sum())
        yield {"seeds": len(there)} | row | found.get((name, arm), {})


def _estimates(study: Study, paradigm: str | None, names: list[str], comparisons: list[Comparison]) -> Iterator[dict[str, Any]]:
    analysis, generator = study.file.analysis, generator_of(study.file.analysis, paradigm)
    for found in estimated(names, comparisons, analysis.resamples, generator):
        if found is None:
            yield {"seeds": 0}
            continue
        low, high = found.interval(analysis.confidence) if len(found.seeds) > 1 else (None, None)
        p = flips(found.by_seed, analysis.confidence, generator)
        yield {"difference": found.value, "low": low, "high": high, "p": p, "seeds": len(found.seeds)}


def flipped(study: Study, measures: Measures) -> pl.DataFrame:
    """Each arm and paradigm: the verdict over all seeds beside the reference's, and in how many seeds it differs."""
    rows: list[dict[str, Any]] = []
    base = study.file.reference
    for paradigm in measures.paradigms:
        verdicts, overall = measures.verdicts(paradigm), measures.overall_verdicts(paradigm)
        seeds = [seed for seed in study.file.seeds if (base, seed) in verdicts]
        chance = disagreement(verdicts, base, seeds) if len(seeds) > 1 else None
        for arm in (arm.name for arm in study.arms if arm.name != base):
            paired = [seed for seed in seeds if (arm, seed) in verdicts]
            row = {"arm": arm, "paradigm": paradigm, "seeds": len(paired), "by_chance": chance}
            row |= {"before": overall.get(base), "after": overall.get(arm)}
            if paired:
                count = sum(verdicts[arm, seed] != verdicts[base, seed] for seed in paired)
                low, high = Share(count / len(paired), tuple(paired)).interval(study.file.analysis.confidence)
                row |= {"flipped": count, "share": count / len(paired), "low": low, "high": high}
            if paired or arm in overall:
                rows.append(row)
    return pl.DataFrame(rows, FLIPS, orient="row")


def divided(study: Study, measures: Measures, measure: str = "late_accuracy") -> pl.DataFrame:
    """Arms and paradigms with seeds enough: whether the seeds fall into two groups (see `bimodality.split`)."""
    rows: list[dict[str, Any]] = []
    for paradigm in measures.paradigms:
        values = measures.values(measure, paradigm)
        for arm, means in zip(values.arms, values.means(), strict=True):
            if (found := split(means)) is not None:
                seeds = int((~np.isnan(means)).sum())
                rows.append({"arm": arm, "paradigm": paradigm, "measure": measure, "seeds": seeds} | asdict(found))
    for row, p in zip(rows, holm(np.array([row["p"] for row in rows], dtype=np.float64)), strict=True):
        row["p_corrected"] = float(p)
    return pl.DataFrame(rows, DIVIDED, orient="row")

"""Can a study decide?  Its chance of supporting what is expected and of refuting what is not there, simulated beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl

from ontogeny.estimators.means import student_level, without_draws
from ontogeny.estimators.significance import share_level
from ontogeny.records import OntogenyError
from ontogeny.results import Results
from ontogeny.store import RunFolder
from ontogeny.studies.claims import combined, signs
from ontogeny.studies.measures import tokens_until_learned
from ontogeny.studies.plan import Prediction, Study
from ontogeny.trajectories.bands import upper_edge
from ontogeny.trajectories.timeline import Floats, Ints, windows

WANTED = 0.8  # chance below which a study says that it cannot decide
MOST_SEEDS = 64  # that are looked at for one that could
# Of a paradigm's accuracy over seeds, to plan with where no earlier runs are given.  Of Patil et al.'s (2024) transformers,
# recomputed from their results, the median over paradigms is .0206 and the 90th percentile .045.
SD = 0.03
ACCURACIES = ("early_accuracy", "late_accuracy")
POWER: dict[str, Any] = {
    "prediction": pl.String,
    "paradigms": pl.Int64,
    "seeds": pl.Int64,
    "sd": pl.Float64,  # over seeds, of the measure in one arm; null for shares
    "effect": pl.Float64,  # that is expected
    "supported": pl.Float64,  # chance, if the effect is as expected
    "refuted": pl.Float64,  # chance, if there is none
    "falsely": pl.Float64,  # chance of supported, if there is none
    "decides": pl.Boolean,  # both at least WANTED
    "seeds_needed": pl.Int64,  # null: more than MOST_SEEDS
    "note": pl.String,
}


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A prediction as far as its chances depend on it."""

    prediction: Prediction
    rows: int  # paradigms
    abscissa: Floats  # (arms,), the reference first: what a slope is over; else 0 and ones
    sd: float
    correlation: float  # of a seed's values in different arms


def power(
    study: Study,
    sd: Mapping[str, float] | None = None,
    abscissae: Mapping[str, Mapping[str, float]] | None = None,
    *,
    controls: int | None = None,
    simulations: int = 400,
    correlation: float = 0.0,
) -> pl.DataFrame:
    """One row a prediction: its chances with the study's seeds (POWER), and how many seeds would do.

    Each simulated study draws a normal value for every arm, seed and paradigm with the standard deviation `sd` of the measure
    (`seed_sd` of earlier runs; accuracies: SD by default), adds the expected effect or none, and is judged by the study's own
    rules: intervals, Holm, regions, combination.  Pairs are taken for many, so that seeds alone make the interval.  An arm's values
    of one seed go together by `correlation`; none is the careful guess.

    "supported" is simulated under the expected effect and "refuted" under none; where none is what would support a prediction, as
    of an equivalence, the other way round.  `abscissae`: by paradigm and arm, what a slope over bigram_margin will be over, once
    the edits are made; without them the factor `dose` stands in, which aims at B0 + 2 d |B0| (then `expected` is per 2 |B0|).
    `controls`: how many paradigms are controls where the study does not list them.
    """
    known = dict.fromkeys(ACCURACIES, SD) | {"basin": 0.5} | dict(sd or {})  # a share of seeds varies by no more
    rows = []
    for name, prediction in study.file.predictions.items():
        row: dict[str, Any] = {"prediction": name, "seeds": len(study.file.seeds)}
        effect = study.effect_of(name)
        try:
            design = _design(study, prediction, known, abscissae or {}, controls, correlation)
            if effect is None:
                raise OntogenyError(f"the study expects no effect of {prediction.measure}, so nothing is simulated")
        except OntogenyError as error:
            rows.append(row | {"note": str(error)})
            continue
        generator = (study.file.analysis.seed, crc32(name.encode()))
        rows.append(row | _chances(study, design, effect, generator, simulations))
    return pl.DataFrame(rows, POWER, orient="row")


def _chances(study: Study, design: Design, effect: float, stream: Sequence[int], simulations: int) -> dict[str, Any]:
    prediction = design.prediction
    truths = (0.0, effect) if prediction.supported.holds(0.0, 0.0) else (effect, 0.0)  # under which it is supported, refuted
    notes = []
    if not prediction.supported.holds(truths[0], truths[0]):
        notes.append(f"the expected effect {effect:g} is not {prediction.supported}: it would not support this")

    def chance(verdict: int, truth: float, seeds: int) -> float:
        generator = np.random.default_rng([*stream, seeds])
        return float((simulate(design, study, truth, seeds, simulations, generator) == verdict).mean())

    def both(seeds: int) -> tuple[float, float]:
        return chance(1, truths[0], seeds), chance(-1, truths[1], seeds)

    seeds = len(study.file.seeds)
    supported, refuted = both(seeds)
    decides = min(supported, refuted) >= WANTED
    needed = seeds if decides else None if notes else _needed(lambda n: min(both(n)), seeds)
    if not decides:
        never = "no effect of that size is there to be found" if notes else f"{MOST_SEEDS} seeds could not"
        said = f"cannot decide with {seeds} seeds (chances {supported:.2f} and {refuted:.2f}, below {WANTED:g})"
        notes.append(f"{said}; {f'{needed} seeds could' if needed else never}")
    return {
        "paradigms": design.rows,
        "sd": None if prediction.of == "change" else design.sd,
        "effect": effect,
        "supported": supported,
        "refuted": refuted,
        "falsely": chance(1, 0.0, seeds) if truths[0] else None,
        "decides": decides,
        "seeds_needed": needed,
        "note": "; ".join(notes),
    }


def _needed(least: Any, seeds: int) -> int | None:
    """The fewest seeds whose lesser chance reaches WANTED, by doubling and halving; chances are taken to grow with seeds."""
    low, high = seeds, max(2 * seeds, 4)
    while least(min(high, MOST_SEEDS)) < WANTED:
        if high >= MOST_SEEDS:
            return None
        low, high = high, 2 * high
    high = min(high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if least(middle) >= WANTED else (middle, high)
    return high


def simulate(design: Design, study: Study, effect: float, seeds: int, simulations: int, generator: np.random.Generator) -> Ints:
    """The verdicts on simulated studies whose true effect is `effect`: 1 supported, -1 refuted, 0 undecided."""
    prediction = design.prediction
    regions = (prediction.supported, prediction.refuted)
    at_once = max(1, 500_000 // (design.rows * seeds * len(design.abscissa)))  # keeps the arrays small
    found = []
    for start in range(0, simulations, at_once):
        count = min(at_once, simulations - start)
        if prediction.of == "change":
            shares = (generator.random((count, design.rows, seeds)) < effect).mean(axis=-1)
            levels = [share_level(shares, seeds, region) for region in regions]
        else:
            estimates = without_draws(_tables(design, effect, seeds, count, generator))
            levels = [student_level(*estimates, region) for region in regions]
        found.append(combined(signs(levels[0], levels[1], study.file.analysis), prediction))
    return np.concatenate(found)


def _tables(design: Design, effect: float, seeds: int, count: int, generator: np.random.Generator) -> Floats:
    """(studies, rows, seeds, clusters): what each row of a prediction is estimated from."""
    arms = len(design.abscissa)
    shared = generator.standard_normal((count, 1, seeds, design.rows)) * math.sqrt(design.correlation)
    own = generator.standard_normal((count, arms, seeds, design.rows)) * math.sqrt(1 - design.correlation)
    values = design.sd * (shared + own) + effect * design.abscissa[:, None, None]  # (studies, arms, seeds, paradigms)
    if design.prediction.of == "slope":
        centred = design.abscissa - design.abscissa.mean()
        values = np.einsum("a,nasp->nsp", centred / (centred @ centred), values)[:, None]
    else:
        values = values[:, 1:] - values[:, :1]
    if design.prediction.combine == "mean":
        return values  # whole paradigms are the clusters
    return np.moveaxis(values, 3, 2).reshape(count, -1, seeds, 1)


def _design(
    study: Study,
    prediction: Prediction,
    sd: Mapping[str, float],
    abscissae: Mapping[str, Mapping[str, float]],
    controls: int | None,
    correlation: float,
) -> Design:
    rows = _rows(study, prediction, controls)
    if prediction.of == "change":
        return Design(prediction, rows, np.array([0.0, 1.0]), 0.0, correlation)
    measure = "late_margin" if prediction.of == "relaxation" else prediction.measure  # what is left in the end is a late margin
    if measure not in sd:
        raise OntogenyError(f"how much {measure} varies over seeds is not known; give earlier runs")
    return Design(prediction, rows, _abscissa(study, prediction, abscissae), sd[measure], correlation)


def _rows(study: Study, prediction: Prediction, controls: int | None) -> int:
    if not study.of_paradigms(prediction.measure):
        return 1
    if not isinstance(prediction.paradigms, str):
        return len(prediction.paradigms)
    if prediction.paradigms == "named":
        return len(study.file.paradigms)
    count = len(study.file.controls) if study.file.controls is not None else controls
    if not count:
        raise OntogenyError("how many paradigms are controls is not known; list them")
    return count


def _abscissa(study: Study, prediction: Prediction, abscissae: Mapping[str, Mapping[str, float]]) -> Floats:
    arms = study.arms_of(prediction)
    arms = tuple(sorted(arms, key=lambda arm: arm.name != study.base_of(prediction)))
    if prediction.of != "slope":
        return np.array([0.0] + [1.0] * (len(arms) - 1))
    if prediction.over != "bigram_margin":
        return np.array([float(arm.factors[str(prediction.over)]) for arm in arms])
    wanted = study.file.paradigms if isinstance(prediction.paradigms, str) else prediction.paradigms
    known = [
        [abscissae[p][arm.name] for arm in arms] for p in wanted if p in abscissae and all(a.name in abscissae[p] for a in arms)
    ]
    if known:
        return np.array(min(known, key=lambda values: float(np.var(values))))  # the narrowest: the hardest to see a slope over
    doses = [0.0 if arm.name == study.file.reference else arm.factors.get("dose") for arm in arms]
    if any(not isinstance(dose, float) for dose in doses) or len(set(doses)) < 2:
        raise OntogenyError("bigram margins are not measured yet, and not every arm has a number for the factor dose to stand in")
    return np.array(doses, dtype=np.float64)


# --- from earlier runs --------------------------------------------------------------------------------------------


def seed_sd(runs: Sequence[RunFolder], paradigms: Sequence[str] | None = None) -> dict[str, float]:
    """How much each measure varies over seeds: the root of the mean variance (n - 1) over paradigms and runs.

    Reads the runs' curves.parquet: late and early means of accuracy and margin, weighted as the verdicts weigh checkpoints, and
    tokens until learned (of paradigms that every seed learned).  `paradigms`: those of interest; left out: all.  Raises
    OntogenyError where no run has two seeds or one of the paradigms.
    """
    variances: dict[str, list[float]] = {}
    for results in map(Results, runs):
        wanted = True if paradigms is None else pl.col("paradigm").is_in(list(paradigms))
        for _, own in results.curves.filter(wanted).group_by("suite", maintain_order=True):
            for measure, values in _by_paradigm(results, own).items():
                variances.setdefault(measure, []).extend(values)
    if not any(variances.values()):
        raise OntogenyError(
            f"none of {len(runs)} runs has two seeds with an early or a late window on these paradigms: "
            "how much seeds vary is not known"
        )
    return {measure: math.sqrt(sum(values) / len(values)) for measure, values in variances.items() if values}


def _by_paradigm(results: Results, curves: pl.DataFrame) -> dict[str, list[float]]:
    """Variances over seeds by measure, one a paradigm."""
    thresholds = results.thresholds
    view = windows(results.timeline(curves), thresholds)
    shares = {"early": view.early_weights, "late": view.late_weights}
    weighed = curves.join(pl.DataFrame({"step": view.steps, **shares}), on="step", maintain_order="left")
    whole = weighed.filter(pl.len().over("paradigm", "seed") == len(view.steps))  # read to their end
    means = {
        f"{window}_{what}": pl.when(pl.col(what).null_count() == 0).then((pl.col(what) * pl.col(window)).sum())
        for window, weights in shares.items()
        for what in ("accuracy", "margin")
        if weights.any()
    }
    spread = (
        whole.group_by("paradigm", "seed", maintain_order=True)
        .agg(**means)
        .group_by("paradigm", maintain_order=True)
        .agg(pl.exclude("seed").var())
    )
    found: dict[str, list[float]] = {name: spread[name].drop_nulls().to_list() for name in means}
    for _, own in whole.sort("step").group_by("paradigm", maintain_order=True):
        pairs = int(own["n"][0]) if "n" in own.columns else None
        hi = thresholds.hi or 0.55 if pairs is None else upper_edge(pairs, curves["paradigm"].n_unique(), thresholds)
        at = (
            []
            if own["tokens"].null_count()
            else [tokens_until_learned(c, hi, thresholds) for _, c in own.group_by("seed", maintain_order=True)]
        )
        if len(at) > 1 and None not in at:
            found.setdefault("learned_at", []).append(float(np.var(at, ddof=1)))  # type: ignore[arg-type]
    return found

"""A small study, an edit of the text that does nothing, and frames as its runs would leave them, with a known truth."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from ontogeny.interventions.kinds import TextEdit
from ontogeny.studies import study_file

BASE = (Path(__file__).parents[1] / "tiny.py").read_text(encoding="utf-8").split('RECIPE = """')[1].split('"""')[0]
STUDY = """
name: toy
question: Does an early dose last?
recipe: base.yaml
settings: [training.batch=2]
seeds: [0, 1, 2, 3, 4, 5, 6, 7]
paradigms: [binding]
controls: [agreement]
reference: untouched
arms:
  - name: untouched
    for: {dose: [0]}
  - name: "{timing} {dose}"
    for: {timing: {all: {from: 0, until: 1}, early: {from: 0, until: 0.1}}, dose: [-1, 0.5, 1]}
    interventions: [{kind: fake, paradigm: binding, dose: "{dose}", when: "{timing}"}]
  - name: warm-up x 2
    settings: [training.warmup=0.1]
    priority: 2
predictions:
  P1:
    says: The early margin rises with the dose.
    measure: early_margin
    of: slope
    over: bigram_margin
    arms: ["all *"]
    supported: {above: 0}
    refuted: {within: 0.02}
  P2:
    says: An early dose lasts.
    measure: late_accuracy
    of: difference
    arms: [early 1]
    supported: {above: 0}
    refuted: {within: 0.03}
  P5:
    says: Controls stay.
    measure: late_accuracy
    of: equivalence
    arms: ["all *"]
    paradigms: controls
    supported: {within: 0.03}
    refuted: {outside: 0.03}
hypothesis:
  says: Early bigrams decide.
  supported: {P1: supported, P2: supported}
  refuted: {P1: supported, P2: refuted}
expected: {early_margin: 0.5, late_accuracy: 0.1}
"""


class Fake(TextEdit):
    """An edit in name alone."""

    keeps: ClassVar[tuple[str, ...]] = ("documents",)
    paradigm: str
    """What it is about."""
    dose: float
    """How much."""


def study(folder, *replaced, text=STUDY):
    """The study of STUDY; each of `replaced` is (old, new)."""
    (folder / "base.yaml").write_text(BASE, encoding="utf-8")
    for old, new in replaced:
        assert old in text, old
        text = text.replace(old, new)
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    return study_file.load(folder / "study.yaml")


@dataclass
class Frames:
    curves: pl.DataFrame
    outcomes: pl.DataFrame
    verdicts: pl.DataFrame
    evidence: pl.DataFrame
    losses: pl.DataFrame

    def without(self, **place):
        """Without the rows of an arm and seed."""
        gone = pl.all_horizontal(pl.col(name) == value for name, value in place.items())
        parts = {name: frame.filter(~gone) if set(place) <= set(frame.columns) else frame for name, frame in vars(self).items()}
        return Frames(**parts)


def frames(study, effect=lambda arm, paradigm: 0.0, sd=0.03, pairs=40, contrasts=20, seed=0, shared=0.05, noise=0.2):
    """Each pair's four measures: .6 + the effect + the seed's own + the arm and seed's own (`sd`) + its contrast's + its own.

    Margins are the same numbers, so that a slope or difference of `effect` is known for all four.
    """
    random = np.random.default_rng(seed)
    outcomes, evidence, curves, verdicts, losses = [], [], [], [], []
    for paradigm in (*study.file.paradigms, *(study.file.controls or ())):
        of_seed = dict(zip(study.file.seeds, random.normal(0, shared, len(study.file.seeds)), strict=True))
        of_contrast = random.normal(0, 0.1, contrasts)
        for arm in study.arms:
            evidence.append((arm.name, paradigm, 0.0, 1.0, float(arm.factors.get("dose", 0.0)), False))
            for number in study.file.seeds:
                mean = 0.6 + effect(arm, paradigm) + of_seed[number] + random.normal(0, sd)
                for pair in range(pairs):
                    value = mean + of_contrast[pair % contrasts] + random.normal(0, noise)
                    outcomes.append((arm.name, number, paradigm, str(pair), str(pair % contrasts), *[value] * 4))
                for step, accuracy in ((0, 0.5), (10, 0.5), (20, mean), (30, 0.9), (40, 0.9), (50, 0.9)):
                    curves.append((arm.name, number, "toy", paradigm, step, step * 100, float(step), accuracy, 0.0))
                verdicts.append((arm.name, number, paradigm, "learned"))
    for arm in study.arms:
        losses += [(arm.name, number, step, 5.0 - step / 50) for number in study.file.seeds for step in (0, 50)]
    kept = ["early_margin", "early_accuracy", "late_margin", "late_accuracy"]
    return Frames(
        curves=table(curves, ["arm", "seed", "suite", "paradigm", "step", "tokens", "words", "accuracy", "margin"]),
        outcomes=table(outcomes, ["arm", "seed", "paradigm", "pair", "contrast", *kept]),
        verdicts=table(verdicts, ["arm", "seed", "paradigm", "verdict"]),
        evidence=table(evidence, ["arm", "paradigm", "start", "until", "bigram_margin", "edited"]),
        losses=table(losses, ["arm", "seed", "step", "dev_loss"]),
    )


def table(rows, names):
    return pl.DataFrame(rows, schema=names, orient="row")


def with_values(made, values, measure="late_accuracy"):
    """A copy of frames whose pairs of (arm, seed) all have `values[arm][place of seed]`; other arms and seeds are left out."""
    made = copy.copy(made)
    seeds = made.outcomes["seed"].unique().sort().to_list()
    known = {(arm, seed): float(v) for arm, row in values.items() for seed, v in zip(seeds, row, strict=False) if v is not None}
    look = pl.struct("arm", "seed").map_elements(lambda key: known.get((key["arm"], key["seed"])), return_dtype=pl.Float64)
    made.outcomes = made.outcomes.with_columns(look.alias(measure)).drop_nulls(measure)
    return made

"""Made-up tables of the n-gram evidence for any curves and verdicts: nothing is counted or trained."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import polars as pl
import tiny

from ontogeny.disk import write_table
from ontogeny.instruments import WITH_EVIDENCE
from ontogeny.store import RunFolder

ORDERS = (1, 2, 3, 4, 5)
QUESTIONS = ("stays wrong", "ends wrong")
PREDICTORS = ("b", "u", "length", "early margin", "b + u + length", "all")


def evidence_of(curves: pl.DataFrame, verdicts: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Every table of the evidence of one suite, by name."""
    suite = curves["suite"][0]
    tables = {
        "ladder": ladder_of(curves),
        "rungs": rungs_of(curves),
        "reliance": reliance_of(curves),
        "foretold": foretold_of(),
        "contests": contests_of(),
        "tables": tables_of(verdicts),
        "matched": matched_of(curves),
        "ngram_curves": ngram_curves_of(curves, verdicts),
        "margins": margins_of(verdicts),
    }
    named = {name: table.select(pl.lit(suite).alias("suite"), pl.all()) for name, table in tables.items()}
    return {**named, "distance": distance_of(curves)}


def add_evidence(run: RunFolder) -> RunFolder:
    """Writes the evidence of a run's first suite into its folder."""
    curves, verdicts = pl.read_parquet(run.curves), pl.read_parquet(run.verdicts)
    suite = curves["suite"][0]
    for name, table in evidence_of(curves.filter(suite=suite), verdicts.filter(suite=suite)).items():
        if name not in WITH_EVIDENCE:
            write_table(run.evidence(name), table)
            continue
        for (seed, step), part in table.group_by("seed", "step", maintain_order=True):
            tiny.keep_reading(run, name, seed, step, **part.drop("seed", "step").to_dict(as_series=False))
    return run


def times(curves: pl.DataFrame) -> tuple[list[int], list[int], int]:
    """Seeds, steps and the last step."""
    steps = sorted(curves["step"].unique().to_list())
    return sorted(curves["seed"].unique().to_list()), steps, max(steps[-1], 1)


def agreement(order: int, share: float) -> float:
    """A correlation with the model of that order: each has its peak later than the one before it, and a lower one."""
    peak = 0.35 + 0.13 * order
    return (0.92 - 0.06 * order) * float(np.exp(-(((share - peak) / (0.28 + 0.03 * order)) ** 2))) if share else 0.02 * order


def ladder_of(curves: pl.DataFrame) -> pl.DataFrame:
    seeds, steps, last = times(curves)
    found = []
    names = ["", *curves["paradigm"].unique().sort().to_list()]
    for place, paradigm in enumerate(names):
        random = np.random.default_rng(place)
        shift = 0.0 if not place else random.normal(0, 0.08)
        kinds = ("pairs", "within", "paradigms") if not place else ("pairs",)
        for seed, step, level, order, by in product(seeds, steps, ("token", "word"), ORDERS, kinds):
            share = np.log1p(step) / np.log1p(last)
            r = agreement(order, share + shift) * {"pairs": 1.0, "within": 0.7, "paradigms": 0.95}[by]
            r = float(np.clip(r + random.normal(0, 0.015) - (level == "word") * 0.05, -1, 1))
            found.append((seed, step, paradigm, by, level, order, r, 0.95 * r, 1000 if place else 1000 * (len(names) - 1)))
    columns = ["seed", "step", "paradigm", "by", "level", "order", "r", "rho", "n"]
    return pl.DataFrame(found, schema=columns, orient="row")


def rungs_of(curves: pl.DataFrame) -> pl.DataFrame:
    seeds, steps, _ = times(curves)
    found = []
    for place, (paradigm, seed) in enumerate(product(curves["paradigm"].unique().sort().to_list(), seeds)):
        step = steps[len(steps) // 2 + place % 3]
        left = steps[-2] if place % 3 == 0 else None
        found.append((seed, paradigm, 1 + place % 5, step, 0.8, 0.3 + 0.1 * (place % 4), left))
    columns = ["seed", "paradigm", "closest_order", "closest_step", "peak_r", "end_r", "left_step"]
    return pl.DataFrame(found, schema=columns, orient="row")


def distance_of(curves: pl.DataFrame) -> pl.DataFrame:
    seeds, steps, last = times(curves)
    found = []
    for seed, step, order in product(seeds, steps, ORDERS):
        share = np.log1p(step) / np.log1p(last)
        near = agreement(order, share)
        kl = 0.35 + 0.15 * order + 4.5 * (1 - near) * (1 - 0.5 * share) + 0.01 * seed
        found.append((seed, step, order, kl, 1.2 * kl, 2048))
    return pl.DataFrame(found, schema=["seed", "step", "order", "kl", "kl_reverse", "contexts"], orient="row")


def reliance_of(curves: pl.DataFrame) -> pl.DataFrame:
    seeds, steps, last = times(curves)
    found = []
    names = ["", *curves["paradigm"].unique().sort().to_list()]
    for paradigm, seed, step in product(names, seeds, steps):
        share = float(np.log1p(step) / np.log1p(last))
        betas = {"u": 0.6 * agreement(1, share), "b": 0.8 * agreement(2, share), "length": 0.3 * (1 - share)}
        for predictor, beta in betas.items():
            r2 = 0.75 * agreement(2, share) ** 2 + 0.05
            row = (beta, 0.3 * beta, r2, 0.8 * beta**2, 0.5 * beta**2, 1000)
            found.append((seed, step, paradigm, predictor, *row))
    columns = ["seed", "step", "paradigm", "predictor", "beta", "slope", "r2", "r2_alone", "r2_unique", "n"]
    return pl.DataFrame(found, schema=columns, orient="row")


def foretold_of() -> pl.DataFrame:
    found: list[tuple[Any, ...]] = []
    aucs = {"b": 0.76, "u": 0.58, "length": 0.52, "early margin": 0.81, "b + u + length": 0.74, "all": 0.83}
    for question, (predictors, auc) in product(QUESTIONS, aucs.items()):
        undecided = question == "stays wrong"
        found.append((question, predictors, auc, auc - 0.11, auc + 0.1, 18, 5 if undecided else 49, undecided, 0.17, 0.1, 0.9))
    columns = ["question", "predictors", "auc", "low", "high", "positives", "negatives", "undecided", "brier"]
    return pl.DataFrame(found, schema=[*columns, "calibration_intercept", "calibration_slope"], orient="row")


def contests_of() -> pl.DataFrame:
    rows = []
    for question in QUESTIONS:
        rows.append((question, "b", "u", 0.18, 0.04, 0.31, "undecided" if question == "stays wrong" else "better"))
        rows.append((question, "b", "length", 0.24, 0.09, 0.38, "undecided" if question == "stays wrong" else "better"))
        rows.append((question, "b", "early margin", -0.05, -0.16, 0.05, "undecided"))
    table = pl.DataFrame(rows, schema=["question", "first", "second", "difference", "low", "high", "verdict"], orient="row")
    raw = table.with_columns(verdict=pl.lit("worse"))
    return pl.concat([part.with_columns(measure=pl.lit(name)) for name, part in (("out of fold", table), ("raw", raw))])


def bigram_accuracy(verdicts: pl.DataFrame) -> dict[str, float]:
    """A bigram model's accuracy by paradigm: some way toward the network's."""
    random = np.random.default_rng(7)
    late = verdicts.sort("paradigm").select("paradigm", "late_mean").iter_rows()
    return {name: float(np.clip(0.5 + 0.6 * ((mean or 0.5) - 0.55) + random.normal(0, 0.14), 0.02, 0.98)) for name, mean in late}


def tables_of(verdicts: pl.DataFrame) -> pl.DataFrame:
    bigrams, rows = bigram_accuracy(verdicts), []
    states = dict(verdicts.select("paradigm", pl.col("late_state").eq(-1)).iter_rows())
    for among, order, level in product(("all", "early wrong"), ORDERS, ("token", "word")):
        names = [name for name in states if among == "all" or name in states]
        cells = [sum((bigrams[n] < 0.5) == x and bool(states[n]) == y for n in names) for x, y in product((True, False), repeat=2)]
        rows.append((among, order, level, *cells, 3.1, 0.9, 11.2, 0.06, 0.12))
    columns = ["among", "order", "level", "wrong_and_wrong", "wrong_and_right", "right_and_wrong", "right_and_right"]
    return pl.DataFrame(rows, schema=[*columns, "odds_ratio", "low", "high", "p", "p_adjusted"], orient="row")


def matched_of(curves: pl.DataFrame) -> pl.DataFrame:
    rows: list[tuple[Any, ...]] = []
    for place, paradigm in enumerate(["", *curves["paradigm"].unique().sort().to_list()]):
        difference = 0.08 if not place else float(np.random.default_rng(place).normal(0.07, 0.09))
        half = 0.02 if not place else 0.08
        estimates = (difference, difference - half, difference + half, 0.01, 0.02 if abs(difference) > half else 0.4, 2.1)
        rows.append((paradigm, 9000, *estimates) if place % 5 != 4 else (paradigm, 6, *[None] * 6))
    columns = ["paradigm", "pairs", "difference", "low", "high", "p", "p_adjusted", "margin_difference"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def ngram_curves_of(curves: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    seeds, steps, last = times(curves)
    bigrams = bigram_accuracy(verdicts)
    phenomena = dict(curves.select("paradigm", "phenomenon").unique().iter_rows())
    rows = []
    for (paradigm, end), seed, step, level, order in product(bigrams.items(), seeds, steps, ("token", "word"), ORDERS):
        share = float(np.log1p(step) / np.log1p(last))
        accuracy = 0.5 + (end - 0.5 + 0.015 * (order - 2)) * share
        rows.append((seed, step, level, order, paradigm, phenomena[paradigm], accuracy, 4 * (accuracy - 0.5)))
    columns = ["seed", "step", "level", "order", "paradigm", "phenomenon", "accuracy", "margin"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def margins_of(verdicts: pl.DataFrame, pairs: int = 20) -> pl.DataFrame:
    rows = []
    for (paradigm, accuracy), level, order in product(bigram_accuracy(verdicts).items(), ("token", "word"), ORDERS):
        right = round(accuracy * pairs)
        for pair in range(pairs):
            margin = 1.5 if pair < right else -1.5
            rows.append((paradigm, str(pair), level, order, margin, margin, 7, 7))
    columns = ["paradigm", "pair", "level", "order", "margin", "margin_eos", "length_good", "length_bad"]
    return pl.DataFrame(rows, schema=columns, orient="row")

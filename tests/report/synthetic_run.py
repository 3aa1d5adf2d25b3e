"""A run's folder with made-up but plausible numbers, for the report's tests: no model is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import tiny

from ontogeny.disk import write_table
from ontogeny.recipe import Thresholds
from ontogeny.store import RunFolder
from ontogeny.trajectories import Timeline, judge

STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 330, 660, 990, 1320, 1650, 1980, 2310, 2640, 2970, 3300)
STEPS += (3630, 3960, 4290, 4620, 4950, 5280, 5610, 5940, 6270, 6600)
TOTAL = 6600
PHENOMENA = ("agreement", "binding", "island_effects", "npi_licensing")
SHAPES = ("learned", "stuck", "recovers", "forgets", "flat", "late")
UNIGRAM_ENTROPY = 6.1


def accuracy(shape: str, share: np.ndarray) -> np.ndarray:
    """A curve of accuracy over log-training, 0 to 1."""
    rise = 1 / (1 + np.exp(-14 * (share - 0.62)))
    return {
        "learned": 0.5 + 0.42 * rise,
        "stuck": 0.5 - 0.36 / (1 + np.exp(-16 * (share - 0.45))),
        "recovers": 0.5 - 0.3 * np.exp(-(((share - 0.6) / 0.12) ** 2)) + 0.38 / (1 + np.exp(-40 * (share - 0.87))),
        "forgets": 0.5 + 0.33 * np.exp(-(((share - 0.75) / 0.12) ** 2)) - 0.12 / (1 + np.exp(-60 * (share - 0.95))),
        "flat": np.full_like(share, 0.5),
        "late": 0.5 + 0.35 / (1 + np.exp(-50 * (share - 0.93))),
    }[shape]


def paradigm_names(count: int) -> list[tuple[str, str]]:
    """(paradigm, phenomenon) pairs."""
    return [(f"{PHENOMENA[i % 4]}_{SHAPES[i % 6]}_{i}", PHENOMENA[i % 4]) for i in range(count)]


def curves_of(
    paradigms: list[tuple[str, str]],
    seeds: int = 2,
    steps: tuple[int, ...] = STEPS,
    suite: str = "blimp",
    n: int = 1000,
) -> pl.DataFrame:
    """A table like run.curves."""
    at = np.array(steps)
    share = np.log1p(at) / np.log1p(TOTAL)
    frames = []
    for index, (paradigm, phenomenon) in enumerate(paradigms):
        for seed in range(seeds):
            noise = np.random.default_rng([index, seed])
            curve = np.clip(accuracy(SHAPES[index % 6], share) + noise.normal(0, 0.012, len(at)), 0, 1)
            good = -92 + 48 * share**0.7 + noise.normal(0, 0.3, len(at)) + index % 7
            frames.append(
                pl.DataFrame(
                    {
                        "suite": suite,
                        "paradigm": paradigm,
                        "phenomenon": phenomenon,
                        "field": "syntax" if index % 2 else "morphology",
                        "seed": seed,
                        "step": at,
                        "n": n,
                        "accuracy": np.round(curve * n) / n,
                        "margin": 9 * (curve - 0.5),
                        "logp_good": good,
                        "logp_bad": good - 9 * (curve - 0.5),
                        "ties": 0,
                        "accuracy_per_token": curve,
                        "accuracy_length": 0.5 + 0.1 * (index % 3 - 1),
                        "tokens": at * 4096,
                        "words": at * 3000.0,
                    }
                )
            )
    field = pl.DataFrame(paradigms, schema=["paradigm", "phenomenon"], orient="row").unique("phenomenon", maintain_order=True)
    names = {row["phenomenon"]: "syntax" if i % 2 else "morphology" for i, row in enumerate(field.to_dicts())}
    return pl.concat(frames).with_columns(field=pl.col("phenomenon").replace_strict(names))


def verdicts_of(curves: pl.DataFrame, human: bool = True) -> pl.DataFrame:
    """What trajectories says about them, with few resamples."""
    timeline = Timeline(tuple(sorted(curves["step"].unique())), TOTAL, 330, 256, tokens_per_step=4096, words_per_step=3000.0)
    found = [judge(part, timeline, Thresholds(resamples=20)) for _, part in curves.group_by("suite", maintain_order=True)]
    return pl.concat(found).with_columns(human=pl.lit(0.91 if human else None, pl.Float64))


def pairs_of(paradigms: list[tuple[str, str]], each: int = 4) -> pl.DataFrame:
    """A table like run.pairs(suite); its sentences hold characters that HTML must escape."""
    rows = [
        (
            paradigm,
            str(i),
            f"The cats & dogs that <b>{i}</b> sees run.",
            f"The cats & dogs that <b>{i}</b> sees runs.",
            phenomenon,
        )
        for paradigm, phenomenon in paradigms
        for i in range(each)
    ]
    frame = pl.DataFrame(rows, schema=["paradigm", "pair", "good", "bad", "phenomenon"], orient="row")
    return frame.with_columns(
        field=pl.lit("syntax"), one_prefix=pl.lit(False), two_prefix=pl.lit(True), contrast=pl.lit("run/runs")
    )


def losses_of(seed: int, steps: int = TOTAL) -> pl.DataFrame:
    """A table like run.losses(seed)."""
    step = np.arange(1, steps + 1)
    noise = np.random.default_rng(seed).normal(0, 0.05, len(step))
    return pl.DataFrame(
        {
            "step": step,
            "loss": 3.4 + 5.2 * np.exp(-np.log1p(step) / 2.2) + noise,
            "learning_rate": 1e-3 * np.minimum(step / 330, 0.5 * (1 + np.cos(np.pi * step / steps))),
            "gradient_norm": 1.0,
            "tokens": step * 4096,
            "words": step * 3000.0,
            "seconds": step * 0.1,
        }
    )


LINEAGE = {
    "created": "2026-11-21T14:40:00+00:00",
    "command": "ontogeny run recipes/quickstart.yaml",
    "versions": {"python": "3.11.9", "torch": "2.13.0", "ontogeny": "0.1.0"},
    "hardware": {"processor": "a laptop <4 cores>", "threads": 4},
    "training": {"steps": TOTAL, "warmup": 330, "parameters": 1_450_000, "precision": "float32", "compile": False},
    "tokens": {
        "train": {"tokens": 27_033_600, "words": 19_800_000, "documents": 810_000, "unigram_entropy": UNIGRAM_ENTROPY},
        "dev": {"tokens": 131_072, "words": 96_000, "documents": 4_000},
    },
    "suites": {"blimp": {"pairs": 66_993, "identical": 7, "too_long": 0}},
    "timeline": {
        "total": TOTAL,
        "warmup": 330,
        "trained_from": 256,
        "tokens_per_step": 4096.0,
        "words_per_step": 3000.0,
    },
}
RECIPE = """name: synthetic
seeds: [0, 1]
corpus: {kind: micro-english}
model: {kind: opt}
tokenizer: {kind: bpe}
suites: [blimp]
"""


def make_run(
    path: Path,
    *,
    count: int = 12,
    seeds: int = 2,
    steps: tuple[int, ...] = STEPS,
    suites: tuple[str, ...] = ("blimp",),
    verdicts: bool = True,
    training: bool = True,
    likelihoods: bool = True,
    paradigms: list[tuple[str, str]] | None = None,
    pairs: pl.DataFrame | None = None,
) -> RunFolder:
    """Writes such a run; what is switched off is absent, as it is in unfinished and in adopted runs."""
    run = RunFolder(path)
    paradigms = paradigms or paradigm_names(count)
    curves = pl.concat([curves_of(paradigms, seeds, steps, suite) for suite in suites])
    if not likelihoods:
        unknown = [pl.lit(None, pl.Float64).alias(name) for name in ("margin", "logp_good", "logp_bad", "accuracy_length")]
        curves = curves.with_columns(unknown)
    write_table(run.curves, curves)
    if verdicts:
        write_table(run.verdicts, verdicts_of(curves))
    if likelihoods:
        for suite in suites:
            write_table(run.pairs(suite), pairs_of(paradigms) if pairs is None else pairs)
    for seed in range(seeds):
        run.seed(seed).mkdir(parents=True, exist_ok=True)
        if training:
            write_table(run.losses(seed), losses_of(seed))
            for step in steps:
                loss = 3.5 + 5.2 * float(np.exp(-np.log1p(step) / 7.5))  # below the unigram entropy from step 256 on
                tiny.keep_reading(run, "loss", seed, step, dev=loss)
    run.note(**(LINEAGE if training else {"created": LINEAGE["created"]}))
    if training:
        run.recipe.write_text(RECIPE, encoding="utf-8")
    return run

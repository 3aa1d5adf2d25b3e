"""Folders of runs with made-up numbers and a real recipe, tokenizer and held-out text: no model is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import tiny

from ontogeny import recipe as recipes
from ontogeny.disk import write_table
from ontogeny.instruments.dev_loss import DevLoss
from ontogeny.recipe import Thresholds
from ontogeny.store import RunFolder
from ontogeny.tokens import token_store
from ontogeny.trajectories import Timeline, judge

STEPS = (0, 1, 2, 4, 8, 16, 24, 32, 40)
TEXT = ("the dog sees the cat .", "a cat runs .")  # 12 tokens with both BOS, 10 words
PHENOMENA = {"right_1": "agreement", "right_2": "agreement", "wrong_1": "islands", "wrong_2": "islands", "turns_1": "islands"}
RIGHT, WRONG = (0.5, 0.5, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.9), (0.5, 0.4, 0.35, 0.3, 0.3, 0.2, 0.2, 0.15, 0.1)
SHAPES = {"right": RIGHT, "wrong": WRONG, "turns": RIGHT}


def made(
    path: Path,
    *settings: str,
    wrong: tuple[str, ...] = (),
    seeds: int = 1,
    suite: str = "toy",
    paradigms: tuple[str, ...] = tuple(PHENOMENA),
    pairs: int = 200,
    loss: float = 2.0,
    text: tuple[str, ...] = TEXT,
    known: tuple[str, ...] = TEXT,
    better: float = 0.0,
    judged: bool = True,
) -> RunFolder:
    """A run: each paradigm takes the shape of its name, those in `wrong` go wrong; `known` is what the tokenizer knows."""
    run, context = RunFolder(path), 4
    name = f"name={path.name}"
    here = tiny.recipe(name, f"seeds={list(range(seeds))}", f"training.context={context}", "training.unit=document", *settings)
    path.mkdir(parents=True)
    run.recipe.write_text(recipes.dump(here), encoding="utf-8")
    tokenizer = tiny.words(*known)
    token_store.write(run.tokens, "dev", tiny.documents(*text), tokenizer, bos=True, key="dev")
    curves = pl.concat([_curve(name, seed, suite, pairs, better, name in wrong) for name in paradigms for seed in range(seeds)])
    write_table(run.curves, curves)
    write_table(run.pairs(suite), _pairs(paradigms, pairs))
    if judged:
        timeline = Timeline(STEPS, STEPS[-1], 4, 1, tokens_per_step=16.0, words_per_step=12.0)
        write_table(run.verdicts, judge(curves, timeline, Thresholds(resamples=10, early=0.3, late=0.3, min_late=2)))
    for seed in range(seeds):
        write_table(run.losses(seed), _losses(slow=seed == 0))
        for step in STEPS:
            tiny.keep_reading(run, DevLoss.of(here), seed, step, dev=loss + 4 * (1 - step / STEPS[-1]))
    run.note(
        kind="trained",
        created="2026-11-21T14:40:00+00:00",
        versions={"ontogeny": "0.1.0", "torch": "2.13.0"},
        hardware={"processor": "a laptop <4 cores>", "gpus": []},
        engine={"device": "cpu", "threads": 1},
        training={"parameters": 1_450_000, "steps": STEPS[-1]},
        tokens={"train": {"tokens": 2_000, "words": 1_500}},
        suites={suite: {"key": "a" * 16}},
    )
    return run


def _curve(paradigm: str, seed: int, suite: str, pairs: int, better: float, wrong: bool) -> pl.DataFrame:
    shape = np.array(WRONG if wrong else SHAPES[paradigm.split("_")[0]])
    return pl.DataFrame(
        {
            "suite": suite,
            "paradigm": paradigm,
            "phenomenon": PHENOMENA.get(paradigm, "other"),
            "field": "syntax",
            "seed": seed,
            "step": STEPS,
            "n": pairs,
            "accuracy": np.clip(shape + 0.01 * seed + better * (np.array(STEPS) > 8), 0, 1),
            "tokens": [16 * step for step in STEPS],
            "words": [12.0 * step for step in STEPS],
        }
    )


def _pairs(paradigms: tuple[str, ...], pairs: int) -> pl.DataFrame:
    rows = [(name, str(i), f"g{i}", f"b{i}") for name in paradigms for i in range(pairs)]
    return pl.DataFrame(rows, schema=["paradigm", "pair", "good", "bad"], orient="row")


def _losses(slow: bool) -> pl.DataFrame:
    """16 tokens a step: at first in 4 s, then in .5 s, in every third step in 1 s where it is slow."""
    step = np.arange(1, STEPS[-1] + 1)
    seconds = np.where(step <= 10, 4.0, np.where(slow & (step % 3 == 0), 1.0, 0.5))
    return pl.DataFrame({"step": step, "loss": 3.0, "tokens": 16 * step, "words": 12.0 * step, "seconds": seconds})

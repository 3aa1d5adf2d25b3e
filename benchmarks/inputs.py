"""What every contestant gets: the same tokenizer, weights, pairs and batches, made once for all turns."""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from benchmarks.options import say
from ontogeny import disk
from ontogeny import recipe as recipes
from ontogeny.laboratory import Run
from ontogeny.recipe import Recipe
from ontogeny.records import OntogenyError, Pair
from ontogeny.scoring import plan
from ontogeny.suites import distinct
from ontogeny.suites.blimp import BLiMP

SIZES = {"S": "opt-1m", "M": "opt-7m", "L": "opt-125m"}  # 2 layers of 128, 6 of 256, 12 of 768
Size = Literal["S", "M", "L"]
OPINIONS = 0.1  # standard deviation of the weights that are scored: untrained ones of the usual .02 hardly prefer any sentence
CHECKPOINTS = 2  # scored one after the other
STEPS = 200  # batches that are made; nobody trains longer

RECIPE = """
name: speed
corpus: {{kind: text, path: {text}}}
tokenizer: {{kind: bpe, vocab_size: {vocabulary}}}
model: {{kind: opt, size: {size}}}
training: {{context: {context}, batch: {batch}, steps: {steps}, warmup: 100}}
checkpoints: {{kind: steps}}
suites: [{{kind: blimp, path: {suite}}}]
scoring: {{live: false}}
"""


@dataclass(frozen=True)
class Inputs:
    """Folders and files that jobs name."""

    size: str
    run: Path  # a run's folder: recipe.yaml and the tokenised text
    checkpoints: tuple[Path, ...]  # models that are scored
    fresh: Path  # the model that peers train
    pairs: Path
    batches: Path  # .npy [STEPS, batch, context + 1]
    facts: dict[str, Any]

    def load_pairs(self) -> list[tuple[str, str, str, str]]:
        """paradigm, pair, good, bad."""
        return [tuple(row) for row in json.loads(self.pairs.read_text(encoding="utf-8"))]


def make(
    work: Path, size: Size, text: Path, suite: Path, pairs: int | None, vocabulary: int = 8192, words: int = 10_000_000
) -> Inputs:
    """Everything for one size, below `work`.

    text: a folder of text that the tokenizer and the batches are made of; the recipe is that of one epoch over `words` words of
    such text, so that the engine is chosen for a training of that length
    pairs: of each paradigm at most so many, None for all
    Raises OntogenyError if text or suite are not there.
    """
    if size not in get_args(Size):
        raise OntogenyError(f"size {size!r} is none of {', '.join(get_args(Size))}")
    folder = work / size
    recipe, run = _run(work, size, text, suite, vocabulary, words)
    chosen = plan.sample(distinct(BLiMP(path=suite).pairs())[0], pairs)
    disk.write_json(folder / "pairs.json", [[pair.paradigm, pair.pair, pair.good, pair.bad] for pair in chosen])
    checkpoints = tuple(_model(recipe, run, folder / f"checkpoint-{seed}", seed, OPINIONS) for seed in range(CHECKPOINTS))
    fresh = _model(recipe, run, folder / "fresh", 0, None)
    _batches(recipe, run, folder / "batches.npy")
    facts = {
        "size": size,
        "vocabulary": len(run.text.tokenizer),
        "pairs": len(chosen),
        "pairs_of_a_paradigm": pairs or "all",
        "sentences": len({text for pair in chosen for text in (pair.good, pair.bad)}),
        "stream_tokens": tokens_of(run, words),
        "measured_text_words": run.text.train.facts["words"],
    }
    return Inputs(size, run.folder.path, checkpoints, fresh, folder / "pairs.json", folder / "batches.npy", facts)


def tokens_of(run: Run, words: int) -> int:
    """Tokens of a stream of so many words, at the tokens a word of the text that is there."""
    facts = run.text.train.facts
    return int(float(facts["tokens"]) / facts["words"] * words)


def _run(work: Path, size: str, text: Path, suite: Path, vocabulary: int, words: int) -> tuple[Recipe, Run]:
    """A run whose text is tokenised; text that another size has tokenised is taken over."""
    steps, batch, context = 1, 32, 128
    said = {"text": text.resolve(), "suite": suite.resolve(), "vocabulary": vocabulary, "size": SIZES[size]}
    first = recipes.parse(RECIPE.format(**said, steps=steps, batch=batch, context=context))
    shared = Run.begin(first, work / "text")
    steps = max(1, tokens_of(shared, words) // (batch * context))
    recipe = recipes.parse(RECIPE.format(**said, steps=steps, batch=batch, context=context))
    run = Run.begin(recipe, work / size / "run")
    for part in ("tokenizer", "tokens"):
        shutil.copytree(shared.folder.path / part, run.folder.path / part, dirs_exist_ok=True)
    shutil.rmtree(work / "text")
    run.text  # noqa: B018 - finds what was copied
    return recipe, run


def _model(recipe: Recipe, run: Run, place: Path, seed: int, spread: float | None) -> Path:
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    part: Any = recipe.model.model_copy(update={"options": {} if spread is None else {"init_std": spread}})
    torch.manual_seed(seed)
    tokenizer = run.text.tokenizer
    model = part.build(len(tokenizer), recipe.training.context, run.text.first, tokenizer.pad_token_id)
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


def _batches(recipe: Recipe, run: Run, path: Path) -> None:
    """The batches that seed 0 of the run sees."""
    import numpy as np

    from ontogeny.tokens.rows import rows_of
    from ontogeny.training import order

    rows = rows_of(run.text.train, recipe.training.unit, recipe.training.context)
    chosen = [order.batch(0, step, recipe.training.batch, len(rows)) for step in range(STEPS)]
    np.save(path, np.stack([rows.take(indices) for indices in chosen]).astype(np.int32))


def as_pairs(rows: list[tuple[str, str, str, str]]) -> list[Pair]:
    """Records of what `load_pairs` gives."""
    return [Pair(*row) for row in rows]


def of(asked: argparse.Namespace, size: Size, work: Path) -> Inputs:
    """As the command line says, with what can be made only once made once for all commands."""
    key = (str(work), size)
    if key not in _MADE:
        say(f"preparing size {size}: tokenizer, models, pairs, batches")
        _MADE[key] = make(work, size, asked.text, asked.suite, asked.pairs, asked.vocabulary)
    return _MADE[key]


_MADE: dict[tuple[str, str], Inputs] = {}

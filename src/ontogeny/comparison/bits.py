"""Bits per word: a loss on held-out text that models with different tokenizers share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ontogeny.recipe import Recipe
from ontogeny.store import RunFolder
from ontogeny.tokens.rows import Rows, rows_of, targets
from ontogeny.tokens.token_store import TokenStore

ROWS = 4096  # looked at together


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The held-out text of a run, as it is predicted."""

    predictions: int  # tokens that are targets: marks that end a document among them, the stream's first token not
    words: float  # white-space words of the same rows
    unknown: float  # share of all its tokens that are <unk>
    text: tuple[int, int]  # its documents and words: the same for the same text, whatever the tokenizer


def bits_per_word(loss: float, predictions: float, words: float) -> float:
    """`loss` in nats a predicted token, times the predicted tokens a word, in bits.  Words: of white space, more than none."""
    return loss * predictions / words / math.log(2)


def held_out(folder: RunFolder, recipe: Recipe) -> HeldOut | None:
    """Counts of the whole held-out text, cut into rows as the dev loss cuts it; None where the text is not kept."""
    if not (folder.tokens / "dev.json").exists():
        return None
    text = TokenStore(folder.tokens, "dev")
    predictions, words = predicted(rows_of(text, recipe.training.unit, recipe.training.context))
    facts = text.facts
    return HeldOut(predictions, words, facts["unknown"] / max(facts["tokens"], 1), (facts["documents"], facts["words"]))


def predicted(rows: Rows) -> tuple[int, float]:
    """Targets and white-space words of all rows."""
    parts = [np.arange(at, min(at + ROWS, len(rows))) for at in range(0, len(rows), ROWS)]
    return sum(targets(rows.take(part)) for part in parts), sum(rows.words(part) for part in parts)


def has_next_token_loss(recipe: Recipe) -> bool:
    """False for a model with an objective of its own, as masked ones have: that loss is of tokens given those on both sides."""
    return getattr(recipe.model, "loss", None) is None

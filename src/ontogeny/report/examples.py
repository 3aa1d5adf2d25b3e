"""Example pairs of a paradigm, with the words marked in which the two sentences differ."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

import polars as pl

Words = tuple[tuple[str, bool], ...]  # each stretch of words, and whether the other sentence lacks it


@dataclass(frozen=True, slots=True)
class Example:
    """A good and a bad sentence in stretches."""

    pair: str
    good: Words
    bad: Words


def examples(pairs: pl.DataFrame, most: int = 3) -> list[Example]:
    """Up to `most` of one paradigm's pairs, from its first to its last; identical sentences are passed over."""
    kept = pairs.filter(pl.col("good") != pl.col("bad"))
    chosen = sorted({round(i * (len(kept) - 1) / max(most - 1, 1)) for i in range(most)} if len(kept) else ())
    return [Example(row["pair"], *marked(row["good"], row["bad"])) for row in kept[chosen].to_dicts()]


def marked(good: str, bad: str) -> tuple[Words, Words]:
    """Both sentences as stretches of whitespace words, each True where it differs from the other sentence."""
    left, right = good.split(), bad.split()
    blocks = SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
    return (
        tuple((" ".join(left[a:b]), tag != "equal") for tag, a, b, _, _ in blocks if b > a),
        tuple((" ".join(right[c:d]), tag != "equal") for tag, _, _, c, d in blocks if d > c),
    )

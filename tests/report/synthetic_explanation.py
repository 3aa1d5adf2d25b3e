"""A made-up explanation of one paradigm, as `ontogeny why` gives it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import polars as pl

from ontogeny.evidence.why import DECIDING, Explanation
from ontogeny.records import Pair

PAIR = Pair("wh_vs_that_with_gap", "17", "Anna knows who the boy saw.", "Anna knows that the boy saw.", "filler_gap_dependency")


def deciding() -> pl.DataFrame:
    """A contrast toward the bad sentence, one toward the good one, and one on either side alone."""
    rows: list[tuple[Any, ...]] = [
        ("contrast", "knows who", "knows that", -math.log(160), -math.log(12), 31, 430, 5_204, 5_204, 940),
        ("contrast", "who the", "that the", -math.log(40), -math.log(6.4), 12, 9_011, 480, 58_002, 910),
        ("contrast", "saw .", "saw <him>", -math.log(1.9), -math.log(1300), 2_000, 3, 4_100, 4_100, 120),
        ("bad only", None, "⟨start⟩ That", None, -math.log(90_000), None, 0, None, 0, 4),
        ("good only", "real·ized", None, -math.log(2_600_000), None, 0, None, 120, None, 3),
    ]
    frame = []
    for rank, (kind, good, bad, p, q, n, m, before, behind, pairs) in enumerate(rows, start=1):
        difference = (p or 0.0) - (q or 0.0)
        frame.append((rank, kind, good, bad, p, q, difference, n, m, before, behind, pairs, difference * pairs / 1000))
    return pl.DataFrame(frame, schema=DECIDING, orient="row")


def lines() -> pl.DataFrame:
    """Lines behind the first two transitions; the second's good side has one line of its own and one of its last word."""
    left, right = (
        "so my mother told us all that nobody in the whole wide world ever ",
        " it was that had taken the <last> biscuit from the tin",
    )
    rows = [
        (1, "good", "knows who", True, 31, left, "knows who", right, "childes.train", 40_211),
        (1, "good", "knows who", True, 31, "she ", "knows who", "", "gutenberg/a_very_long_name_of_a_book_in_the_corpus.train", 3),
        (1, "bad", "knows that", True, 430, "and he ", "knows that", right, "childes.train", 12),
        (2, "good", "who the", True, 1, left, "who the", right, "switchboard.train", 77),
        (2, "good", "the", False, 410_000, "in ", "the", right, "switchboard.train", 0),
        (2, "bad", "that the", True, 9_011, left, "that the", right, "switchboard.train", 78),
    ]
    return pl.DataFrame(
        rows, schema=["rank", "side", "what", "exact", "total", "left", "key", "right", "source", "line"], orient="row"
    )


def sentences() -> pl.DataFrame:
    """Two pairs, token by token."""
    rows: list[tuple[Any, ...]] = []
    for pair, margin in (("17", -2.6), ("4", 1.2)):
        for side, word, logps in (("good", "who", (-7.1, -4.2, -5.1, -3.7)), ("bad", "that", (-7.1, -4.2, -2.5, -1.9))):
            tokens = ("Anna", "knows", word, "the", "boy", "saw", ".")
            for position, token in enumerate(tokens, start=1):
                logp = logps[position - 1] if position <= 4 else -3.3 - position / 10
                rows.append((pair, side, position, token, logp, margin))
    return pl.DataFrame(rows, schema=["pair", "side", "position", "token", "logp", "margin"], orient="row")


def explanation(**changes: Any) -> Explanation:
    """The whole, with fields replaced."""
    whole = Explanation(
        suite="blimp",
        paradigm=PAIR.paradigm,
        phenomenon=PAIR.phenomenon,
        verdict="entrenched",
        level="token",
        order=2,
        pairs=1000,
        network_accuracy=0.312,
        network_early=0.185,
        ngram_accuracy=0.176,
        mean_margin=-2.41,
        human=0.77,
        example=PAIR,
        deciding=deciding(),
        lines=lines(),
        sentences=sentences(),
        patterns=pl.DataFrame(
            {
                "good": ["… who", "who …"],
                "bad": ["… that", "that …"],
                "pairs": [1000, 980],
                "meetings": [44, 80],
                "contribution": [-2.2, -0.4],
            }
        ),
    )
    return replace(whole, **changes)

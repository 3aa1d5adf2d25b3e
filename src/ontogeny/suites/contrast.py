"""What a pair turns on: the words that differ."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from ontogeny.records import Pair

WORDS = 8  # in a row, that added text may not share with a suite


def contrast(good: str, *others: str) -> str:
    """The critical contrast: the words left when the common first and then the common last words are taken away.

    Words are what white space separates, so a full stop belongs to its word.  Pairs with the same contrast form one
    cluster.  Identical sentences give "|".

    >>> contrast("Dana knows who left.", "Dana knows that left.")
    'who|that'
    """
    options = [text.split() for text in (good, *others)]
    first = _shared(options)
    options = [words[first:] for words in options]
    last = _shared([words[::-1] for words in options])
    return "|".join(" ".join(words[: len(words) - last]) for words in options)


def contrast_of(pair: Pair) -> str:
    """The critical contrast of a pair's options, each with what stands before it where that differs."""
    return contrast(*(" ".join(both) for both in pair.asked) if pair.contexts else pair.options)


def grams(text: str) -> Iterator[str]:
    """Its runs of 8 words, in small letters, without signs: what added text may not share with a suite."""
    words = re.findall(r"[\w']+", text.lower())
    return (" ".join(words[at : at + WORDS]) for at in range(len(words) - WORDS + 1))


def grams_of(pairs: Iterable[Pair]) -> dict[str, str]:
    """Those of the pairs' sentences, and the paradigm that each stands in."""
    return {gram: pair.paradigm for pair in pairs for text in (pair.good, pair.bad) for gram in grams(text)}


def held_out(good: str, bad: str) -> bool:
    """Whether the words at which two sentences part, and the one before them, are in the half that is held out, by their hash."""
    before = good.split()[: _shared([good.split(), bad.split()])]
    return sha256(" ".join([*before[-1:], contrast(good, bad)]).encode()).digest()[0] % 2 == 1


def distinct(pairs: Iterable[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Pairs whose sentences differ, and pairs of which a wrong one is identical to the right one: nothing can tell them apart.

    Of an item with predictions, two sums that are compared and are of the same regions.
    """
    differ: list[Pair] = []
    identical: list[Pair] = []
    for pair in pairs:
        (identical if _nothing_differs(pair) else differ).append(pair)
    return differ, identical


def _nothing_differs(pair: Pair) -> bool:
    if pair.predictions:
        return any(not any(_left(pair, row).values()) for row in pair.predictions)
    right, *wrong = pair.asked
    return right in wrong


def _left(pair: Pair, row: Sequence[int]) -> Counter[tuple[str, str]]:
    """What is left of a comparison when the same text after the same context is taken together."""
    sums: Counter[tuple[str, str]] = Counter()
    for option, times in zip(pair.asked, row, strict=True):
        sums[option] += times
    return sums


def _shared(options: Sequence[Sequence[str]]) -> int:
    """How many words all begin with."""
    count = 0
    for words in zip(*options, strict=False):
        if len(set(words)) > 1:
            break
        count += 1
    return count

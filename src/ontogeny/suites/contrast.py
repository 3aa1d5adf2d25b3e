"""What a pair turns on: the words that differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ontogeny.records import Pair


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


def distinct(pairs: Iterable[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Pairs whose sentences differ, and pairs of which a wrong one is identical to the right one: nothing can tell them apart."""
    differ: list[Pair] = []
    identical: list[Pair] = []
    for pair in pairs:
        right, *wrong = pair.options
        (identical if right in wrong else differ).append(pair)
    return differ, identical


def _shared(options: Sequence[Sequence[str]]) -> int:
    """How many words all begin with."""
    count = 0
    for words in zip(*options, strict=False):
        if len(set(words)) > 1:
            break
        count += 1
    return count

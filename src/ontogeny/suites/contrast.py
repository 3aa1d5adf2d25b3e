"""What a pair turns on: the words that differ."""

from __future__ import annotations

from collections.abc import Iterable

from ontogeny.records import Pair


def contrast(good: str, bad: str) -> str:
    """The critical contrast: the words left when the common first and then the common last words are taken away.

    Words are what white space separates, so a full stop belongs to its word.  Pairs with the same contrast form one
    cluster.  Identical sentences give "|".

    >>> contrast("Dana knows who left.", "Dana knows that left.")
    'who|that'
    """
    ours, theirs = good.split(), bad.split()
    first = _shared(ours, theirs)
    ours, theirs = ours[first:], theirs[first:]
    last = _shared(ours[::-1], theirs[::-1])
    return f"{' '.join(ours[: len(ours) - last])}|{' '.join(theirs[: len(theirs) - last])}"


def distinct(pairs: Iterable[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Pairs whose sentences differ, and pairs whose sentences are identical, which nothing can tell apart."""
    differ: list[Pair] = []
    identical: list[Pair] = []
    for pair in pairs:
        (identical if pair.good == pair.bad else differ).append(pair)
    return differ, identical


def _shared(ours: list[str], theirs: list[str]) -> int:
    count = 0
    for our, their in zip(ours, theirs, strict=False):
        if our != their:
            break
        count += 1
    return count

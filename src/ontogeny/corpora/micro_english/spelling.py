"""From words to text."""

from __future__ import annotations

from collections.abc import Iterable

ENDS = frozenset(".?!")
CLINGING = ENDS | {","}


def spell(words: Iterable[str]) -> str:
    """Sentences in ordinary spelling: capitals, no space before a stop, `an` before a vowel."""
    pieces: list[str] = []
    start = True
    article = -1  # where an `a` waits for the word after it
    for word in words:
        if word in CLINGING:
            pieces[-1] += word
            start = word in ENDS
            continue
        if article >= 0 and word[0] in "aeiou":
            pieces[article] += "n"
        article = len(pieces) if word == "a" else -1
        pieces.append(word[0].upper() + word[1:] if start else word)
        start = False
    return " ".join(pieces)

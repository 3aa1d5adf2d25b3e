"""From words to text and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set

ENDS = frozenset(".?!")
CLINGING = ENDS | {",", "'s"}
VOWELS = "aeiou"
_TOKEN = re.compile(r"'s|\w+|[^\w\s]")


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
        if article >= 0 and word[0] in VOWELS:
            pieces[article] += "n"
        article = len(pieces) if word == "a" else -1
        pieces.append(word[0].upper() + word[1:] if start else word)
        start = False
    return " ".join(pieces)


def read(text: str, names: Set[str]) -> list[str]:
    """The words that `spell` would write so; `names` keep their capital.

    An article that does not suit the word after it is written with a star, which no grammar knows.
    """
    words: list[str] = []
    start = True
    for token in _TOKEN.findall(text):
        words.append(token if not start or token in names else token[0].lower() + token[1:])
        start = token in ENDS
    return [_article(word, after) for word, after in zip(words, [*words[1:], ""], strict=False)]


def _article(word: str, after: str) -> str:
    if word not in ("a", "an"):
        return word
    return "a" if (word == "an") == (after[:1] in VOWELS and after != "") else f"*{word}"

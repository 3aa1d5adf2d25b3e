"""Words against nonwords of their length and spelling, which are made here of a text's own words."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ontogeny.instruments.asked import AskedWords, Reads, after
from ontogeny.instruments.subject import Subject
from ontogeny.trajectories.timeline import Floats

DECISION = "lexical decision"
BANDS = ("frequent", "rare")
POOL = 20  # nonwords drawn for every word that wants one
LENGTHS = range(3, 13)  # letters of words that are decided on


def _banded(words: list[str]) -> tuple[list[str], list[str]]:
    """The most frequent tenth, a quarter of few words, and the rest."""
    cut = max(len(words) // 10, min(len(words) // 4, 1_000))
    return words[:cut], words[cut:]


def _spread(words: Sequence[str], most: int) -> list[str]:
    return [words[at] for at in np.unique(np.linspace(0, len(words) - 1, most).round().astype(int))]


class Decisions(NamedTuple):
    """Words, each against a nonword."""

    words: AskedWords
    nonwords: AskedWords
    bands: Any  # (words,) frequent or rare
    control: Floats  # (words,) what character trigrams prefer: 1 the word, 0 the nonword

    @classmethod
    def among(cls, counted: Mapping[str, int], most: int, how: Reads) -> Decisions | None:
        """So many of a text's words, half of them frequent and half rare; None where it has too few."""
        counts = {form: n for form, n in counted.items() if form.isalpha() and len(form) in LENGTHS}
        words = sorted((form for form, n in counts.items() if n > 1), key=lambda form: (-counts[form], form))
        if not (half := min(most // 2, len(words) // 4)):
            return None
        bands = {word: band for band, own in zip(BANDS, _banded(words), strict=True) for word in _spread(own, half)}
        return cls.of(bands, nonwords(list(bands), set(counted), list(counts)), how)

    @classmethod
    def of(cls, bands: Mapping[str, str], against: Mapping[str, tuple[str, float]], how: Reads) -> Decisions | None:
        """None where no word has a nonword like it."""
        chosen = [word for word in bands if word in against]
        if not chosen:
            return None
        spaced = Reads(how.tokenizer, how.first, how.limit, leading_space=True)
        asked = [after([""] * len(chosen), texts, spaced) for texts in (chosen, [against[word][0] for word in chosen])]
        return cls(asked[0], asked[1], np.array([bands[w] for w in chosen]), np.array([against[w][1] for w in chosen]))

    def rows(self, subject: Subject) -> Iterator[tuple[Any, ...]]:
        """A row a band."""
        word, nonword = (own.surprisals(subject.logps(own.sentences)) for own in (self.words, self.nonwords))
        right = np.where(word < nonword, 1.0, np.where(word > nonword, 0.0, 0.5))
        for band in BANDS:
            own = (self.bands == band) & np.isfinite(word) & np.isfinite(nonword)
            if own.any():
                share, control = float(right[own].mean()), float(self.control[own].mean())
                yield DECISION, band, float(word[own].mean()), None, share, control, int(own.sum())


class Spelling:
    """Character trigrams of word forms, one added to none: what never follows has no chance."""

    def __init__(self, forms: Sequence[str]):
        following: dict[str, Counter[str]] = defaultdict(Counter)
        for form in forms:
            marked = f"^^{form}$"
            for at in range(2, len(marked)):
                following[marked[at - 2 : at]][marked[at]] += 1
        self.following = {before: (list(own), np.cumsum(list(own.values())).tolist()) for before, own in following.items()}
        self.logp = {b: {c: math.log(n / own.total()) for c, n in own.items()} for b, own in following.items()}

    def of(self, form: str) -> float:
        """log p; -inf for what has a trigram that no form has."""
        marked = f"^^{form}$"
        return sum(self.logp.get(marked[at - 2 : at], {}).get(marked[at], -math.inf) for at in range(2, len(marked)))

    def draw(self, uniform: Iterator[float]) -> str:
        """A form, not longer than those that are decided on; else empty."""
        marked = "^^"
        while len(marked) - 2 <= LENGTHS[-1]:
            letters, sums = self.following[marked[-2:]]
            letter = letters[bisect_left(sums, next(uniform) * sums[-1])]
            if letter == "$":
                return marked[2:]
            marked += letter
        return ""


def nonwords(words: Sequence[str], known: set[str], forms: Sequence[str]) -> dict[str, tuple[str, float]]:
    """Of each word a nonword of its length and of nearly its probability under character trigrams, and which one these prefer.

    Each is drawn from these trigrams, used once, and absent from the `known` words; a word for which none is left has none.
    """
    spelling = Spelling(forms)
    uniform = iter(np.random.default_rng(0).random(POOL * len(words) * (LENGTHS[-1] + 2)).tolist())
    drawn = {spelling.draw(uniform) for _ in range(POOL * len(words))} - known
    pools: dict[int, list[tuple[float, str]]] = defaultdict(list)
    for form in sorted(drawn):
        if len(form) in LENGTHS:
            pools[len(form)].append((spelling.of(form), form))
    for pool in pools.values():
        pool.sort()
    found = {}
    for word in np.random.default_rng(1).permutation(list(words)).tolist():
        if pool := pools[len(word)]:
            own = spelling.of(word)
            at = bisect_left(pool, (own, ""))
            near = min((place for place in (at - 1, at) if 0 <= place < len(pool)), key=lambda place: abs(pool[place][0] - own))
            logp, form = pool.pop(near)
            found[word] = form, float(own > logp) + 0.5 * (own == logp)
    return found

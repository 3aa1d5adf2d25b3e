"""Words, their forms and their features, read from tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set
from copy import copy
from dataclasses import dataclass, field

from ontogeny.records import OntogenyError

NEEDED = "!"  # ends the heading of a feature that every word of the table needs


class FormError(OntogenyError):
    """A word lacks a form."""


Ground = tuple[tuple[str, str], ...]  # features with their values, sorted by name


@dataclass(frozen=True, slots=True)
class Word:
    """One form of one word."""

    form: str
    category: str
    lexeme: str
    weight: float
    features: Mapping[str, frozenset[str]] = field(hash=False, compare=False)

    def fits(self, features: Ground) -> bool:
        """Whether every feature asked for either may have that value here or says nothing of this word."""
        return all(value in self.features[name] for name, value in features if name in self.features)


class Lexicon:
    """All words by category."""

    def __init__(self, tables: Mapping[str, str]):
        """`tables` holds a table as text for each category; see lexicon.yaml."""
        self.words: dict[str, tuple[Word, ...]] = {name: _table(name, text) for name, text in tables.items()}
        self.values: dict[str, tuple[str, ...]] = _values(self.words)
        self._fit: dict[tuple[str, str, str], int] = {}

    def fitting(self, category: str, features: Ground) -> tuple[Word, ...]:
        """The words of a category that have these features."""
        words = self.words[category]
        fit = (1 << len(words)) - 1  # bit i: word i
        for name, value in features:
            fit &= self._bits(category, name, value)
        found: list[Word] = []
        while fit:
            found.append(words[(fit & -fit).bit_length() - 1])
            fit &= fit - 1
        return tuple(found)

    def _bits(self, category: str, name: str, value: str) -> int:
        key = category, name, value
        if key not in self._fit:
            self._fit[key] = sum(1 << place for place, word in enumerate(self.words[category]) if word.fits(((name, value),)))
        return self._fit[key]

    def restricted(self, known: Set[str]) -> Lexicon:
        """The lexicon without the forms that are not among these."""
        lexicon = copy(self)
        lexicon._fit = {}
        lexicon.words = {name: tuple(word for word in words if word.form in known) for name, words in self.words.items()}
        return lexicon

    def inflect(self, word: Word, features: Ground) -> Word:
        """The form of the same word with these features in place of its own.  Raises FormError if it has none."""
        own = {name: next(iter(values)) for name, values in word.features.items() if len(values) == 1}
        wanted = tuple(sorted((own | dict(features)).items()))
        for other in self.fitting(word.category, wanted):
            if other.lexeme == word.lexeme:
                return other
        asked = " ".join(f"{name}={value}" for name, value in features)
        raise FormError(f"lexicon, {word.category}: {word.lexeme} has no form with {asked}")


def _table(category: str, text: str) -> tuple[Word, ...]:
    header, *rows = (line.split() for line in text.splitlines() if line.strip())
    words: list[Word] = []
    for rank, row in enumerate(rows):
        if len(row) != len(header):
            raise OntogenyError(f"lexicon, {category}: {' '.join(row)!r} has {len(row)} cells, the heading {len(header)}")
        for name, cell in zip(header, row, strict=True):
            if name.endswith(NEEDED) and cell == "-":
                raise OntogenyError(f"lexicon, {category}: {row[0]} has no {name[:-1]}, which every {category} needs")
        words.extend(_forms(category, rank, dict(zip((name.removesuffix(NEEDED) for name in header), row, strict=True))))
    return tuple(words)


def _forms(category: str, rank: int, cells: dict[str, str]) -> list[Word]:
    columns = [name for name in cells if name == "word" or "=" in name]
    weight = float(cells.get("weight", 1 / (rank + 4)))
    shared = {
        name: frozenset(cell.split("|")) for name, cell in cells.items() if name not in columns and name != "weight" and cell != "-"
    }
    lexeme = next((cells[name] for name in columns if cells[name] != "-"), "")
    if not lexeme:
        raise OntogenyError(f"lexicon, {category}: row {rank + 1} has no form at all")
    return [
        Word(cells[name], category, lexeme, weight, shared | realised)
        for name in columns
        if cells[name] != "-"
        for realised in _realised(name)
    ]


def _realised(column: str) -> list[dict[str, frozenset[str]]]:
    """`t=base+t=pres,n=pl` -> the two sets of features that a form stands for."""
    if column == "word":
        return [{}]
    pairs = [[item.split("=") for item in features.split(",")] for features in column.split("+")]
    return [{name: frozenset({value}) for name, value in features} for features in pairs]


def _values(words: Mapping[str, tuple[Word, ...]]) -> dict[str, tuple[str, ...]]:
    values: dict[str, set[str]] = defaultdict(set)
    for word in (word for table in words.values() for word in table):
        for name, among in word.features.items():
            values[name] |= among
    return {name: tuple(sorted(found)) for name, found in values.items()}

"""A formal language as a corpus: one string a document, its symbols separated by spaces."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from ontogeny.corpora.formal.drawing import Split, drawn
from ontogeny.corpora.formal.language import Source
from ontogeny.corpora.formal.table import known, source
from ontogeny.corpora.micro_english.knobs import Rho, at
from ontogeny.recipe import Kind
from ontogeny.records import Document

DRAWN = "1"  # to be raised with any change of the code after which a seed draws other strings: runs know their text by it


class Formal(Kind):
    """Strings of a formal language, or questions and answers of a sequence task."""

    kind: Literal["formal"] = "formal"
    language: str
    """L1 to L6, cue, or a task: parity, even-pairs, cycle-navigation, reverse-string, stack-manipulation, bucket-sort."""
    strings: int = Field(10_000, ge=1)
    """Strings drawn, with replacement; each length that the language has comes equally often."""
    min_length: int = Field(1, ge=1)
    """Fewest symbols of a string; of a task, of its question."""
    max_length: int = Field(32, ge=1)
    """Most symbols of a string; of a task, of its question."""
    split: Split = "train"
    """Strings of train, dev and test are never the same, but in L3 and L5, whose lengths have one string each."""
    seed: int = 0
    """Seed of every choice."""
    rho: Rho | None = None
    """Of `cue` alone: the share of strings whose neighbour bets right, .9 if left out; or phases of the corpus with a share each,
    `[{until: 0.1, rho: 1}, {until: 1, rho: 0.5}]`."""
    neutral: float | None = Field(None, ge=0, le=1)
    """Of `cue` alone: the share of strings whose neighbour says nothing, .25 if left out."""

    _known = field_validator("language")(staticmethod(known))

    @model_validator(mode="after")
    def _consistent(self) -> Formal:
        if self.language != "cue" and (self.rho is not None or self.neutral is not None):
            raise ValueError(f"rho and neutral are the language cue's; {self.language} has no neighbour that bets")
        if isinstance(self.rho, float | int) and not 0 <= self.rho <= 1:
            raise ValueError(f"rho is {self.rho}; a share from 0 to 1 is wanted")
        if isinstance(self.rho, tuple):
            ends = [phase.until for phase in self.rho]
            if not ends or ends != sorted(set(ends)) or ends[-1] != 1:
                raise ValueError(f"the phases of rho end at {ends}; they must rise, and the last must end at 1")
        if not source(self.language).lengths(self.min_length, self.max_length):
            there = ", ".join(map(str, list(source(self.language).lengths(1, self.max_length + 12))[:3]))
            raise ValueError(
                f"leaves no string: {self.language} has none of {self.min_length} to {self.max_length} symbols; "
                f"its lengths are {there} ..."
            )
        return self

    def source(self, share: float = 0.0) -> Source:
        """The language as it is after this share (0 to 1) of the corpus."""
        said: dict[str, Any] = {"rho": None if self.rho is None else at(self.rho, share), "neutral": self.neutral}
        return source(self.language, **{name: value for name, value in said.items() if value is not None})

    def documents(self) -> Iterator[Document]:
        """One string a document, `a a b b`.  Raises OntogenyError where the split has no string."""
        number = 0
        strings = drawn(lambda: self.source(number / self.strings), self.min_length, self.max_length, self.split, Random(self.seed))
        for number, string in enumerate(islice(strings, self.strings), 1):
            yield Document(spaced(string), self.language, number)

    def fingerprint(self) -> str:
        """A hash of the fields and of the version of the code that draws the strings."""
        return hashlib.sha256(f"{self.model_dump_json()} {DRAWN}".encode()).hexdigest()


def spaced(string: str) -> str:
    """The string as text: one word a symbol.

    >>> spaced("([])")
    '( [ ] )'
    """
    return " ".join(string)

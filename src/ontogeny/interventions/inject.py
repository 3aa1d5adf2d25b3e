"""Adds documents to the training text: lines, a file, or what a generator gives."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ontogeny.corpora.text import Text
from ontogeny.interventions.kinds import TextEdit
from ontogeny.recipe import CorpusPart
from ontogeny.records import Corpus, Document, Edited, OntogenyError, Removed

if TYPE_CHECKING:
    from ontogeny.interventions.context import InterventionContext

Ints = NDArray[np.int64]


MOST = 10**10  # words


class Inject(TextEdit):
    """Adds documents, again and again until there are as many as asked for, between those of the text, which stay in order.

    With `replace`, documents drawn at random go for them, with as many words as whole documents allow; a difference is said.
    In memory are a few numbers for each document of the text and for each that is added.
    """

    kind: Literal["inject"] = "inject"
    lines: tuple[str, ...] = ()
    """Documents to add."""
    path: Path | None = None
    """A file or folder of them, read as the corpus `text` reads it: every line that is not blank is one."""
    corpus: CorpusPart | None = None
    """A corpus or generator of them, such as {kind: micro-english, words: 1000}."""
    times: int | None = Field(None, ge=1)
    """How often all of them are added."""
    share: float | None = Field(None, gt=0)
    """Words to add, as a share of the words that the text has, as nearly as whole documents allow."""
    place: Literal["random", "evenly"] = "random"
    """Between which documents of the text they stand: anywhere, or at equal distances."""
    replace: bool = False
    """Remove as many words of the text, so that its size stays."""
    seed: int = 0
    """Seed of the places, and of what is replaced."""

    @model_validator(mode="after")
    def _says_what(self) -> Inject:
        if sum([bool(self.lines), self.path is not None, self.corpus is not None]) != 1:
            raise ValueError("needs one of lines, path and corpus: what is added")
        if (self.times is None) == (self.share is None):
            raise ValueError("needs either times or share: how much is added")
        if blank := [number for number, line in enumerate(self.lines, start=1) if not line.strip()]:
            raise ValueError(f"has a blank line, number {blank[0]}; a document has a word at least")
        return self

    def contents(self) -> list[str]:
        """A hash of what it adds: a file may change under the same name."""
        return [] if self.lines else [self._corpus().fingerprint()]

    def apply(self, documents: Iterator[Document], context: InterventionContext) -> Iterator[Document | Edited | Removed]:
        """As TextEdit has it.  Raises OntogenyError if there is nothing to add, or no room for it."""
        generator = context.rng(self.seed)
        text = words_of(context)
        lengths = np.array([len(document.text.split()) for document in self.added()], dtype=np.int64)
        size = self._size(lengths, int(text.sum()))
        gaps = self._gaps(size, len(text), generator)
        goes = np.zeros(len(text), dtype=bool)
        if self.replace:
            goes[self._replaced(text, total(lengths, size), context, generator)] = True
        fresh = self._told(size)
        before = np.searchsorted(gaps, np.arange(len(text)), side="right")  # how many stand before the end of each gap
        given = 0
        for document, there, gone in zip(documents, before.tolist(), goes.tolist(), strict=True):
            yield from islice(fresh, there - given)
            given = there
            yield Removed(document, "replaced by text that is added") if gone else document
        yield from fresh

    def added(self) -> Iterator[Document]:
        """Every document to add, once."""
        if self.lines:
            yield from (Document(line, "inject", number) for number, line in enumerate(self.lines, start=1))
        else:
            yield from self._corpus().documents()

    def _corpus(self) -> Corpus:
        return Text(path=self.path) if self.path is not None else cast(Corpus, self.corpus)

    def _told(self, size: int) -> Iterator[Edited]:
        endless = (document for _ in count() for document in self.added())
        return (Edited(None, document, f"added, {n:,} of {size:,}") for n, document in enumerate(islice(endless, size), start=1))

    def _size(self, lengths: Ints, words: int) -> int:
        """How many documents are added to a text of so many words."""
        if not len(lengths):
            raise OntogenyError("inject: there is no document to add")
        wanted = float(self.times * int(lengths.sum())) if self.times is not None else (self.share or 0.0) * words
        if wanted > MOST:
            raise OntogenyError(
                f"inject would add {wanted:.3g} words, more than {MOST:.0g}; make {'times' if self.times else 'share'} smaller"
            )
        if self.times is not None:
            return self.times * len(lengths)
        rounds = int(wanted // lengths.sum())
        sums = np.concatenate([[0], np.cumsum(lengths)])
        size = rounds * len(lengths) + int(np.argmin(np.abs(sums - (wanted - rounds * lengths.sum()))))
        if not size:
            raise OntogenyError(
                f"inject: a share of {self.share:g} of this text is {wanted:g} words, which is nearer to none than to the first "
                f"document to add, of {lengths[0]:,}"
            )
        return size

    def _gaps(self, size: int, documents: int, generator: np.random.Generator) -> Ints:
        """Number of the document that each added one stands before [size], ascending; `documents`: after the last."""
        if self.place == "evenly":
            return ((2 * np.arange(size, dtype=np.int64) + 1) * documents + size) // (2 * size)  # halves are rounded up
        return np.sort(generator.integers(0, documents + 1, size))

    def _replaced(self, text: Ints, wanted: int, context: InterventionContext, generator: np.random.Generator) -> Ints:
        if wanted >= text.sum():
            raise OntogenyError(f"inject: {wanted:,} words cannot replace as many of a text that has {text.sum():,}")
        gone = amounting(wanted, text, generator)
        if difference := wanted - int(text[gone].sum()):
            more = "longer" if difference > 0 else "shorter"
            context.warn(f"inject adds {wanted:,} words and leaves the text {abs(difference):,} words {more} than it was")
        return gone


def words_of(context: InterventionContext) -> Ints:
    """Whitespace words of each document of the text before an intervention."""
    words = context.text.documents["words"].astype(np.int64)
    return np.diff(words, append=context.text.facts["words"])


def total(lengths: Ints, size: int) -> int:
    """Words of the first `size` documents of a list that is gone through again and again."""
    rounds, rest = divmod(size, len(lengths))
    return int(rounds * lengths.sum() + lengths[:rest].sum())


def amounting(wanted: int, lengths: Ints, generator: np.random.Generator) -> Ints:
    """Places of random documents that have so many words together, as nearly as one more or less would be.

    They are taken in a random order while they fit; what is missing then is met by those of the nearest length.
    """
    places = generator.permutation(len(lengths))
    fit = int(np.searchsorted(np.cumsum(lengths[places]), wanted, side="right"))
    missing, taken, rest = wanted - int(lengths[places[:fit]].sum()), list(places[:fit]), places[fit:]
    while missing > 0 and len(rest):
        nearest = int(np.argmin(np.abs(lengths[rest] - missing)))
        length = int(lengths[rest[nearest]])
        if abs(missing - length) >= missing:
            break
        taken.append(rest[nearest])
        missing, rest = missing - length, np.delete(rest, nearest)
    return np.array(taken, dtype=np.int64)

"""Sorts the documents of the training text, so that what comes first is learned first."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ontogeny.interventions.filter import Strings
from ontogeny.interventions.inject import words_of
from ontogeny.interventions.kinds import TextEdit
from ontogeny.interventions.spool import Spool
from ontogeny.records import Document, OntogenyError

if TYPE_CHECKING:
    from ontogeny.interventions.context import InterventionContext

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
WORD = re.compile(r"\w+|[^\w\s]+")  # as the tokenizer `word` cuts a text


class Curriculum(TextEdit):
    """Sorts the documents, smallest first and ties in text order; each stays what it is, and none is lost.

    Training must read the text in order (`training.order: text`), in every epoch.  The documents are kept on disk meanwhile; in
    memory are two numbers for each, and by: frequency every distinct word with its count.
    """

    keeps: ClassVar[tuple[str, ...]] = ("documents", "unigrams")

    kind: Literal["curriculum"] = "curriculum"
    by: Literal["length", "frequency", "source", "child-directed", "surprisal"]
    """length: words between spaces.  frequency: mean log frequency of a document's words in the text, whatever their capitals.
    source: the order of `sources`.  child-directed: those of `child_directed` first.  surprisal: mean bits a token under the
    Kneser-Ney bigram model of the text itself, from BOS on, without the end."""
    sources: Strings = ()
    """Globs such as "*childes*", one of which each source must match, whatever its capitals; the first that it matches says when
    it comes."""
    child_directed: Strings = ("*childes*",)
    """Globs of the sources that are speech to children, whatever their capitals."""
    descending: bool = False
    """Largest first; ties stay in text order."""
    reverse: bool = False
    """The order back to front, ties too: what came last comes first."""
    noise: float = Field(0.0, ge=0, le=1)
    """A document's place is (1 - noise) x its share of the way through the order + noise x a random number from 0 to 1: 0 sorts,
    1 shuffles."""
    seed: int = 0
    """Seed of the noise."""

    @model_validator(mode="after")
    def _sources_are_meant(self) -> Curriculum:
        if (self.by == "source") != bool(self.sources):
            raise ValueError("by: source needs sources, a list of globs" if self.by == "source" else "has sources; set by: source")
        return self

    def apply(self, documents: Iterator[Document], context: InterventionContext) -> Iterator[Document]:
        """As TextEdit has it.  Raises OntogenyError if training would shuffle, or if sources and globs do not fit."""
        if (order := context.recipe.training.order) != "text":
            raise OntogenyError(f"curriculum: training.order is {order}, which would undo it; set training.order: text")
        with Spool(context.folder.path) as spool:
            for document in documents:
                spool.add(document)
            keys = KEYS[self.by](self, spool, context)
            assert len(keys) == len(spool)
            yield from (spool[number] for number in self.order(keys, context.rng(self.seed)).tolist())

    def order(self, keys: Floats, generator: np.random.Generator) -> Ints:
        """Numbers of the documents in the order in which they are read, given the key [documents] of each."""
        order = np.argsort(-keys if self.descending else keys, kind="stable")
        if self.noise:
            ranks = np.empty(len(order))
            ranks[order] = (np.arange(len(order)) + 0.5) / len(order)
            order = np.argsort((1 - self.noise) * ranks + self.noise * generator.random(len(order)), kind="stable")
        return order[::-1] if self.reverse else order


def _length(curriculum: Curriculum, spool: Spool, context: InterventionContext) -> Floats:
    return words_of(context).astype(np.float64)


def _frequency(curriculum: Curriculum, spool: Spool, context: InterventionContext) -> Floats:
    counts = Counter(word for document in spool for word in _words(document))
    logs = {word: math.log(count) for word, count in counts.items()}
    means = (float(np.mean([logs[word] for word in _words(document)])) for document in spool)
    return np.fromiter(means, dtype=np.float64, count=len(spool))


def _words(document: Document) -> list[str]:
    return WORD.findall(document.text.lower()) or [document.text]


def _source(curriculum: Curriculum, spool: Spool, context: InterventionContext) -> Floats:
    matches = [_matches(source, curriculum.sources) for source in context.text.facts["sources"]]
    if None in matches:
        stranger = context.text.facts["sources"][matches.index(None)]
        raise OntogenyError(f"curriculum: the source {stranger!r} matches none of sources; add a glob, or '*' for all the rest")
    return _by_document(matches, context)


def _child_directed(curriculum: Curriculum, spool: Spool, context: InterventionContext) -> Floats:
    names = context.text.facts["sources"]
    others = [_matches(source, curriculum.child_directed) is None for source in names]
    if all(others) or not any(others):
        which = "none" if all(others) else "every one"
        raise OntogenyError(
            f"curriculum: {which} of the sources matches {', '.join(curriculum.child_directed)}, so there is nothing to sort; "
            f"the text has {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
        )
    return _by_document(others, context)


def _by_document(of_source: Sequence[Any], context: InterventionContext) -> Floats:
    """Each document's key, given that of each source."""
    keys: Floats = np.array(of_source, dtype=np.float64)[context.text.documents["source"]]
    return keys


def _matches(source: str, globs: tuple[str, ...]) -> int | None:
    return next((n for n, glob in enumerate(globs) if fnmatchcase(source.lower(), glob.lower())), None)


def _surprisal(curriculum: Curriculum, spool: Spool, context: InterventionContext, chunk: int = 10_000) -> Floats:
    model, text = context.bigrams(), context.text
    bounds = np.append(text.documents["start"].astype(np.int64), len(text))
    first = 0 if context.first is None else 1  # BOS itself is given
    means = [np.zeros(0)]
    for start in range(0, len(spool), chunk):
        ends = bounds[start : start + chunk + 1]
        walk = model.index.walk([text.ids[low:high].tolist() for low, high in pairwise(ends)])
        bits = -np.log2(model.probabilities(walk, 2))
        lengths = np.diff(ends)
        owners = np.repeat(np.arange(len(lengths)), lengths)
        counted = np.arange(len(bits)) - np.repeat(ends[:-1] - ends[0], lengths) >= first
        sums = np.bincount(owners[counted], bits[counted], minlength=len(lengths))
        means.append(sums / np.maximum(lengths - first, 1))
    return np.concatenate(means)


KEYS: dict[str, Callable[[Curriculum, Spool, InterventionContext], Floats]] = {
    "length": _length,
    "frequency": _frequency,
    "source": _source,
    "child-directed": _child_directed,
    "surprisal": _surprisal,
}

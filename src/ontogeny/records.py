"""Frozen records and small protocols that every room shares.  This file imports nothing of the project's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


def later(default: Any) -> Any:
    """A field that joined its record later: where it is at its default, keys and tables are as they were without it."""
    return field(default=default, metadata={"later": True})


def said(record: Any) -> dict[str, Any]:
    """The fields of a record by name, without those that joined it `later` and are at their default."""
    found = {own.name: (own, getattr(record, own.name)) for own in fields(record)}
    return {name: value for name, (own, value) in found.items() if not (own.metadata.get("later") and value == own.default)}


class OntogenyError(Exception):
    """An error meant for the person at the keyboard: what was wrong, where, and what would be right."""


@dataclass(frozen=True, slots=True)
class Document:
    """One stretch of text that the training stream puts a BOS before: a line or a whole file."""

    text: str
    source: str  # file (relative to the corpus) or generator it came from
    line: int  # 1-based line in the source; 0 where lines mean nothing


@dataclass(frozen=True, slots=True)
class Removed:
    """A document that an intervention takes out of the training text."""

    document: Document
    reason: str


@dataclass(frozen=True, slots=True)
class Edited:
    """A document that an intervention changes, or one that it adds after `before`."""

    before: Document | None  # None: the document is new
    after: Document
    reason: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A minimal pair: a grammatical and an ungrammatical sentence of one paradigm (Warstadt et al. 2020).

    Or an item of more options, of which the first is right; or of options that stand for regions of sentences, right if what
    is predicted of their sums holds; or a text alone that is right if the model would write it; or one that people have graded,
    which is its sentence, or the preference for the good one over the bad one.
    """

    paradigm: str
    pair: str  # id, unique within its paradigm
    good: str
    bad: str  # "": a sentence alone, graded or to be written
    phenomenon: str = ""
    field: str = ""
    one_prefix: bool = False  # BLiMP's one-prefix method is possible: one prefix, two critical words
    two_prefix: bool = False  # BLiMP's two-prefix method is possible: two prefixes, one critical word
    context: str = later("")  # what stands before every option: conditioned on, not scored
    more: tuple[str, ...] = later(())  # wrong options besides `bad`
    human: float | None = later(None)  # the graded judgement, in any unit that grows with acceptability
    contexts: tuple[str, ...] = later(())  # in place of `context`: what stands before each option, where that differs
    predictions: tuple[tuple[int, ...], ...] = later(())
    """Right if, for each row, the options' log-probabilities times its numbers sum to more than 0.  Empty: if the first option is
    likelier than any other."""
    written: bool = later(False)  # right if each token of the one text is the likeliest after those before it; there is no chance

    @property
    def options(self) -> tuple[str, ...]:
        """What is chosen among, the right one first."""
        return (self.good, *((self.bad,) if self.bad else ()), *self.more)

    @property
    def asked(self) -> tuple[tuple[str, str], ...]:
        """What stands before each option, and the option."""
        options = self.options
        return tuple(zip(self.contexts or (self.context,) * len(options), options, strict=True))

    @property
    def comparisons(self) -> tuple[tuple[int, ...], ...]:
        """What has to hold for the item to be right, as `predictions` has it; nothing for a sentence alone."""
        if self.predictions:
            return self.predictions
        many = len(self.options)
        return tuple(tuple((n == 0) - (n == wrong) for n in range(many)) for wrong in range(1, many))


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit of a repository on the hub, and what it is called there."""

    repo: str  # OWNER/NAME
    name: str  # a branch, the title of a commit, or the repository itself
    commit: str  # 40 hex digits
    content: str  # changes with any byte that is read of it: two with one content are the same

    def __str__(self) -> str:
        return f"{self.repo}@{self.name}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model at one moment of its training."""

    step: int  # optimiser steps done
    folder: Path  # a Hugging Face folder
    tokens: int | None = None  # tokens seen so far
    words: float | None = None  # whitespace words seen so far
    dev_loss: float | None = None  # nats per token; None until it has been read
    revision: Revision | None = None  # of the hub: its folder holds it only while it is read, unless it is kept


@runtime_checkable
class Corpus(Protocol):
    """Where text comes from."""

    def documents(self) -> Iterator[Document]:
        """Every document, streamed, in the same order each time."""
        ...

    def fingerprint(self) -> str:
        """A hash of everything that decides what `documents` yields."""
        ...


@runtime_checkable
class Suite(Protocol):
    """Where minimal pairs come from."""

    @property
    def name(self) -> str:
        """The suite's folder under a run's scores."""
        ...

    def pairs(self) -> Iterator[Pair]:
        """Every pair, identical ones included, in the same order each time."""
        ...

    def human(self) -> dict[str, float]:
        """Published human agreement by paradigm, 0 to 1; empty where there is none."""
        ...


class Architecture(Protocol):
    """How a model is made."""

    def build(self, vocabulary: int, context: int, bos: int | None, pad: int | None) -> Any:
        """A freshly initialised torch module called like a transformers causal LM (from torch's global generator)."""
        ...

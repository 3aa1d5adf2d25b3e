"""Words whose surprisal is asked for: in texts, or each after a context; and which of a model's tokens spell them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ontogeny.instruments.instrument import DoesNotApply
from ontogeny.scoring.sentences import Encoded, Sentences, gather, spaced, tokenise
from ontogeny.tokens.spans import Span, spans, words
from ontogeny.tokens.token_store import backward, encode
from ontogeny.trajectories.timeline import Floats, Ints

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ontogeny.instruments.subject import Subject

Spelled = tuple[int, int, int]  # a text, a token of it, and the word that the token belongs to


def counts(text: str) -> bool:
    """False for punctuation alone, which is no part of the surprisal of the word that it is written at.

    >>> counts(" dog"), counts(" "), counts(".")
    (True, True, False)
    """
    return not text.strip() or any(character.isalnum() for character in text)


@dataclass(frozen=True, slots=True)
class Reads:
    """How texts become tokens of a model."""

    tokenizer: PreTrainedTokenizerBase
    first: int | None  # what stands before every text
    limit: int = 2**31  # the most tokens that a model takes
    leading_space: bool = False

    @classmethod
    def of(cls, subject: Subject) -> Reads:
        """A checkpoint's.  Raises DoesNotApply for one that reads from a text's end."""
        if backward(subject.tokenizer):
            raise DoesNotApply(
                "its model reads a text from its end, and a word's surprisal is asked for after what stands before it"
            )
        return cls(subject.tokenizer, subject.first, subject.limit, subject.context.recipe.scoring.leading_space)


@dataclass(frozen=True, slots=True, eq=False)
class AskedWords:
    """Words in sentences of tokens."""

    sentences: Sentences
    at: Ints  # (tokens of words,) their places among the scored tokens of all sentences, laid end to end
    word: Ints  # (tokens of words,) the word that each belongs to
    n: int  # words

    def surprisals(self, logps: Floats) -> Floats:
        """Of each word, nats, (n,), summed over its tokens; NaN where none is scored, as in a text that is too long."""
        sums = np.bincount(self.word, -logps[self.at], minlength=self.n)
        return np.where(np.bincount(self.word, minlength=self.n) > 0, sums, np.nan)


def in_texts(texts: Sequence[str], how: Reads) -> AskedWords:
    """All words, between white space, of texts, one text after another; without the tokens that are punctuation alone.

    The space before a word belongs to it.
    """
    given = [spaced("", text, how.leading_space)[1] for text in texts]
    begins = np.cumsum([0, *(len(text.split()) for text in texts)])
    every = spans(how.tokenizer, given)
    spelled = (
        (number, token, begins[number] + word)
        for number, (text, own) in enumerate(zip(given, every, strict=True))
        for token, word, (start, end) in _of(text, own)
        if counts(text[start:end])
    )
    return _asked(
        tokenise([("", text) for text in texts], how.tokenizer, how.first, how.leading_space), spelled, int(begins[-1]), how
    )


def _of(text: str, own: Sequence[Span]) -> Iterator[tuple[int, int, Span]]:
    for token, (word, span) in enumerate(zip(words(text, own), own, strict=True)):
        yield token, word, span


def after(contexts: Sequence[str], asked: Sequence[str], how: Reads, space: bool = True) -> AskedWords:
    """Words, each after a context ("" for none) and with all of its tokens; without `space`, as if it went on from its end."""
    if space:
        rows = tokenise(list(zip(contexts, asked, strict=True)), how.tokenizer, how.first, how.leading_space)
    else:
        front = [] if how.first is None else [how.first]
        both = [encode(how.tokenizer, list(texts), None) for texts in (contexts, asked)]
        rows = [
            Encoded((*front, *before, *own), len(front) + len(before), text) for before, own, text in zip(*both, asked, strict=True)
        ]
    spelled = ((number, token, number) for number, row in enumerate(rows) for token in range(len(row.ids) - row.before))
    return _asked(rows, spelled, len(rows), how)


def of_tokens(rows: Sequence[Sequence[int]], front: int, spelled: Iterable[Spelled], n: int, how: Reads) -> AskedWords:
    """Words of texts that are tokens already, `front` of which stand before each; tokens are numbered from after these."""
    return _asked([Encoded(tuple(ids), front, "") for ids in rows], spelled, n, how)


def _asked(rows: Sequence[Encoded], spelled: Iterable[Spelled], n: int, how: Reads) -> AskedWords:
    fits = [number for number, row in enumerate(rows) if len(row.ids) <= how.limit and len(row.ids) > row.before]
    sentences, which = gather([rows[number] for number in fits], lambda i: repr(rows[fits[i]].text))
    place = dict(zip(fits, which.tolist(), strict=True))
    found = [
        (sentences.starts[place[number]] + token - passed, word)
        for number, token, word in spelled
        if number in place and token >= (passed := max(0, 1 - rows[number].before))
    ]
    at, word = np.array(found, dtype=np.int64).reshape(-1, 2).T
    return AskedWords(sentences, at, word, n)

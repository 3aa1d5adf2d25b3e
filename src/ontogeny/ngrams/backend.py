"""What any store of n-gram counts answers, and the index of this package as one.

An n-gram never crosses a BOS: it may begin with one, or end with one as the end of a document.  The last document is closed like
the others, although nothing follows it in the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ontogeny.ngrams.index import Index
from ontogeny.records import OntogenyError
from ontogeny.tokens.token_store import TokenStore

AROUND = 20  # tokens on each side of an n-gram that are shown with it


@dataclass(frozen=True, slots=True)
class Place:
    """Where an n-gram occurs.  Of its document, closed by BOS on both sides, the tokens around it."""

    tokens: tuple[int, ...]
    start: int  # of the n-gram within `tokens`
    document: int  # number in the stream, from 0
    position: int  # of the n-gram in its document, whose BOS is at 0
    source: str  # file that the document came from; empty where it is not known
    line: int  # in that file, from 1; 0 where it is not known


class Backend(Protocol):
    """Counts of n-grams, whoever made them."""

    vocabulary: int
    bos: int | None  # None: documents have no beginning that can be asked for

    def count(self, ngram: Sequence[int]) -> int:
        """How often the n-gram occurs.  Raises OntogenyError for one that is empty or holds a token outside the vocabulary."""
        ...

    def followers(self, history: Sequence[int]) -> dict[int, int]:
        """How often each token follows the history, without those that never do; after the empty one, how often each occurs."""
        ...

    def places(self, ngram: Sequence[int], limit: int = 10, seed: int = 0, around: int = AROUND) -> list[Place]:
        """Where the n-gram occurs, in the order of the stream; at most `limit` places, drawn at random if there are more."""
        ...


class Embedded:
    """An index of this package, with the stream that it was made from."""

    def __init__(self, index: Index, stream: TokenStore):
        """Raises OntogenyError if the stream is not as long as the index's or its BOS is another one."""
        if len(index.ids) != len(stream) or index.bos != stream.facts["bos"]:
            raise OntogenyError(
                f"{index.folder} counts {len(index.ids):,} tokens with BOS {index.bos}, {stream.path} holds {len(stream):,} "
                f"with BOS {stream.facts['bos']}: give the stream that the index was made from"
            )
        self.index, self.stream = index, stream
        self.vocabulary: int = index.vocabulary
        self.bos: int | None = index.bos

    def count(self, ngram: Sequence[int]) -> int:
        """How often the n-gram occurs.  Raises OntogenyError also for one longer than the index's order."""
        return self.index.count(ngram)

    def followers(self, history: Sequence[int]) -> dict[int, int]:
        """How often each token follows the history.  Raises OntogenyError where its n-grams are longer than the index's order."""
        tokens, counts = self.index.followers(history)
        return dict(zip(tokens.tolist(), counts.tolist(), strict=True))

    def places(self, ngram: Sequence[int], limit: int = 10, seed: int = 0, around: int = AROUND) -> list[Place]:
        """Where the n-gram occurs, with the source and line that its document came from."""
        positions = self.index.occurrences(ngram, limit, seed)
        return [self._place(int(position), len(ngram), around) for position in positions]

    def _place(self, position: int, length: int, around: int) -> Place:
        documents, sources = self.stream.documents, self.stream.facts["sources"]
        row = int(np.searchsorted(documents["start"], np.uint64(position), side="right")) - 1
        begin, end = document_bounds(documents["start"], row, len(self.stream))
        tokens, start = surroundings(self.stream.ids, begin, end, position, length, around)
        if position + length + around > end and self.bos is not None:
            tokens = (*tokens, self.bos)
        return Place(tokens, start, row, position - begin, sources[documents["source"][row]], int(documents["line"][row]))


def document_bounds(starts: NDArray[Any], row: int, size: int) -> tuple[int, int]:
    """Where a document begins and ends in a stream of that size, given where all begin."""
    return int(starts[row]), int(starts[row + 1]) if row + 1 < len(starts) else size


def surroundings(ids: NDArray[Any], begin: int, end: int, position: int, length: int, around: int) -> tuple[tuple[int, ...], int]:
    """Tokens of the document [begin, end) from `around` before the n-gram at `position` to `around` after it, and where it is."""
    low, high = max(begin, position - around), min(end, position + length + around)
    return tuple(ids[low:high].tolist()), position - low


def check_tokens(ngram: Sequence[int], vocabulary: int) -> None:
    """Raises OntogenyError if a token is none of the vocabulary's."""
    if (wrong := next((token for token in ngram if not 0 <= token < vocabulary), None)) is not None:
        raise OntogenyError(f"token {wrong} is none of the {vocabulary:,} that were counted: the tokenizer is another one")

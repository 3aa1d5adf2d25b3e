"""Sentences as token ids, each with what stands before it: BOS, and a context that is conditioned on and not scored.

Context and sentence are tokenised by themselves, so that a context is the same tokens whatever follows it.  What joins them is a
space, as in running text, which belongs to the sentence; or the white space that the context ends in or the sentence begins with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ontogeny.records import OntogenyError
from ontogeny.scoring.forest import Forest, Integers, grow
from ontogeny.tokens.token_store import backward, encode
from ontogeny.tokens.unknown import left_out

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PART = 1 << 18  # sentences that are grown into trees at once
Floats = NDArray[np.float64]
Logps = tuple[Floats, dict[str, Any]]
"""log p (nats) of every scored token of some sentences, laid end to end; and how it was found, for the lineage."""


class Encoded(NamedTuple):
    """A sentence as a model reads it."""

    ids: tuple[int, ...]
    before: int  # how many of them stand before the sentence's own
    text: str
    lost: int = 0  # characters of it that no token stands for


@dataclass(frozen=True, eq=False)
class Sentences:
    """Distinct sentences in the order of their ids; iterating gives the ids of each, with what stands before it.

    The first token is never scored: it is the BOS, or, where a model has none, a token that nothing predicts.
    """

    rows: list[Encoded]
    named: Callable[[int], str]  # how a person is told which
    _forests: dict[int, Forest] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return (row.ids for row in self.rows)

    def __getitem__(self, which: int) -> tuple[int, ...]:
        return self.rows[which].ids

    @cached_property
    def sizes(self) -> Integers:
        """Tokens of each, with what stands before it."""
        return np.array([len(ids) for ids in self], dtype=np.int64)

    @cached_property
    def given(self) -> Integers:
        """Tokens of each that are not scored: those before it, and the first in any case."""
        return np.minimum(np.maximum([row.before for row in self.rows], 1), self.sizes).astype(np.int64)

    @cached_property
    def context(self) -> int:
        """The most tokens that stand before a sentence besides BOS."""
        return max([1, *(row.before for row in self.rows)]) - 1

    @cached_property
    def lengths(self) -> Integers:
        """Logps tokens of each."""
        return self.sizes - self.given

    @cached_property
    def starts(self) -> Integers:
        """Where each one's scored tokens start when those of all are laid end to end."""
        return np.cumsum(self.lengths) - self.lengths

    def parts(self) -> Iterator[tuple[slice, Sentences]]:
        """So many that memory holds their trees, and where their scored tokens stand; these themselves where they are few."""
        ends = np.append(0, np.cumsum(self.lengths))
        for at in range(0, len(self), PART):
            end = min(at + PART, len(self))
            part = self if len(self) <= PART else self.part(range(at, end))
            yield slice(int(ends[at]), int(ends[end])), part

    def forest(self, most: int) -> Forest:
        """As trees of at most `most` nodes, none of which branches for 1; grown once."""
        if most not in self._forests:
            self._forests[most] = grow(list(self), most, self.given)
        return self._forests[most]

    def part(self, which: Sequence[int] | Integers) -> Sentences:
        """Some of them, by their ascending numbers."""
        return Sentences([self.rows[i] for i in which], lambda i: self.named(int(which[i])))

    def check_finite(self, logps: Floats, places: Integers) -> None:
        """Raises OntogenyError that names the sentence if a log-probability at one of these places is no finite number."""
        wrong = places[~np.isfinite(logps[places])]
        if len(wrong):
            which = int(np.searchsorted(self.starts, wrong.min(), side="right")) - 1
            raise OntogenyError(
                f"the model gives a log-probability that is not a finite number, in {self.named(which)}; its weights may be broken"
            )


def gather(rows: Sequence[Encoded], named: Callable[[int], str]) -> tuple[Sentences, Integers]:
    """The distinct sentences among rows, and which of them each row is.  `named`: how a person is told which row."""
    order = sorted(range(len(rows)), key=lambda i: rows[i].ids)
    place, first = np.empty(len(rows), dtype=np.int64), list[int]()  # which distinct one each row is; of these the row it comes in
    for _, alike in groupby(order, key=lambda i: rows[i].ids):
        known: dict[int, int] = {}  # tokens that stand before: which distinct one
        for i in alike:
            if rows[i].before not in known:
                known[rows[i].before] = len(first)
                first.append(i)
            place[i] = known[rows[i].before]
    return Sentences([rows[i] for i in first], lambda i: named(first[i])), place


def tokenise(
    texts: Sequence[tuple[str, str]], tokenizer: PreTrainedTokenizerBase, first: int | None, leading_space: bool = False
) -> list[Encoded]:
    """Contexts ("" for none) and sentences as a model reads them, with `first` in front; each text is tokenised once.

    A special token that is written in one is that token, as the end mark of a formal language's strings.
    Raises OntogenyError for a context before a sentence that is read from its end.
    """
    given = {both: spaced(*both, leading_space) for both in texts}
    parts = sorted({part for both in given.values() for part in both if part})
    if backward(tokenizer) and any(context for context, _ in given.values()):
        raise OntogenyError("a backward model reads a sentence before what stands left of it: leave its context out")
    coded = encode(tokenizer, parts, None, special=True) if parts else []
    one = {token: token for text in coded for token in text}  # object for a token, as a million sentences take memory
    ids = {"": (), **{part: tuple(map(one.__getitem__, text)) for part, text in zip(parts, coded, strict=True)}}
    front = () if first is None else (first,)
    lost = {"": 0, **dict(zip(parts, left_out(tokenizer, parts, special=True), strict=True))}
    rows = {
        both: Encoded((*front, *ids[context], *ids[text]), len(front) + len(ids[context]), both[1], lost[context] + lost[text])
        for both, (context, text) in given.items()
    }
    return [rows[both] for both in texts]


def spaced(context: str, text: str, leading_space: bool) -> tuple[str, str]:
    """Context and sentence as they are tokenised, with the space between them at the sentence.

    >>> spaced("Who left?", "Dana.", False)
    ('Who left?', ' Dana.')
    """
    space = " " if leading_space else ""
    if not (before := context.rstrip(" ")):
        return "", f"{space}{text}"
    joined = (context[-1] != " " and context[-1].isspace()) or text[:1].isspace()
    return f"{space}{before}", text if joined else f" {text}"

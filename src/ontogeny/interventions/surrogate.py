"""The training text drawn anew from its own bigrams: a text in which nothing but bigrams can be learned."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ontogeny.interventions.kinds import StreamEdit, StreamEdited
from ontogeny.records import OntogenyError
from ontogeny.tokens.token_store import ROW, TokenStore

if TYPE_CHECKING:
    import polars as pl

    from ontogeny.interventions.context import InterventionContext

Ints = NDArray[np.int64]
SHOWN = 200  # documents of the surrogate that are kept as text, for people ...
LONGEST = 1000  # ... up to this many tokens of each
WIDTH = 2**16  # stretches drawn side by side


class BigramSurrogate(StreamEdit):
    """Draws the stream anew, token by token, from the maximum-likelihood n-gram model of the text, as many tokens as before.

    Each token is one that follows, in the text, what was drawn before it: a place where the text has the last `order` - 1 tokens
    is chosen at random, and what stands after it is read.  So no n-gram occurs that the text lacks, and the frequencies of
    n-grams come near those of the text.  A history never reaches back beyond a BOS.  BOS is drawn as any token is, and begins a
    document; the last document is cut where the stream is as long as the text.  Sources and lines mean nothing any more, and a
    document counts as many words as its share of the tokens.  The text and a few numbers a token are in memory.
    """

    kind: Literal["bigram-surrogate"] = "bigram-surrogate"
    order: int = Field(2, ge=1, le=5)
    """2: bigrams.  1: each token alone.  3 and more: longer n-grams, up to 5."""
    seed: int = 0
    """Seed of the draws."""

    def edit(self, context: InterventionContext) -> StreamEdited:
        """As StreamEdit has it.  Raises OntogenyError where there is no BOS."""
        if context.first is None:
            raise OntogenyError("bigram-surrogate: documents begin where BOS is drawn, and this text has none; set bos: true")
        text = context.text
        chain = follow(np.asarray(text.ids), context.first, self.order)
        drawn = chain.tokens[walk(chain, len(text) - 1, context.rng(self.seed))]
        ids = np.concatenate([text.ids[:1], drawn])
        rows = rows_of(ids, context.first, text)
        facts = {"changes": len(drawn), "order": self.order, "documents": len(rows)}
        return StreamEdited(ids, _shown(ids, rows, context), facts, rows)


class Chain(NamedTuple):
    """What follows what: one entry a place of the text, sorted by the history before it."""

    tokens: NDArray[Any]  # the token at each place [T]
    after: NDArray[Any]  # the history that ends with it [T]
    first: Ints  # where the places of each history begin [H + 1]
    start: int  # the history of a document's first token


def follow(ids: NDArray[Any], bos: int, order: int) -> Chain:
    """The chain of order - 1 tokens of memory over a stream that begins with BOS and counts as closed by one more.

    A place is a token from the second on, and the BOS that closes the stream.
    """
    histories = _histories(ids, bos, order)
    following = np.append(ids[1:], np.array([bos], dtype=ids.dtype))  # after the history that ends at each token
    after = np.append(histories[1:], histories[:1])  # a closing BOS has the history that any BOS has
    places = np.argsort(histories, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(histories))])
    return Chain(following[places], after[places], first, int(histories[0]))


def _histories(ids: NDArray[Any], bos: int, order: int) -> NDArray[Any]:
    """Number of the history, the last order - 1 tokens back to a BOS, that ends at each token [T]."""
    if order <= 2:
        return np.asarray(ids) if order == 2 else np.zeros_like(ids)
    names = ids.astype(np.int64)
    size = int(names.max()) + 1
    for _ in range(order - 2):  # one token further back each time; a BOS is its whole history
        before = np.concatenate([[0], names[:-1] + 1])
        before[ids == bos] = 0
        names = np.unique(before * size + ids, return_inverse=True)[1]
    return names.astype(np.int32)


def walk(chain: Chain, length: int, generator: np.random.Generator) -> Ints:
    """The places that a random walk from the chain's start comes by [length].

    What the walk does after each visit to one history is independent of what it did before.  So the stretches between visits to the
    most frequent one are drawn side by side and laid end to end, which is the same walk, many times faster.
    """
    sizes = np.diff(chain.first)
    home = int(np.argmax(sizes))
    found = [_stretches(chain, np.array([chain.start]), home, generator)] if chain.start != home else []
    found.append(np.zeros(0, dtype=np.int64))
    drawn = sum(map(len, found))
    mean = len(chain.tokens) / int(sizes[home])  # tokens between visits (Kac's lemma)
    while drawn < length:
        width = min(WIDTH, int((length - drawn) / mean) + 1)
        found.append(_stretches(chain, np.full(width, home), home, generator))
        drawn += len(found[-1])
    return np.concatenate(found)[:length]


def _stretches(chain: Chain, histories: Ints, home: int, generator: np.random.Generator) -> Ints:
    """Walks from each of these histories until it comes to `home`: the places of the first walk, then those of the second ..."""
    walkers = np.arange(len(histories))
    passed, by = [], []
    while len(walkers):
        places = generator.integers(chain.first[histories], chain.first[histories + 1])
        passed.append(places)
        by.append(walkers)
        histories = chain.after[places].astype(np.int64)
        going = histories != home
        walkers, histories = walkers[going], histories[going]
    order = np.argsort(np.concatenate(by), kind="stable")
    return np.asarray(np.concatenate(passed)[order])


def rows_of(ids: NDArray[Any], bos: int, text: TokenStore) -> NDArray[Any]:
    """Documents where BOS falls; the text's words are shared out by tokens."""
    starts = np.flatnonzero(ids == bos)
    rows = np.zeros(len(starts), dtype=ROW)
    rows["start"] = starts
    rows["words"] = starts * text.facts["words"] // len(ids)
    return rows


def _shown(ids: NDArray[Any], rows: NDArray[Any], context: InterventionContext) -> pl.DataFrame:
    import polars as pl

    bounds = np.append(rows["start"][: SHOWN + 1].astype(np.int64), len(ids))
    cut = [ids[low + 1 : min(high, low + LONGEST)] for low, high in pairwise(bounds[: SHOWN + 1])]
    texts = [context.tokenizer.decode(document.tolist()) for document in cut]
    return pl.DataFrame({"document": range(1, len(texts) + 1), "text": texts}, schema={"document": pl.Int64, "text": pl.String})

"""Interpolated Witten-Bell smoothing (Witten & Bell 1991, method C; Chen & Goodman 1999, section 2.6).

    p(w | h) = (c(h w) + N(h) p(w | h')) / (c(h) + N(h)),   N(h) = how many different tokens follow h,   h' = h without its first

It ends in the unigrams, interpolated in the same way with the uniform distribution over the vocabulary.  Unlike Kneser-Ney it asks
for nothing but what follows a history, so it serves corpora that are too large to count here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ontogeny.ngrams.backend import Backend, check_tokens
from ontogeny.records import OntogenyError

ORDERS = range(1, 6)
HISTORIES = 2**16  # whose followers are kept in memory


class WittenBell:
    """An n-gram model over any store of counts.  Each history that is asked for is looked up once."""

    def __init__(self, counts: Backend, order: int = 2):
        """Raises OntogenyError for an order that is none of 1 to 5."""
        if order not in ORDERS:
            raise OntogenyError(f"the order of an n-gram model is {ORDERS[0]} to {ORDERS[-1]}, not {order}")
        self.counts, self.order = counts, order
        self._after = lru_cache(HISTORIES)(self._look_up)
        self._logp = lru_cache(HISTORIES)(self._interpolated)

    def logp(self, history: Sequence[int], token: int) -> float:
        """log p(token | history) in nats, of a history of any length; what lies before its last BOS or too far back is left out.

        BOS as the token is the end of a document.  Raises OntogenyError for a token outside the vocabulary.
        """
        check_tokens([*history, token], self.counts.vocabulary)
        return self._logp(self._context(history), int(token))

    def sentence(self, tokens: Sequence[int], end: bool = False) -> float:
        """log p(tokens | BOS) in nats, with `end` that of BOS after them too.

        Rounded once, so that sentences of the same transitions in another order tie exactly.
        """
        bos = self.counts.bos
        begun = [*([] if bos is None else [bos]), *tokens, *([bos] if end and bos is not None else [])]
        return math.fsum(self.logp(begun[:i], begun[i]) for i in range(bos is not None, len(begun)))

    def distribution(self, history: Sequence[int]) -> NDArray[np.float64]:
        """p(token | history) of every token of the vocabulary [V]."""
        check_tokens(history, self.counts.vocabulary)
        context = self._context(history)
        p = np.full(self.counts.vocabulary, 1 / self.counts.vocabulary)
        for start in range(len(context), -1, -1):
            followers, total = self._after(context[start:])
            if followers:
                p *= len(followers)
                p[list(followers)] += list(followers.values())
                p /= total + len(followers)
        return p

    def _context(self, history: Sequence[int]) -> tuple[int, ...]:
        """The tokens that count: the last ones, order - 1 at most, from the last BOS on."""
        context = tuple(int(token) for token in history[max(0, len(history) - self.order + 1) :])
        begins = max((i for i, token in enumerate(context) if token == self.counts.bos), default=0)
        return context[begins:]

    def _look_up(self, history: tuple[int, ...]) -> tuple[dict[int, int], int]:
        followers = self.counts.followers(history)
        return followers, sum(followers.values())

    def _interpolated(self, context: tuple[int, ...], token: int) -> float:
        p = 1 / self.counts.vocabulary
        for start in range(len(context), -1, -1):
            followers, total = self._after(context[start:])
            if followers:
                p = (followers.get(token, 0) + len(followers) * p) / (total + len(followers))
        return math.log(p)

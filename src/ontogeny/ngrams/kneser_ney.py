"""Interpolated modified Kneser-Ney smoothing (Chen & Goodman 1999, section 4.1.6), at every order up to the index's.

    p_n(w | h) = (c(hw) - D(c(hw))) / c(h) + gamma(h) p_{n-1}(w | h'),   gamma(h) = (D1 N1(h) + D2 N2(h) + D3 N3+(h)) / c(h)

h' is h without its first token, Ni(h) counts the tokens that follow h exactly i times (3+: three times or more).  At a model's own
order c counts occurrences; below it, the distinct tokens that an n-gram follows, except for n-grams that begin with BOS, which
nothing comes before: they keep their occurrences.  Under the unigrams lies the uniform distribution over the whole vocabulary, so
that no token has probability zero.  BOS as a last token is the end of a document (EOS), an event like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ontogeny.ngrams.index import Index, Walk
from ontogeny.ngrams.sorting import Ints
from ontogeny.records import OntogenyError

Floats = NDArray[np.float64]
FALLBACK = (0.5, 1.0, 1.5)  # what KenLM's lmplz offers where counts of counts give no discount


class Discounts(NamedTuple):
    """What is taken off a count of 1, of 2, and of 3 or more."""

    one: float
    two: float
    more: float
    estimated: bool = True  # False: the counts of counts give none, and the fallback stands in

    def of(self, counts: NDArray[Any]) -> Floats:
        """The discount of each count; 0 for a count of 0."""
        return np.asarray(np.array([0.0, self.one, self.two, self.more])[np.minimum(counts, 3)])


def estimate(counts: NDArray[Any]) -> Discounts:
    """Discounts from the counts of counts (Chen & Goodman 1999, eq. 26), or the fallback where they give none.

    They give none where a denominator is 0 or a discount is not above 0 or exceeds the count it is taken off.
    """
    n = [int((counts == times).sum()) for times in (1, 2, 3, 4)]
    if not all(n[:3]):
        return Discounts(*FALLBACK, estimated=False)
    y = n[0] / (n[0] + 2 * n[1])
    found = [times - (times + 1) * y * n[times] / n[times - 1] for times in (1, 2, 3)]
    valid = all(0 < discount <= times for times, discount in enumerate(found, start=1))
    return Discounts(found[0], found[1], found[2]) if valid else Discounts(*FALLBACK, estimated=False)


@dataclass(frozen=True, slots=True)
class SmoothedLevel:
    """One level of a model: (c(hw) - D) / c(h) for each n-gram and gamma(h) for each history, both made when asked for."""

    counts: NDArray[Any]  # c(hw) of each n-gram of this level
    parents: NDArray[Any] | None  # row of h at the level below; None for unigrams, whose history is empty
    totals: Floats  # c(h) of each row of the level below ([1] for unigrams)
    gammas: Floats  # gamma(h); 1 where h was never followed by anything
    discounts: Discounts

    def share(self, rows: Ints) -> Floats:
        """(c(hw) - D) / c(h) of n-grams by row; 0 for row -1 and for n-grams with no count."""
        shares, known = np.zeros(len(rows)), rows >= 0
        counts = self.counts[rows[known]]
        totals = self.totals[0] if self.parents is None else self.totals[self.parents[rows[known]]]
        shares[known] = (counts - self.discounts.of(counts)) / np.maximum(totals, 1)
        return shares

    def gamma(self, histories: Ints) -> Floats:
        """gamma(h) of histories by row; 1 for row -1."""
        weights, known = np.ones(len(histories)), histories >= 0
        weights[known] = self.gammas[histories[known]]
        return weights


def smoothed(counts: NDArray[Any], parents: NDArray[Any] | None, histories: int, discounts: Discounts) -> SmoothedLevel:
    """A level from its counts."""
    at = np.zeros(len(counts), dtype=np.int64) if parents is None else parents
    totals: Floats = np.bincount(at, weights=counts, minlength=histories).astype(np.float64)
    taken = np.bincount(at, weights=discounts.of(counts), minlength=histories)
    gammas: Floats = np.divide(taken, totals, out=np.ones(histories), where=totals > 0)
    return SmoothedLevel(counts, parents, totals, gammas, discounts)


class KneserNey:
    """The models of all orders from one index's counts: unigram, bigram ... each with its own highest order."""

    def __init__(self, index: Index, counts: Sequence[NDArray[Any]] | None = None, discounts: Sequence[Discounts] | None = None):
        """`counts`: occurrences of each n-gram at each level (the index's own if left out), such as those up to a step; their
        number is the highest order.

        `discounts`: those of each level from unigrams up, in place of estimates.
        Raises OntogenyError for whole counts among which no bigram occurs twice, if there is something to estimate.
        """
        self.index = index
        self.vocabulary = index.vocabulary
        self._counts = [level.count for level in index.levels] if counts is None else list(counts)
        self.order = len(self._counts)
        self._given = discounts
        if counts is None and discounts is None and self.order > 1 and not (self._counts[1] > 1).any():
            raise OntogenyError(
                "no bigram of this text occurs twice: there is nothing to estimate from; a longer text, or a smaller vocabulary"
            )
        self._own: dict[int, SmoothedLevel] = {}
        self._lower: dict[int, SmoothedLevel] = {}

    # --- levels, made when a model needs them ---------------------------------------------------------------------

    def own(self, n: int) -> SmoothedLevel:
        """Level n as the highest of a model: occurrences."""
        if n not in self._own:
            self._own[n] = self._smooth(n, self._counts[n - 1])
        return self._own[n]

    def lower(self, n: int) -> SmoothedLevel:
        """Level n below a model's highest: how many distinct tokens each n-gram follows."""
        if n not in self._lower:
            self._lower[n] = self._smooth(n, self._follows(n))
        return self._lower[n]

    def _smooth(self, n: int, counts: NDArray[Any]) -> SmoothedLevel:
        histories = 1 if n == 1 else len(self.index.levels[n - 2])
        discounts = estimate(counts) if self._given is None else self._given[n - 1]
        return smoothed(counts, self.index.parents(n), histories, discounts)

    def _follows(self, n: int) -> NDArray[Any]:
        """Distinct tokens before each n-gram; occurrences for those that begin with BOS."""
        longer, level = self.index.levels[n], self.index.levels[n - 1]
        seen = longer.suffix[self._counts[n] > 0].astype(np.int64)
        counts = np.bincount(seen, minlength=len(level)).astype(level.count.dtype)
        if self.index.bos is not None and n > 1:
            begins = self.index.place([self.index.bos])
            if begins is not None:
                low, high = self._under(begins, n)
                counts[low:high] = self._counts[n - 1][low:high]
        return counts

    def _under(self, row: int, n: int) -> tuple[int, int]:
        """The stretch of level n under one row of level 1: rows are in lexicographic order."""
        low, high = row, row + 1
        for level in self.index.levels[1:n]:
            bounds = np.array([low, high], dtype=np.uint64) * np.uint64(self.vocabulary)
            low, high = (int(found) for found in np.searchsorted(level.key, bounds))
        return low, high

    # --- asking ---------------------------------------------------------------------------------------------------

    def probabilities(self, walk: Walk, order: int) -> Floats:
        """p of each token of the walk's sentences given the `order` - 1 tokens before it in its sentence.

        Raises OntogenyError if the order is above what was counted.
        """
        p = np.full(len(walk.rows[0]), 1 / self.vocabulary)
        for level, rows, histories in zip(self.levels(order), walk.rows, walk.histories, strict=False):
            p = level.share(rows) + level.gamma(histories) * p
        return p

    def distribution(self, histories: Ints, order: int) -> Floats:
        """p of every token [C, vocabulary] after each history [C, k]; the last `order` - 1 columns count, -1 means nothing there.

        Raises OntogenyError if the order is above what was counted, the histories are too short for it, or a token is none of the
        vocabulary's.
        """
        self.index.check_tokens(histories[histories != -1])
        if histories.shape[1] < order - 1:
            raise OntogenyError(f"a model of order {order} looks {order - 1} tokens back, the histories have {histories.shape[1]}")
        levels = self.levels(order)
        p = np.tile(self._unigrams(levels[0]), (len(histories), 1))
        for n, level in enumerate(levels[1:], start=2):
            contexts = self._rows(histories[:, histories.shape[1] - n + 1 :])
            p *= level.gamma(contexts)[:, None]
            known = np.flatnonzero(contexts >= 0)
            at, rows = self._children(contexts[known], n)
            tokens = (self.index.levels[n - 1].key[rows] % np.uint64(self.vocabulary)).astype(np.int64)
            p[known[at], tokens] += level.share(rows)
        return p

    def of_order(self, order: int) -> OfOrder:
        """The model of one order alone.  Raises OntogenyError if the order is above what was counted."""
        self.levels(order)
        return OfOrder(self, order)

    def _unigrams(self, base: SmoothedLevel) -> Floats:
        p = np.full(self.vocabulary, base.gammas[0] / self.vocabulary)
        tokens = self.index.levels[0].key.astype(np.int64)
        p[tokens] += base.share(np.arange(len(tokens)))
        return p

    def _rows(self, histories: Ints) -> Ints:
        """Row of each history [C, k] at level k, -1 where it never occurs or has a token missing."""
        rows = np.zeros(len(histories), dtype=np.int64)
        for level, column in zip(self.index.levels, histories.T, strict=False):
            at = np.flatnonzero((rows >= 0) & (column >= 0))
            found = np.full(len(rows), -1, dtype=np.int64)
            wanted = (rows[at] * self.vocabulary + column[at]).astype(np.uint64)
            place = np.minimum(np.searchsorted(level.key, wanted), max(0, len(level) - 1))
            found[at] = np.where(level.key[place] == wanted, place, -1) if len(level) else -1
            rows = found
        return rows

    def _children(self, contexts: Ints, n: int) -> tuple[Ints, Ints]:
        """All n-grams under each context: which context each belongs to, and its row at level n."""
        keys, width = self.index.levels[n - 1].key, np.uint64(self.vocabulary)
        low = np.searchsorted(keys, contexts.astype(np.uint64) * width)
        many = np.searchsorted(keys, (contexts + 1).astype(np.uint64) * width) - low
        at = np.repeat(np.arange(len(contexts)), many)
        return at, np.arange(many.sum()) + np.repeat(low - (np.cumsum(many) - many), many)

    def levels(self, order: int) -> list[SmoothedLevel]:
        """The levels of a model, from unigrams to its own.  Raises OntogenyError if the order is above what was counted."""
        if not 1 <= order <= self.order:
            raise OntogenyError(f"n-grams were counted up to n = {self.order}; a model of order {order} needs n = {order}")
        return [*(self.lower(n) for n in range(1, order)), self.own(order)]

    def discounts(self, order: int) -> list[Discounts]:
        """The discounts of a model's levels, from unigrams to its own."""
        return [level.discounts for level in self.levels(order)]


@dataclass(frozen=True, slots=True)
class OfOrder:
    """One order's model, for whoever wants a distribution after a history and knows nothing of orders."""

    model: KneserNey
    order: int

    def distribution(self, histories: Ints) -> Floats:
        """p of every token [C, vocabulary] after histories [C, order - 1 or more]; -1 on the left means nothing there."""
        return self.model.distribution(histories, self.order)

"""Bigram counts that an edit changes, and the mean bigram margin of paradigms as a function of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ontogeny.ngrams import Index, KneserNey
from ontogeny.ngrams.index import Level
from ontogeny.scoring.ngram_pairs import WalkedPairs
from ontogeny.scoring.plan import Plan

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class BigramCounts(Index):
    """The unigrams and bigrams of an index, in memory, with a row also for bigrams that do not occur yet."""

    def __init__(self, index: Index, first: Ints, second: Ints):
        """`first`, `second`: tokens of bigrams that need a row; both occur in the stream."""
        self.ids, self.vocabulary, self.bos, self.order = index.ids, index.vocabulary, index.bos, 2
        unigrams, bigrams = index.levels[0], index.levels[1]
        self._row_of = np.full(index.vocabulary, -1, dtype=np.int64)
        self._row_of[unigrams.key.astype(np.int64)] = np.arange(len(unigrams))
        wanted = np.unique(self._keys(first, second))
        keys = np.union1d(bigrams.key, wanted)
        counts = np.zeros(len(keys), dtype=np.int64)
        counts[np.searchsorted(keys, bigrams.key)] = bigrams.count
        suffix = self._row_of[(keys % np.uint64(self.vocabulary)).astype(np.int64)]
        self.levels = [unigrams, Level(keys, np.zeros(0, dtype=np.int64), counts, suffix)]
        self._parents = {}

    def _keys(self, first: Ints, second: Ints) -> NDArray[np.uint64]:
        return np.asarray(self._row_of[first] * self.vocabulary + second).astype(np.uint64)

    @property
    def counts(self) -> Ints:
        """How often each bigram occurs in the stream that was counted [bigrams]."""
        return self.levels[1].count

    def rows(self, first: Ints, second: Ints) -> Ints:
        """Rows of bigrams that have one; arrays of any one shape."""
        return np.searchsorted(self.levels[1].key, self._keys(first, second))

    def tokens(self, rows: Ints) -> tuple[Ints, Ints]:
        """First and second tokens of bigrams."""
        above, second = np.divmod(self.levels[1].key[rows], np.uint64(self.vocabulary))
        first: Ints = self.levels[0].key[above.astype(np.int64)].astype(np.int64)
        return first, second.astype(np.int64)


class Margins:
    """The mean bigram margin of paradigms under Kneser-Ney bigrams, as a function of a table's counts."""

    def __init__(self, table: BigramCounts, plan: Plan):
        self.table = table
        self.sentences = WalkedPairs(table, plan)
        self._names = np.array([pair.paradigm for pair in plan.pairs])
        self.paradigms = list(dict.fromkeys(self._names.tolist()))
        self.rows, self.weights = self._transitions()

    def _transitions(self) -> tuple[Ints, Floats]:
        """Bigrams that decide the pairs, and how much of the mean margin the logarithm of each is; those without a row left out."""
        net = self.sentences.net(2)
        sizes = {paradigm: int((self._names == paradigm).sum()) for paradigm in self.paradigms}
        share = np.array([1 / sizes[name] for name in self._names]) / len(self.paradigms)
        rows = self.sentences.walk.rows[1][net.at]
        weights = np.bincount(rows[rows >= 0], weights=(share[net.which] * net.times)[rows >= 0], minlength=len(self.table.counts))
        deciding = np.flatnonzero(np.abs(weights) > 1e-12)  # a bigram that one pair has and another lacks may cancel, to rounding
        return deciding.astype(np.int64), weights[deciding].astype(np.float64)

    def model(self, counts: Ints) -> KneserNey:
        """The bigram model of these counts."""
        return KneserNey(self.table, counts=[self.table.levels[0].count, counts])  # a bigram model asks nothing of the unigrams

    def by_paradigm(self, counts: Ints) -> dict[str, float]:
        """Mean margin of each paradigm, nats."""
        own = self.sentences.margins(self.sentences.logps(self.model(counts), 2), 2)
        return {paradigm: float(own[self._names == paradigm].mean()) for paradigm in self.paradigms}

    def mean(self, counts: Ints) -> float:
        """The paradigms' mean margins, averaged, nats."""
        return mean(self.by_paradigm(counts))

    def slopes(self, counts: Ints) -> tuple[Floats, Floats]:
        """What one occurrence more, and one less, of each bigram adds to the mean margin [bigrams], nats.

        Discounts, back-off weights and continuation counts are taken as they are: a guide to where to look, not the result.
        """
        base, level = self.model(counts).levels(2)
        first = (self.table.levels[1].key[self.rows] // np.uint64(self.table.vocabulary)).astype(np.int64)
        below = base.share(self.table.levels[1].suffix[self.rows].astype(np.int64)) + base.gammas[0] / self.table.vocabulary
        rest = level.gamma(first) * below
        own, total = counts[self.rows], np.maximum(level.totals[first], 1)

        def logp(occurrences: Ints) -> Floats:
            return np.asarray(np.log((occurrences - level.discounts.of(occurrences)) / total + rest))

        more, less = np.zeros(len(counts)), np.zeros(len(counts))
        more[self.rows] = self.weights * (logp(own + 1) - logp(own))
        less[self.rows] = self.weights * np.where(own > 0, logp(np.maximum(own - 1, 0)) - logp(own), 0)
        return more, less


def mean(margins: dict[str, float]) -> float:
    """The mean over paradigms, each counting the same."""
    return float(np.mean(list(margins.values())))


def changed(counts: Ints, rows: Ints, times: Sequence[int] | Ints) -> Ints:
    """Counts after changes: `rows` of bigrams [..., k] and, along their last axis, how often each occurs more."""
    many = np.broadcast_to(np.asarray(times), rows.shape)
    return np.asarray(counts + np.bincount(rows.ravel(), weights=many.ravel(), minlength=len(counts)).astype(np.int64))

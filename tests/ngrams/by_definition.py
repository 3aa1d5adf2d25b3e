"""N-grams, and Kneser-Ney models of them, straight from the definitions: a dictionary of tuples, one n-gram at a time."""

from collections import defaultdict

import numpy as np
from hypothesis import strategies as st


def occurrences(ids, n, bos):
    """Positions of each n-gram.  None crosses a BOS; a stream with BOS is closed by one more."""
    closed = [*ids, bos] if bos is not None and n > 1 else list(ids)
    found = defaultdict(list)
    for position in range(len(closed) - n + 1):
        ngram = tuple(closed[position : position + n])
        if bos is None or bos not in ngram[1:-1]:
            found[ngram].append(position)
    return dict(found)


def counts(ids, n, bos, seen=None):
    """How often each n-gram occurs; with `seen`, at how many places its last token is among the seen ones."""
    seen = [True] * (len(ids) + 1) if seen is None else [*seen, False]
    found = {ngram: sum(seen[i + n - 1] for i in places) for ngram, places in occurrences(ids, n, bos).items()}
    return {ngram: count for ngram, count in found.items() if count}


class Model:
    """Interpolated Kneser-Ney of one order from counts at each level and discounts D(level, count)."""

    def __init__(self, levels, order, vocabulary, bos, discount):
        self.vocabulary, self.discount = vocabulary, discount
        self.levels = [self._lower(levels, n, bos) for n in range(1, order)] + [levels[order - 1]]

    def _lower(self, levels, n, bos):
        before = defaultdict(int)
        for ngram in levels[n]:
            before[ngram[1:]] += 1
        begins = {ngram: count for ngram, count in levels[n - 1].items() if n > 1 and bos is not None and ngram[0] == bos}
        return {ngram: count for ngram, count in before.items() if ngram not in begins} | begins

    def p(self, token, history):
        """p(token | history); the history is as long as the model looks back, or shorter."""
        below = self.p(token, history[1:]) if history else 1 / self.vocabulary
        n = len(history) + 1
        after = {ngram: count for ngram, count in self.levels[n - 1].items() if ngram[:-1] == history}
        if not (total := sum(after.values())):
            return below
        taken = sum(self.discount(n, count) for count in after.values())
        count = after.get((*history, token), 0)
        return (count - (self.discount(n, count) if count else 0)) / total + taken / total * below


@st.composite
def streams(draw, vocabularies=(1, 2, 3, 8, 256, 70_000), bos=(True, False), least=1):
    """(ids, vocabulary, bos): few different tokens of it, the last one among them, so that n-grams come again."""
    vocabulary = draw(st.sampled_from(vocabularies))
    some = [*draw(st.lists(st.integers(0, vocabulary - 1), max_size=4)), vocabulary - 1]
    first = draw(st.sampled_from(some)) if draw(st.sampled_from(bos)) else None
    ids = draw(st.lists(st.sampled_from(some), min_size=least, max_size=40))
    ids = ids if first is None else [first, *ids]
    return np.array(ids, dtype=draw(st.sampled_from([np.uint32, np.int64]))), vocabulary, first

"""The counts that an n-gram learner has at a moment of training: of the text that training has predicted so far."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ontogeny.ngrams.index import Index

CHUNK = 2**22  # positions looked up at a time


def counts_among(index: Index, seen: NDArray[np.bool_], order: int | None = None) -> list[NDArray[Any]]:
    """Occurrences of each n-gram at each level, 1 to `order` (None: all), whose last token has been predicted.

    `seen` [tokens] says which tokens of the stream have.  An n-gram counts once at each place, however many epochs went over it:
    a second look at a sentence is no second sentence.  The BOS that closes a stream is never predicted.
    """
    seen = np.append(seen, False)
    counts: list[NDArray[Any]] = []
    running = np.zeros(len(index.ids) + 1, dtype=index.positions.dtype)  # predicted last tokens, by rank of the n-gram's position
    for n, level in enumerate(index.levels[:order], start=1):
        for start in range(0, len(index.ids), CHUNK):
            last = index.positions[start : start + CHUNK].astype(np.int64) + (n - 1)
            running[start + 1 : start + 1 + len(last)] = seen[np.minimum(last, len(index.ids))]
        np.cumsum(running, out=running)
        counts.append(running[level.first + level.count] - running[level.first])
    return counts

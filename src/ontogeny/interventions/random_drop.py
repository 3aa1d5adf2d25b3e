"""The control of a filter: as much text taken out, but not what the filter takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ontogeny.interventions.filter import Filter, pieces, without
from ontogeny.interventions.kinds import TextEdit
from ontogeny.interventions.spool import Spool
from ontogeny.records import Document, Edited, OntogenyError, Removed

if TYPE_CHECKING:
    from ontogeny.interventions.context import InterventionContext

Ints = NDArray[np.int64]
REASON = "at random, as much as a filter takes"


class RandomDrop(TextEdit):
    """Takes documents or sentences out at random: for each that a filter would take, another of as many words.

    Where none of that length is left, one of the nearest length goes, and the next make up for the difference.  What is left of
    it at the end is said.  The documents are kept on disk meanwhile; in memory are a number and a flag for each piece.
    """

    kind: Literal["random-drop"] = "random-drop"
    like: Filter
    """The filter whose size this has: its settings; its `unit` is what goes here too."""
    among: Literal["kept", "all"] = "kept"
    """Where it draws from.  kept: what the filter would leave, so that nothing of what it looks for is lost; all: everything."""
    seed: int = 0
    """Seed of the draw."""

    def contents(self) -> list[str]:
        """What else than its settings decides what goes."""
        return self.like.contents()

    def apply(self, documents: Iterator[Document], context: InterventionContext) -> Iterator[Document | Edited | Removed]:
        """As TextEdit has it.  Raises OntogenyError as the filter does, or if fewer words can be drawn than it takes."""
        with Spool(context.folder.path) as spool:
            words, taken, counts = self._judge(documents, spool)
            drawn = self._draw(words, taken, context)
            ends = np.cumsum(counts)
            for document, end, count in zip(spool, ends, counts, strict=True):
                reasons = [REASON if goes else None for goes in drawn[end - count : end]]
                yield without(document, reasons) if any(reasons) else document

    def _judge(self, documents: Iterator[Document], spool: Spool) -> tuple[Ints, NDArray[np.bool_], Ints]:
        """Words of each piece, whether the filter takes it, and how many pieces each document has."""
        words: list[int] = []
        taken: list[bool] = []
        counts: list[int] = []
        for document, reasons in self.like.judged(documents):
            spool.add(document)
            words += [len(piece.text.split()) for piece in pieces(document, self.like.unit)]
            taken += [reason is not None for reason in reasons]
            counts.append(len(reasons))
        return np.array(words, dtype=np.int64), np.array(taken), np.array(counts, dtype=np.int64)

    def _draw(self, words: Ints, taken: NDArray[np.bool_], context: InterventionContext) -> NDArray[np.bool_]:
        pool = np.flatnonzero(~taken) if self.among == "kept" else np.arange(len(words))
        wanted = int(words[taken].sum())
        if words[pool].sum() < wanted:
            raise OntogenyError(
                f"random-drop: the filter takes {wanted:,} words and leaves only {words[pool].sum():,} to draw from; "
                "draw from everything with among: all"
            )
        drawn = np.zeros(len(words), dtype=bool)
        drawn[pool[alike(words[taken], words[pool], context.rng(self.seed))]] = True
        if difference := int(words[drawn].sum()) - wanted:
            more = "more" if difference > 0 else "fewer"
            context.warn(f"random-drop takes {abs(difference):,} words {more} than the {wanted:,} that the filter takes")
        return drawn


def alike(wanted: Ints, lengths: Ints, generator: np.random.Generator) -> Ints:
    """Places of random pieces, each once, with the lengths that are wanted, as nearly as there are any.

    A wanted length of which none is left is met by the nearest, and what that misses is added to the next that is wanted.
    """
    places = generator.permutation(len(lengths))
    by_length = places[np.argsort(lengths[places], kind="stable")]  # at random within a length
    distinct, starts, sizes = np.unique(lengths[by_length], return_index=True, return_counts=True)
    asked, counts = np.unique(wanted, return_counts=True)
    used = np.zeros(len(distinct), dtype=np.int64)
    unmet: list[int] = []
    for length, count in zip(asked.tolist(), counts.tolist(), strict=True):
        at = int(np.searchsorted(distinct, length))
        there = int(sizes[at]) if at < len(distinct) and distinct[at] == length else 0
        if there:
            used[at] = min(count, there)
        unmet += [length] * max(0, count - there)
    missing = 0
    while missing > 0 or unmet:
        missing += unmet.pop() if unmet else 0  # the longest first: short ones make up best for a difference
        free = np.flatnonzero(used < sizes)
        best = int(free[np.argmin(np.abs(distinct[free] - missing))]) if len(free) else None
        if best is not None and abs(missing - int(distinct[best])) < abs(missing):
            used[best] += 1
            missing -= int(distinct[best])
        elif not unmet:
            break
    return np.concatenate([by_length[start : start + size] for start, size in zip(starts, used, strict=True)])

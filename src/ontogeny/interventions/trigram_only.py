"""Exchanges words between places with the same neighbours, so that trigrams change and no bigram does: a control of an exchange.

`Anna saw him . She` and `Ben saw her . He` exchange `him` and `her`: every token and every pair of neighbours is as frequent as
before, and what is two words away from them is another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.exchange import Ground
from ontogeny.interventions.kinds import StreamEdited
from ontogeny.interventions.sham import Control, Words, neutral, together
from ontogeny.interventions.steering import Swaps, joined


class TrigramExchange(Control):
    """As many exchanges of the same words as a dose makes, between places with the same left and the same right neighbour."""

    kind: Literal["trigram-exchange"] = "trigram-exchange"
    keeps: ClassVar[tuple[str, ...]] = ("lengths", "order", "unigrams", "bigrams", "construction")

    def edit(self, context: InterventionContext) -> StreamEdited:
        """The stream with exchanges.  Raises OntogenyError if there are too few such places, unless `at_most` is set."""
        ground = self.ground(context)
        wanted = self.wanted(ground)
        swaps = joined([swaps for words, many in wanted.items() for swaps in first(ground, words, many)])
        made = ground.words_of(swaps)
        self.lacking(ground, wanted, made, "places with the same neighbours")
        left, right = neutral(ground)
        facts = {
            "matches": self.matched,
            "exchanges": len(swaps),
            "exchanges_by_words": ground.named(made),
            "in_contexts": int((~(left & right))[swaps.one].sum()),  # exchanges beside deciding words
        }
        return ground.after(swaps, facts)


def first(ground: Ground, words: Words, many: int) -> Iterator[Swaps]:
    """Up to `many` exchanges of two words, those beside the paradigm's deciding words first."""
    left, right = neutral(ground)
    for allowed in (~(left & right), left & right):
        swaps = alike(ground, words, allowed).first(many)
        many -= len(swaps)
        yield swaps


def alike(ground: Ground, words: Words, allowed: NDArray[np.bool_]) -> Swaps:
    """Exchanges of two words between places with the same neighbours, and others beyond them."""
    positions, (group, a, b) = ground.positions, words
    one, two = (some[allowed[some]] for some in (positions.members(group, a), positions.members(group, b)))
    around = positions.left * ground.table.vocabulary + positions.right
    around = np.unique(around, return_inverse=True)[1]  # small numbers
    swaps = together(one, around[one], two, around[two])
    ids, bos = np.asarray(ground.context.text.ids), ground.context.first
    changes = np.zeros(len(swaps), dtype=bool)
    for neighbour, step in ((positions.left, -2), (positions.right, 2)):
        beyond = [ids[np.clip(positions.at[side] + step, 0, len(ids) - 1)] for side in (swaps.one, swaps.other)]
        changes |= (beyond[0] != beyond[1]) & (neighbour[swaps.one] != bos)  # no trigram has a BOS in its middle
    return swaps.only(changes)

"""As many exchanges of the same words as a dose makes, at places that do not bear on the paradigm: the control of an exchange.

The bigrams that decide the paradigm's pairs keep their counts, so its evidence moves by no more than continuation counts and
discounts do; what else an exchange does to a text (odd sentences, new trigrams) it does as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ontogeny.interventions.bigram_counts import Ints
from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.exchange import Ground, OfClasses
from ontogeny.interventions.kinds import StreamEdited
from ontogeny.interventions.steering import Swaps, joined, rank
from ontogeny.records import OntogenyError

Words = tuple[int, int, int]  # class, word, other word
Mask = NDArray[np.bool_]
DRAWS = 16  # of exchanges at random that are tried: continuation counts and discounts move the evidence a little


class Control(OfClasses):
    """An edit of as many words as an exchange of the same settings would make."""

    exchanges: int | None = Field(None, ge=1)
    """How many exchanges to match, in equal parts for any two words of a class; left out: those of `dose`, words by words."""

    @property
    def matched(self) -> dict[str, float]:
        """What the number of exchanges is taken from."""
        return {"exchanges": self.exchanges} if self.exchanges else {"dose": self.dose} if self.aim is None else {"aim": self.aim}

    def wanted(self, ground: Ground) -> dict[Words, int]:
        """How many exchanges of each two words there are to be."""
        if self.exchanges is None:
            return ground.words_of(self.steered(ground).swaps)
        words = list(ground.board.pairs_of_words())
        return {pair: (self.exchanges + i) // len(words) for i, pair in enumerate(reversed(words))}

    def lacking(self, ground: Ground, wanted: dict[Words, int], made: dict[Words, int], where: str) -> None:
        """Raises OntogenyError, or warns if `at_most` is set, where fewer could be made than wanted."""
        short = [
            f"{made.get(w, 0):,} of {n:,} {ground.named({w: n}).popitem()[0]!r}" for w, n in wanted.items() if made.get(w, 0) < n
        ]
        if not short:
            return
        said = f"{self.kind} for {self.about}: {where} allow only {', '.join(short)}"
        if not self.at_most:
            raise OntogenyError(f"{said}; at_most: true takes that, a smaller dose or `exchanges` needs less")
        ground.context.warn(said)

    def stays(self, ground: Ground, margin: float) -> None:
        """Raises OntogenyError, or warns if `at_most` is set, if the evidence moved by more than the tolerance."""
        moved, least = margin - ground.start, self.tolerance * ground.way
        if abs(moved) <= least:
            return
        said = f"{self.kind} for {self.about}: the evidence moved by {moved:+.4f} nats, more than the tolerance of {least:.4f}"
        if not self.at_most:
            raise OntogenyError(f"{said}; tolerance: {abs(moved) / (ground.way or 1) * 1.05:.2g} takes that")
        ground.context.warn(said)


class ShamExchange(Control):
    """As many exchanges of the same words as an exchange of these settings, at places that do not bear on the paradigm."""

    kind: Literal["sham-exchange"] = "sham-exchange"
    keeps: ClassVar[tuple[str, ...]] = ("lengths", "order", "unigrams", "construction")

    def edit(self, context: InterventionContext) -> StreamEdited:
        """The stream with exchanges.  Raises OntogenyError if there are too few places, or the evidence moves after all."""
        ground = self.ground(context)
        wanted = self.wanted(ground)
        swaps = drawn(ground, wanted)
        made = ground.words_of(swaps)
        self.lacking(ground, wanted, made, "places off the deciding bigrams")
        self.stays(ground, ground.margins.mean(ground.board.counts(swaps)))
        facts = {
            "matches": self.matched,
            "exchanges": len(swaps),
            "exchanges_by_words": ground.named(made),
        }
        return ground.after(swaps, facts)


def drawn(ground: Ground, wanted: dict[Words, int]) -> Swaps:
    """The first draw of exchanges that leaves the evidence within the tolerance; if none does, the one that moves it least."""
    draws: list[tuple[float, Swaps]] = []
    for draw in range(DRAWS):
        swaps = shammed(ground, wanted, ground.context.rng(ground.edit.seed + draw))
        moved = abs(ground.margins.mean(ground.board.counts(swaps)) - ground.start)
        draws.append((moved, swaps))
        if moved <= ground.edit.tolerance * ground.way:
            return swaps
    return min(draws, key=lambda pair: pair[0])[1]


def shammed(ground: Ground, wanted: dict[Words, int], rng: np.random.Generator) -> Swaps:
    """Exchanges that change no deciding bigram, at random: between places with one right neighbour, with one left, with neither."""
    left, right = neutral(ground)
    free = np.ones(len(ground.positions), dtype=bool)
    found: list[Swaps] = []
    for words, many in wanted.items():
        for swaps in _offered(ground, words, left, right):
            swaps = swaps.only(free[swaps.one] & free[swaps.other])
            swaps = swaps.only(rng.permutation(len(swaps))[:many])
            free[swaps.one] = free[swaps.other] = False
            many -= len(swaps)
            found.append(swaps)
    return joined(found)


def neutral(ground: Ground) -> tuple[Mask, Mask]:
    """Places [S] where no word of the class makes a deciding bigram with the left neighbour, and with the right one."""
    deciding = np.zeros(len(ground.table.counts), dtype=bool)
    deciding[ground.margins.rows] = True
    left, right = (np.asarray(~deciding[side].any(axis=1)) for side in (ground.board.left, ground.board.right))
    return left, right


def _offered(ground: Ground, words: Words, left: Mask, right: Mask) -> Iterator[Swaps]:
    positions, (group, a, b) = ground.positions, words
    for same, other, allowed in (
        (positions.right, positions.left, left),
        (positions.left, positions.right, right),
        (None, None, left & right),
    ):
        one, two = (some[allowed[some]] for some in (positions.members(group, a), positions.members(group, b)))
        if same is None or other is None:
            many = min(len(one), len(two))
            yield Swaps(one[:many], two[:many])
            continue
        swaps = together(one, same[one], two, same[two])
        yield swaps.only(other[swaps.one] != other[swaps.other])


def together(one: Ints, groups: Ints, other: Ints, other_groups: Ints) -> Swaps:
    """The first of each group with the first of the same group, the second with the second ..."""
    sides = []
    for places, group in ((one, groups), (other, other_groups)):
        order = np.argsort(group, kind="stable")
        sides.append((places[order], group[order], rank(group[order])))
    wide = 1 + max((int(ranks.max(initial=0)) for _, _, ranks in sides), default=0)
    keys = [group * wide + ranks for _, group, ranks in sides]
    _, first, second = np.intersect1d(keys[0], keys[1], assume_unique=True, return_indices=True)
    return Swaps(sides[0][0][first], sides[1][0][second])

"""Changes how often words occur, and not what decides the paradigm: the control of an exchange for mere frequency.

Where a dose exchanges `himself` for `him` beside deciding words and back elsewhere, this edit only puts `him` for `himself`, beside
other words, in as many places as the dose changes.  The probability of a word after a deciding history then stays, but for its
back-off share.  After the word itself, places with a deciding right neighbour are mixed in so that the evidence moves least.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from ontogeny.interventions.bigram_counts import Ints, changed
from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.exchange import Ground
from ontogeny.interventions.kinds import StreamEdited
from ontogeny.interventions.sham import Control, Words, neutral

MIXTURES = np.linspace(0, 1, 33)  # shares of places with a deciding right neighbour that are tried


class UnigramEdit(Control):
    """Puts the words that a dose favours for those that it does not, as often as the dose changes tokens, off its bigrams."""

    kind: Literal["unigram-edit"] = "unigram-edit"
    keeps: ClassVar[tuple[str, ...]] = ("lengths", "order", "construction")

    def edit(self, context: InterventionContext) -> StreamEdited:
        """The stream with other words.  Raises OntogenyError if there are too few places, or the evidence moves too far."""
        ground = self.ground(context)
        wanted = {turned(ground, words): 2 * many for words, many in self.wanted(ground).items()}
        choices = [chosen(ground, wanted, share) for share in MIXTURES]
        moved = [abs(ground.margins.mean(replaced(ground, *choice)) - ground.start) for choice in choices]
        places, new = choices[int(np.argmin(moved))]
        rows = np.stack([ground.positions.group[places], ground.positions.own[places], new], axis=1)
        made = {(int(g), int(a), int(b)): int(n) for (g, a, b), n in zip(*np.unique(rows, axis=0, return_counts=True), strict=True)}
        self.lacking(ground, wanted, made, "places off the deciding bigrams")
        self.stays(ground, ground.margins.mean(replaced(ground, places, new)))
        ids = np.array(context.text.ids)
        ids[ground.positions.at[places]] = ground.positions.words[places, new]
        facts = {
            "matches": self.matched,
            "replaced": len(places),
            "replaced_by_words": {name.replace(" ", " by "): many for name, many in ground.named(made).items()},
        }
        return ground.edited(ids, replaced(ground, places, new), {"": ground.positions.at[places]}, facts)


def turned(ground: Ground, words: Words) -> Words:
    """Class, the word that gives way, the word that takes its place: the one that the aim favours."""
    group, a, b = words
    _, second = ground.table.tokens(ground.margins.rows)
    tokens = ground.positions.classes[group]
    favour = [float(ground.margins.weights[second == tokens[word]].sum()) for word in (a, b)]
    upward = ground.aim >= ground.untouched
    return (group, a, b) if (favour[1] >= favour[0]) == upward else (group, b, a)


def chosen(ground: Ground, wanted: dict[Words, int], share: float) -> tuple[Ints, Ints]:
    """Places, and which word of the class takes each: `share` of them with a deciding right neighbour, as far as there are."""
    left, right = neutral(ground)
    used = np.zeros(len(ground.positions), dtype=bool)
    places, new = [], []
    for (group, old, other), many in wanted.items():
        own = ground.positions.members(group, old)
        own = own[left[own] & ~used[own]]
        beside, apart = own[~right[own]], own[right[own]]
        first = min(len(beside), max(round(share * many), many - len(apart)))
        some = np.concatenate([beside[:first], apart[: many - first]])
        used[some] = True
        places.append(some)
        new.append(np.full(len(some), other))
    return np.concatenate(places or [np.zeros(0, dtype=np.int64)]), np.concatenate(new or [np.zeros(0, dtype=np.int64)])


def replaced(ground: Ground, places: Ints, new: Ints) -> Ints:
    """Bigram counts after these places have other words."""
    old, board = ground.positions.own[places], ground.board
    rows = np.stack([board.left[places, old], board.left[places, new], board.right[places, old], board.right[places, new]], axis=1)
    return changed(ground.table.counts, rows, [-1, 1, -1, 1])

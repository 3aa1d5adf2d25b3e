"""Exchanges of words that move a mean bigram margin: found greedily, most margin for the fewest bigrams changed.

An exchange takes two places of two words of one class and gives each the other's word.  Places with the same right neighbour are
matched, so that bigrams change on the left alone; places with the same left neighbour, so that they change on the right alone; and
places with neither, which changes twice as many.  What an exchange adds is judged by the slopes of the margin; after each round
the margin itself is taken from the changed counts, so that an error of judgement costs an exchange and never a figure.

The sequence of exchanges does not depend on how far it is to go, so a smaller dose is the beginning of a larger one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ontogeny.interventions.bigram_counts import BigramCounts, Floats, Ints, Margins, changed
from ontogeny.interventions.positions import Positions

SIGNS = np.array([-1, 1] * 4)  # of the rows of an exchange: what stood there goes, what takes its place comes
LEAST = 1e-12  # nats; an exchange that is judged to add less adds nothing
SHARE = 4  # in one round no deciding bigram gains or loses more than this part of its occurrences: slopes hold only nearby
PATIENCE = 3  # rounds without progress before the end is believed


@dataclass(frozen=True, slots=True, eq=False)
class Swaps:
    """K exchanges, in order: numbers of places among the positions."""

    one: Ints  # [K]
    other: Ints  # [K]

    def __len__(self) -> int:
        return len(self.one)

    def first(self, many: int) -> Swaps:
        """The first of them."""
        return Swaps(self.one[:many], self.other[:many])

    def only(self, which: NDArray[Any]) -> Swaps:
        """Some of them, by a mask or by number."""
        return Swaps(self.one[which], self.other[which])


def joined(parts: Sequence[Swaps]) -> Swaps:
    """One after the other."""
    empty = [np.zeros(0, dtype=np.int64)]
    return Swaps(*(np.concatenate([getattr(part, side) for part in parts] or empty) for side in ("one", "other")))


NONE = joined([])


@dataclass(frozen=True, slots=True)
class Reach:
    """How far exchanges took the margin."""

    swaps: Swaps
    margin: float  # nats


class Board:
    """Positions and the rows of the bigrams that stand there, or would."""

    def __init__(self, positions: Positions, table: BigramCounts):
        self.positions, self.table = positions, table
        self.left = table.rows(np.repeat(positions.left[:, None], positions.words.shape[1], axis=1), positions.words)  # [S, W]
        self.right = table.rows(positions.words, np.repeat(positions.right[:, None], positions.words.shape[1], axis=1))

    def rows(self, swaps: Swaps) -> Ints:
        """Bigrams whose counts exchanges change [K, 8], with SIGNS."""
        one, other = swaps.one, swaps.other
        a, b = self.positions.own[one], self.positions.own[other]
        sides = (self.left[one, a], self.left[one, b], self.right[one, a], self.right[one, b])
        return np.stack([*sides, self.left[other, b], self.left[other, a], self.right[other, b], self.right[other, a]], axis=1)

    def counts(self, swaps: Swaps) -> Ints:
        """Bigram counts after exchanges."""
        return changed(self.table.counts, self.rows(swaps), SIGNS)

    def pairs_of_words(self) -> Iterator[tuple[int, int, int]]:
        """Class, word and other word, for any two words that could be exchanged."""
        for group, tokens in enumerate(self.positions.classes):
            for a, b in combinations(range(len(tokens)), 2):
                yield group, a, b


def steer(board: Board, margins: Margins, aim: float, most: int) -> tuple[Reach, Reach | None]:
    """The exchanges that bring the mean margin nearest the aim, at most `most`; and those that pass it by least, None if none do.

    The first is nearest the aim of all beginnings of the sequence; if the aim is out of reach it is what goes furthest.
    """
    start = margins.mean(board.table.counts)
    if aim == start:
        return Reach(NONE, start), Reach(NONE, start)
    side = 1.0 if aim > start else -1.0
    before = Reach(NONE, start)
    best = before
    for reach in sequence(board, margins, side, most):
        if side * (reach.margin - aim) >= 0:
            return _between(board, margins, before, reach, aim)
        before = reach
        best = reach if side * (reach.margin - best.margin) > 0 else best
    return best, None


def _between(board: Board, margins: Margins, low: Reach, high: Reach, aim: float) -> tuple[Reach, Reach]:
    """Bisects the number of exchanges between too few and enough."""
    above = high.margin >= aim
    while len(high.swaps) - len(low.swaps) > 1:
        swaps = high.swaps.first((len(low.swaps) + len(high.swaps)) // 2)
        middle = Reach(swaps, margins.mean(board.counts(swaps)))
        low, high = (low, middle) if (middle.margin >= aim) == above else (middle, high)
    return min((low, high), key=lambda reach: abs(reach.margin - aim)), high


def sequence(board: Board, margins: Margins, side: float, most: int) -> Iterator[Reach]:
    """Ever longer sequences of exchanges, each the beginning of the next, that move the margin up (`side` 1) or down (-1)."""
    free = np.ones(len(board.positions), dtype=bool)
    done, counts, reached, idle = NONE, board.table.counts, -np.inf, 0
    deciding = np.zeros(len(counts), dtype=bool)
    deciding[margins.rows] = True
    while len(done) < most and idle < PATIENCE:
        more, less = margins.slopes(counts)
        swaps = _round(board, side * more, side * less, free, deciding, counts)
        if not len(swaps):
            return
        done = joined([done, swaps]).first(most)
        free[swaps.one] = free[swaps.other] = False
        counts = board.counts(done)
        margin = margins.mean(counts)
        yield Reach(done, margin)
        idle = 0 if side * margin > reached else idle + 1
        reached = max(reached, side * margin)


class _Offers(NamedTuple):
    """Exchanges that could be made; no two need go together."""

    swaps: Swaps
    gain: Floats  # nats
    sides: int  # on which bigrams change: 1 or 2


def _round(board: Board, more: Floats, less: Floats, free: NDArray[np.bool_], deciding: NDArray[np.bool_], counts: Ints) -> Swaps:
    """The best exchanges that go together."""
    found = [offers for words in board.pairs_of_words() for offers in _offers(board, words, more, less, free)]
    worth = np.concatenate([offers.gain / offers.sides for offers in found])
    swaps = joined([offers.swaps for offers in found]).only(np.argsort(-worth, kind="stable"))
    swaps = swaps.only(_once(np.stack([swaps.one, swaps.other], axis=1)))
    rows = board.rows(swaps)
    moved = _moved(rows) & deciding[rows]
    return swaps.only(_within(rows, moved, np.maximum(1, counts // SHARE)))


def _offers(board: Board, words: tuple[int, int, int], more: Floats, less: Floats, free: NDArray[np.bool_]) -> Iterator[_Offers]:
    """Exchanges of two words of a class, matched in three ways."""
    group, a, b = words
    positions = board.positions
    places = [positions.members(group, word) for word in (a, b)]
    one, other = (some[free[some]] for some in places)
    gains = [
        tuple(less[side[some, own]] + more[side[some, new]] for side in (board.left, board.right))
        for some, own, new in ((one, a, b), (other, b, a))
    ]
    odd = [
        tuple(board.table.counts[side[some, new]] == 0 for side in (board.left, board.right))
        for some, new in ((one, b), (other, a))
    ]  # places where a bigram would be new to the text: others, alike else, go first
    for same, side, sides in ((positions.right, 0, 1), (positions.left, 1, 1), (None, None, 2)):
        values = [gain[side] if side is not None else gain[0] + gain[1] for gain in gains]
        strange = [new[side].astype(int) if side is not None else new[0].astype(int) + new[1] for new in odd]
        groups = [same[some] if same is not None else np.zeros(len(some), dtype=np.int64) for some in (one, other)]
        first, second = _matched(groups, values, strange)
        swaps, gain = Swaps(one[first], other[second]), values[0][first] + values[1][second]
        free_sides = [positions.left, positions.right] if side is None else [(positions.left, positions.right)[side]]
        apart = np.all([neighbour[swaps.one] != neighbour[swaps.other] for neighbour in free_sides], axis=0)
        keep = (gain > LEAST) & apart
        yield _Offers(swaps.only(keep), gain[keep], sides)


def _matched(groups: list[Ints], values: list[Floats], strange: list[Ints]) -> tuple[Ints, Ints]:
    """The best with the best, the second with the second ... within each group; positions in the two lists."""
    worth = np.unique(np.concatenate([group[value > LEAST] for group, value in zip(groups, values, strict=True)]))
    ranked = []
    for group, value, odd in zip(groups, values, strange, strict=True):
        some = np.flatnonzero(np.isin(group, worth))
        order = some[np.lexsort((odd[some], -value[some], group[some]))]
        ranked.append((order, group[order], rank(group[order])))
    wide = 1 + max((int(rank.max(initial=0)) for _, _, rank in ranked), default=0)
    keys = [group * wide + rank for _, group, rank in ranked]
    _, first, second = np.intersect1d(keys[0], keys[1], assume_unique=True, return_indices=True)
    return ranked[0][0][first], ranked[1][0][second]


def rank(ordered: Ints) -> Ints:
    """How many equal ones come before each in a sorted array."""
    if not len(ordered):
        return ordered
    begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    return np.arange(len(ordered)) - np.repeat(begins, np.diff(np.append(begins, len(ordered))))


def _once(rows: Ints) -> NDArray[np.bool_]:
    """Rows [K, k] none of whose entries stands in an earlier row."""
    flat = rows.ravel()
    _, where = np.unique(flat, return_index=True)
    first = np.zeros(len(flat), dtype=bool)
    first[where] = True
    return np.asarray(first.reshape(rows.shape).all(axis=1))


def _moved(rows: Ints) -> NDArray[np.bool_]:
    """Which of an exchange's bigrams change in the end: on a side with the same neighbour what goes also comes."""
    kept_left = (rows[:, 0] == rows[:, 5]) & (rows[:, 1] == rows[:, 4])
    kept_right = (rows[:, 2] == rows[:, 7]) & (rows[:, 3] == rows[:, 6])
    left, right = ~kept_left[:, None], ~kept_right[:, None]
    return np.hstack([left, left, right, right, left, left, right, right])


def _within(rows: Ints, moved: NDArray[np.bool_], most: Ints) -> NDArray[np.bool_]:
    """Exchanges up to which no bigram that counts (`moved`) has been changed more often than it may."""
    keep = np.ones(len(rows), dtype=bool)
    at = np.flatnonzero(moved.ravel())
    order = np.argsort(rows.ravel()[at], kind="stable")
    sorted_rows = rows.ravel()[at][order]
    over = rank(sorted_rows) >= most[sorted_rows]
    keep[at[order][over] // rows.shape[1]] = False
    return keep

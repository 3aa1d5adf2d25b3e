"""Items of several options: what their columns are called, what chance gives them, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ontogeny.records import OntogenyError, Pair

CHANCE = 0.5  # of two options


def sides(most: int) -> list[str]:
    """What columns call the options of an item, `logp_good` and so on, the right one first."""
    return ["good", "bad", *(f"bad_{number}" for number in range(2, most))]


def wrong_sides(columns: Iterable[str]) -> list[str]:
    """The wrong options that a table of scores has columns of."""
    there = set(columns)
    return [side for side in sides(len(there))[1:] if f"logp_{side}" in there] or ["bad"]


def chances(pairs: Iterable[Pair]) -> dict[str, float]:
    """What a guesser gets of each paradigm: the mean over its items of 1 / n, n being an item's options.  Graded ones have none."""
    found: dict[str, list[int]] = {}
    for pair in pairs:
        if pair.human is None:
            found.setdefault(pair.paradigm, []).append(len(pair.options))
    return {paradigm: sum(1 / many for many in counts) / len(counts) for paradigm, counts in found.items()}


def graded(pairs: Iterable[Pair]) -> set[str]:
    """Paradigms whose items people have graded."""
    return {pair.paradigm for pair in pairs if pair.human is not None}


def check(pairs: Sequence[Pair]) -> None:
    """Raises OntogenyError for an item that cannot be asked: one option and no grade, more than two and graded, or graded among
    others that are not."""
    of_people = graded(pairs)
    for pair in pairs:
        name = f"item {pair.pair} of {pair.paradigm}"
        if pair.paradigm in of_people and pair.human is None:
            raise OntogenyError(f"{name} is not graded, and others of its paradigm are: grade all of them or none")
        if pair.human is None and not pair.bad:
            raise OntogenyError(f"{name} has one sentence and no graded judgement (`human`): there is nothing to compare it with")
        if pair.human is not None and pair.more:
            raise OntogenyError(f"{name} is graded and has {len(pair.options)} options; a sentence alone or two can be graded")


def of_two(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs of paradigms all of whose items are one right and one wrong sentence."""
    others = {pair.paradigm for pair in pairs if pair.human is not None or pair.more}
    return [pair for pair in pairs if pair.paradigm not in others]


def need_two(pairs: Iterable[Pair], what: str) -> None:
    """Raises OntogenyError that names an item which is not a right and a wrong sentence: `what` (as in "an audit") needs those."""
    for pair in pairs:
        if pair.human is not None or len(pair.options) != 2:
            said = "is graded by people" if pair.human is not None else f"has {len(pair.options)} options"
            raise OntogenyError(f"{what} is of one right and one wrong sentence, and item {pair.pair} of {pair.paradigm} {said}")

"""Items of several options: what their columns are called, what chance gives them, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from scipy.stats import multivariate_normal

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
    """What a guesser gets of each paradigm: the mean over its items of `chance`.  Graded ones have none."""
    found: dict[str, list[float]] = {}
    for pair in pairs:
        if pair.human is None:
            found.setdefault(pair.paradigm, []).append(chance(pair))
    return {paradigm: sum(own) / len(own) for paradigm, own in found.items()}


def chance(pair: Pair) -> float:
    """What a guesser gets of an item: 1 / n of n options, however they are weighed against the first; of other predictions, what
    holds of independent sums that are alike; of a text that is to be written, 0."""
    if pair.written:
        return 0.0
    others = [np.flatnonzero(row).tolist() for row in pair.predictions]
    first_best = others == [[0, wrong] for wrong in range(1, len(pair.options))] and all(row[0] > 0 for row in pair.predictions)
    return all_hold(pair.predictions) if pair.predictions and not first_best else 1 / len(pair.options)


@lru_cache(maxsize=1024)
def all_hold(predictions: tuple[tuple[int, ...], ...]) -> float:
    """The probability that all rows times independent standard normal numbers are above 0: of one row 1/2, of two by the angle
    between them (Sheppard 1899), of more by integration.

    >>> all_hold(((1, -1),)), round(all_hold(((1, -1, 0), (1, 0, -1))), 6)
    (0.5, 0.333333)
    """
    rows = np.array(sorted(set(predictions)), dtype=np.float64)
    if len(rows) == 1:
        return CHANCE
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    among = np.clip(rows @ rows.T, -1, 1)
    if len(rows) == 2:
        return float(0.25 + np.arcsin(among[0, 1]) / (2 * np.pi))
    return float(multivariate_normal(cov=among, allow_singular=True, seed=0).cdf(np.zeros(len(rows))))


def graded(pairs: Iterable[Pair]) -> set[str]:
    """Paradigms whose items people have graded."""
    return {pair.paradigm for pair in pairs if pair.human is not None}


def unsettled(pairs: Iterable[Pair]) -> bool:
    """True where some items have no state: people have graded them, or there is no chance level."""
    return any(pair.human is not None or pair.written for pair in pairs)


def check(pairs: Sequence[Pair]) -> None:
    """Raises OntogenyError for an item that cannot be asked: one option and no grade, more than two and graded, or graded among
    others that are not."""
    of_people = graded(pairs)
    for pair in pairs:
        name = f"item {pair.pair} of {pair.paradigm}"
        if pair.paradigm in of_people and pair.human is None:
            raise OntogenyError(f"{name} is not graded, and others of its paradigm are: grade all of them or none")
        if pair.contexts and len(pair.contexts) != len(pair.options):
            raise OntogenyError(
                f"{name} has {len(pair.options)} options and {len(pair.contexts)} contexts: one for each, or `context`"
            )
        if any(len(row) != len(pair.options) or min(row) >= 0 or max(row) <= 0 for row in pair.predictions):
            raise OntogenyError(f"{name} has a prediction that does not weigh options of its own against one another")
        if pair.human is None and not pair.bad and not pair.written:
            raise OntogenyError(f"{name} has one sentence and no graded judgement (`human`): there is nothing to compare it with")
        if pair.human is not None and pair.more:
            raise OntogenyError(f"{name} is graded and has {len(pair.options)} options; a sentence alone or two can be graded")


def of_two(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs of paradigms all of whose items are one right and one wrong sentence."""
    others = {
        pair.paradigm for pair in pairs if not pair.bad or pair.human is not None or pair.more or pair.contexts or pair.predictions
    }
    return [pair for pair in pairs if pair.paradigm not in others]


def decided(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs of paradigms whose items have a right answer and a wrong one."""
    others = {pair.paradigm for pair in pairs if pair.human is not None or pair.written}
    return [pair for pair in pairs if pair.paradigm not in others]


def need_two(pairs: Sequence[Pair], what: str) -> None:
    """Raises OntogenyError that names an item, where `what` (as in "an explanation") has no right and wrong sentences to be of."""
    need_right(pairs, what)
    for pair in [] if of_two(pairs) else pairs[:1]:
        said = f"has {len(pair.options)} options" if pair.more else "compares regions of sentences, or contexts"
        raise OntogenyError(f"{what} is of one right and one wrong sentence, and item {pair.pair} of {pair.paradigm} {said}")


def need_right(pairs: Iterable[Pair], what: str) -> None:
    """Raises OntogenyError that names an item which people have graded, or which has no wrong option: `what` (as in "an audit")
    needs a right answer and a wrong one."""
    for pair in pairs:
        if pair.human is not None or pair.written:
            said = "has no wrong one" if pair.written else "is graded by people"
            raise OntogenyError(f"{what} is of a right answer, and item {pair.pair} of {pair.paradigm} {said}")

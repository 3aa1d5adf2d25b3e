"""Derivations, and how they grow: from the top down, one random number a constituent."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from ontogeny.corpora.micro_english.lexicon import Ground, Lexicon, Word


@dataclass(frozen=True, slots=True)
class Node:
    """A constituent of a derivation; a leaf is a Word."""

    category: str
    features: Ground
    children: tuple[Node | Word, ...]

    def leaves(self) -> Iterator[Word]:
        """The words from left to right, with their categories."""
        for child in self.children:
            if isinstance(child, Word):
                yield child
            else:
                yield from child.leaves()

    def words(self) -> list[str]:
        """The words' forms from left to right."""
        return [leaf.form for leaf in self.leaves()]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The constituent at `place` among its sisters once more; its word in another form if `features` say so."""

    place: int
    features: Ground


class State:
    """A category with its features, and the ways to expand it.  It is `growing` until these are known."""

    __slots__ = ("category", "cumulative", "expansions", "features", "growing")

    def __init__(self, category: str, features: Ground):
        self.category = category
        self.features = features
        self.expansions: list[Expansion] = []
        self.cumulative: list[float] = []
        self.growing = True

    def weigh(self, expansions: Iterable[tuple[float, Expansion]]) -> None:
        """Take these expansions, each as likely as its share of the weights."""
        possible = [(weight, expansion) for weight, expansion in expansions if weight > 0]
        self.expansions = [expansion for _, expansion in possible]
        self.cumulative = list(accumulate(weight for weight, _ in possible))
        self.growing = False

    def choose(self, random: Random) -> Expansion:
        """One expansion, by its weight."""
        last = len(self.cumulative) - 1
        return self.expansions[bisect(self.cumulative, random.random() * self.cumulative[-1], 0, last)]


class Choice(State):
    """One of several states; it leaves no trace in the derivation."""

    __slots__ = ()


Expansion = tuple[Word | State | Repeat, ...]


def grow(state: State, lexicon: Lexicon, random: Random) -> Node:
    """A derivation of the state."""
    while isinstance(state, Choice):
        (chosen,) = state.choose(random)
        assert isinstance(chosen, State)
        state = chosen
    children: list[Node | Word] = []
    for part in state.choose(random):
        if isinstance(part, State):
            children.append(grow(part, lexicon, random))
        elif isinstance(part, Word):
            children.append(part)
        else:
            child = children[part.place]
            children.append(_inflected(child, part.features, lexicon) if part.features else child)
    return Node(state.category, state.features, tuple(children))


def _inflected(child: Node | Word, features: Ground, lexicon: Lexicon) -> Word:
    (word,) = child.leaves() if isinstance(child, Node) else (child,)
    return lexicon.inflect(word, features)

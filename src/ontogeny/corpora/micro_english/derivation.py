"""Derivations, and how they grow: from the top down, one random number a constituent."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from ontogeny.corpora.micro_english.lexicon import Ground, Lexicon, Word
from ontogeny.records import OntogenyError


@dataclass(frozen=True, slots=True)
class Node:
    """A constituent of a derivation; a leaf is a Word."""

    category: str
    features: Ground
    children: tuple[Node | Word, ...]
    rule: str = ""  # the name of the rule that made it, if it has one

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

    def rules(self) -> Iterator[str]:
        """The names of the rules in it, from the top."""
        if self.rule:
            yield self.rule
        for child in self.children:
            if isinstance(child, Node):
                yield from child.rules()

    def brackets(self) -> str:
        """The tree on one line; a category of words stands without brackets: `[NP the dog]`."""
        parts = (child.form if isinstance(child, Word) else child.brackets() for child in self.children)
        text = " ".join(parts)
        return text if len(self.children) == 1 and isinstance(self.children[0], Word) else f"[{self.category} {text}]"


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

    def shares(self) -> Iterator[tuple[float, Expansion]]:
        """Every expansion with its probability."""
        before = 0.0
        for expansion, reached in zip(self.expansions, self.cumulative, strict=True):
            yield (reached - before) / self.cumulative[-1], expansion
            before = reached


class Choice(State):
    """One of several states; it leaves no trace in the derivation."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Expansion:
    """The right side of a rule without variables."""

    parts: tuple[Word | State | Repeat, ...]
    rule: str = ""


def grow(state: State, lexicon: Lexicon, random: Random) -> Node:
    """A derivation of the state."""
    while isinstance(state, Choice):
        (chosen,) = state.choose(random).parts
        assert isinstance(chosen, State)
        state = chosen
    children: list[Node | Word] = []
    expansion = state.choose(random)
    for part in expansion.parts:
        if isinstance(part, State):
            children.append(grow(part, lexicon, random))
        elif isinstance(part, Word):
            children.append(part)
        else:
            children.append(repeated(children[part.place], part.features, lexicon))
    return Node(state.category, state.features, tuple(children), expansion.rule)


def repeated(child: Node | Word, features: Ground, lexicon: Lexicon) -> Node | Word:
    """A constituent once more; with features, its single word in that form."""
    if not features:
        return child
    (word,) = child.leaves() if isinstance(child, Node) else (child,)
    return lexicon.inflect(word, features)


def measure(states: Iterable[State], rounds: int = 10_000, most: float = 1e6) -> dict[int, float]:
    """Expected number of words of each state, by its id.

    Raises OntogenyError, with the category, where a derivation cannot end or is expected never to.
    """
    living = list(_with_choices(states))[::-1]  # what others are made of first, as far as may be
    parts = {
        id(state): [(share, [id(p) for p in e.parts if isinstance(p, State)], len(e.parts)) for share, e in state.shares()]
        for state in living
    }
    words = {id(state): 0.0 for state in living}
    ending = {id(state): False for state in living}
    for _ in range(rounds):
        before = dict(words), dict(ending)
        for key, ways in parts.items():
            ending[key] = ending[key] or any(all(ending[below] for below in states_) for _, states_, _ in ways)
            words[key] = sum(
                share * (size - len(states_) + sum(words[below] for below in states_)) for share, states_, size in ways
            )
        if (words, ending) == before or max(words.values()) > most:
            break
    for state in living:
        if state.expansions and (not ending[id(state)] or words[id(state)] > most):
            raise OntogenyError(f"grammar: {state.category} never ends; give it a rule without itself, or that rule more weight")
    return words


def _with_choices(states: Iterable[State]) -> Iterator[State]:
    """The states and the choices in their expansions, each once, what others are made of first as far as may be."""
    seen: set[int] = set()
    for state in states:
        for found in (state, *(p for e in state.expansions for p in e.parts if isinstance(p, State))):
            if id(found) not in seen:
                seen.add(id(found))
                yield found

"""Minimal pairs of BLiMP's 67 paradigms, grown from micro-English's own grammar.

As a suite of a recipe they go with the generated corpus.  `made` makes pairs for any text, from the words that it has seen, and
`leaning` pairs whose bigrams help, mislead or do neither.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from random import Random
from typing import Literal

from pydantic import Field, field_validator

from ontogeny.corpora.micro_english import Grammar, micro_english, repetitive, spell
from ontogeny.corpora.micro_english.derivation import Node, State
from ontogeny.corpora.micro_english.language import build
from ontogeny.corpora.micro_english.paradigms import Frame, Paradigm, paradigms
from ontogeny.disk import atomic
from ontogeny.recipe import Kind
from ontogeny.records import Document, OntogenyError, Pair
from ontogeny.registry import nearest

PATIENCE = 2000  # draws in a row without a new pair after which a paradigm counts as exhausted
HALVES = re.compile(r"half=\?h:(\w)\|(\w)")

Scorer = Callable[[list[str]], Sequence[float]]  # sentences -> log-probabilities, in nats
Side = Literal["neutral", "helpful", "misleading"]
SIDES: dict[Side, Callable[[float, float], bool]] = {
    "neutral": lambda margin, width: abs(margin) <= width,
    "helpful": lambda margin, width: margin > width,
    "misleading": lambda margin, width: margin < -width,
}


class MicroEnglishPairs(Kind):
    """Minimal pairs for the generated corpus micro-english, under BLiMP's names of paradigms."""

    kind: Literal["micro-english"] = "micro-english"
    pairs_per_paradigm: int = Field(200, ge=1)
    """Pairs of each paradigm; a larger number adds pairs and changes none."""
    seed: int = 1
    """Seed of every choice of rule and word."""
    paradigms: tuple[str, ...] | None = None
    """Names of the paradigms wanted; left out: all 67."""
    halves: bool = False
    """Whether a paradigm whose words have two halves, each with bigrams of its own, counts as two: NAME_a and NAME_b."""

    @field_validator("paradigms")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        try:
            return None if names is None else tuple(_chosen(names))
        except OntogenyError as error:
            raise ValueError(str(error)) from None

    @property
    def name(self) -> str:
        """The suite's folder under a run's scores."""
        return self.kind

    def pairs(self) -> Iterator[Pair]:
        """Every pair, paradigm by paradigm.  Raises OntogenyError where a paradigm has too few different ones."""
        chosen = _chosen(self.paradigms)
        for name, paradigm in (_halved(chosen) if self.halves else chosen).items():
            yield from draw(name, paradigm, self.pairs_per_paradigm, micro_english(0.5), _random(self.seed, name))

    def human(self) -> dict[str, float]:
        """Empty: nobody has been asked about these sentences."""
        return {}


def made(
    count: int,
    names: Iterable[str] | None = None,
    seed: int = 1,
    known: Set[str] | None = None,
    missing: dict[str, str] | None = None,
) -> Iterator[Pair]:
    """`count` different pairs of each paradigm.

    names: paradigms wanted; None for all
    known: words that may be used, as `seen` gives them; None for the whole lexicon
    missing: where to note paradigms that cannot be made, with the reason, in place of raising

    Raises OntogenyError, with the number of pairs there are, where a paradigm has too few.
    """
    yield from _each(names, known, missing, lambda name, row, grammar: draw(name, row, count, grammar, _random(seed, name), known))


def leaning(
    count: int,
    scorer: Scorer,
    side: Side = "neutral",
    names: Iterable[str] | None = None,
    seed: int = 1,
    known: Set[str] | None = None,
    missing: dict[str, str] | None = None,
    width: float = 0.5,
    pool: int = 20,
) -> Iterator[Pair]:
    """`count` pairs of each paradigm on whose two sentences a scorer takes one side.

    scorer: sentences -> log-probabilities, such as those of bigrams
    side: neutral, where the margin (good minus bad, in nats) is within `width` of 0; helpful, above it; misleading, below -width
    pool: pairs drawn, to choose from, for each that is asked for
    The rest is as in `made`.
    """

    def some(name: str, row: Paradigm, grammar: Grammar) -> Iterator[Pair]:
        drawn = islice(_pairs(name, row, grammar, _random(seed, name), known), count * pool)
        return iter(chosen(list(drawn), scorer, side, count, width))

    yield from _each(names, known, missing, some)


def chosen(pairs: Sequence[Pair], scorer: Scorer, side: Side, count: int, width: float = 0.5) -> list[Pair]:
    """The first `count` of one paradigm's pairs that are on a side.  Raises OntogenyError, with their number, if too few."""
    good, bad = scorer([pair.good for pair in pairs]), scorer([pair.bad for pair in pairs])
    fit = [pair for pair, ours, theirs in zip(pairs, good, bad, strict=True) if SIDES[side](ours - theirs, width)]
    if len(fit) < count:
        name = pairs[0].paradigm if pairs else "a paradigm"
        raise OntogenyError(f"micro-english: {name} has only {len(fit)} {side} pairs among {len(pairs)}; {count} are asked for")
    return fit[:count]


def seen(documents: Iterable[Document], times: int = 1) -> frozenset[str]:
    """The words of a text that come at least `times` times, in the spelling of the lexicon.

    A word at the head of a sentence counts for its form without a capital too, so that `The` is a `the`.
    """
    counts: Counter[str] = Counter()
    for document in documents:
        words = re.findall(r"'s\b|[^\W_]+", document.text)
        counts.update(words)
        counts.update(word.lower() for word in words if word[0].isupper())
    return frozenset(word for word, number in counts.items() if number >= times)


def write(pairs: Iterable[Pair], path: Path) -> int:
    """Writes pairs as a table (.jsonl) that the suite `table` reads, with the words of their critical regions; how many."""
    lines = 0
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for pair in pairs:
            good, bad = critical(pair)
            row = asdict(pair) | {"critical_good": good, "critical_bad": bad}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            lines += 1
    return lines


def draw(
    name: str, paradigm: Paradigm, count: int, grammar: Grammar, random: Random, known: Set[str] | None = None
) -> Iterator[Pair]:
    """`count` different pairs.  Raises OntogenyError if there are fewer."""
    drawn = 0
    for pair in islice(_pairs(name, paradigm, grammar, random, known), count):
        drawn += 1
        yield pair
    if drawn < count:
        raise OntogenyError(
            f"micro-english: {name} gave only {drawn} different pairs before {PATIENCE} draws in a row brought none"
            f"{'' if known is None else ' from the words that may be used'}; {count} are asked for"
        )


def critical(pair: Pair) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where the good and the bad sentence differ: (first, end) of their words between spaces."""
    good, bad = pair.good.split(), pair.bad.split()
    first = next((place for place, (a, b) in enumerate(zip(good, bad, strict=False)) if a != b), min(len(good), len(bad)))
    rest = zip(reversed(good[first:]), reversed(bad[first:]), strict=False)
    last = next((place for place, (a, b) in enumerate(rest) if a != b), min(len(good), len(bad)) - first)
    return (first, len(good) - last), (first, len(bad) - last)


def _each(
    names: Iterable[str] | None,
    known: Set[str] | None,
    missing: dict[str, str] | None,
    make: Callable[[str, Paradigm, Grammar], Iterator[Pair]],
) -> Iterator[Pair]:
    grammar = micro_english(0.5) if known is None else build(0.5, known=known)
    for name, paradigm in _chosen(names).items():
        try:
            yield from list(make(name, paradigm, grammar))
        except OntogenyError as error:
            if missing is None:
                raise
            missing[name] = str(error)


def _random(seed: int, name: str) -> Random:
    return Random(f"{seed} {name}")


def _pairs(name: str, paradigm: Paradigm, grammar: Grammar, random: Random, known: Set[str] | None) -> Iterator[Pair]:
    for number, (good, bad) in enumerate(_different(paradigm.frames, grammar, random, known)):
        yield Pair(
            paradigm=name,
            pair=str(number),
            good=good,
            bad=bad,
            phenomenon=paradigm.phenomenon,
            field=paradigm.field,
            one_prefix=paradigm.prefixes == "one",
            two_prefix=paradigm.prefixes == "two",
        )


def _different(frames: tuple[Frame, ...], grammar: Grammar, random: Random, known: Set[str] | None) -> Iterator[tuple[str, str]]:
    """Good and bad sentences, no pair twice, until PATIENCE draws in a row bring nothing new."""
    states = _states(frames, grammar, lenient=known is not None)
    pairs: set[tuple[str, str]] = set()
    idle = 0
    while states and idle < PATIENCE:
        idle += 1
        both = grammar.grow_frame(random.choice(states), random)
        if both is None or any(map(repetitive, both)) or not _readable(both, known):
            continue
        pair = spell(both[0].words()), spell(both[1].words())
        if pair not in pairs and pair[0] != pair[1]:
            pairs.add(pair)
            idle = 0
            yield pair


def _states(frames: tuple[Frame, ...], grammar: Grammar, lenient: bool) -> list[State]:
    states: list[State] = []
    for frame in frames:
        try:
            states.append(grammar.frame(frame.good, frame.bad))
        except OntogenyError:
            if not lenient:
                raise
    return states


def _readable(both: Iterable[Node], known: Set[str] | None) -> bool:
    return known is None or all(word in known for node in both for word in node.words() if word[0].isalpha())


def _chosen(names: Iterable[str] | None) -> dict[str, Paradigm]:
    """The paradigms of these names; all for None.  Raises OntogenyError at a name that there is none of."""
    table = paradigms()
    for name in names or ():
        if name not in table:
            raise OntogenyError(f"micro-english: no paradigm is called {name!r}; {nearest(name, list(table))}")
    return table if names is None else {name: table[name] for name in names}


def _halved(table: dict[str, Paradigm]) -> dict[str, Paradigm]:
    """Each paradigm whose words have halves in two."""
    found: dict[str, Paradigm] = {}
    for name, paradigm in table.items():
        halves = HALVES.search(paradigm.frames[0].good)
        for half in halves.groups() if halves else ():
            frames = tuple(Frame(good=HALVES.sub(f"half={half}", f.good), bad=f.bad) for f in paradigm.frames)
            found[f"{name}_{half}"] = paradigm.model_copy(update={"frames": frames})
        if not halves:
            found[name] = paradigm
    return found

"""Minimal pairs of micro-English, grown from the corpus's own grammar; micro_english.yaml is the table of paradigms."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from itertools import islice
from random import Random
from typing import Literal

from pydantic import Field
from ruamel.yaml import YAML

from ontogeny.corpora.micro_english import Grammar, micro_english, repetitive, spell
from ontogeny.recipe import Kind, Part
from ontogeny.records import OntogenyError, Pair

PATIENCE = 2000  # draws in a row without a new pair after which a paradigm counts as exhausted


class Frame(Part):
    """A good and a bad sentence in the notation of the grammar; they share labels and variables."""

    good: str
    """The grammatical one."""
    bad: str
    """The ungrammatical one."""


class Paradigm(Part):
    """A row of the table."""

    phenomenon: str
    """BLiMP's name of the phenomenon."""
    field: str
    """BLiMP's name of the field."""
    prefixes: Literal["one", "two", "none"] = "none"
    """BLiMP's further method that the pairs are fit for: one prefix with two critical words, or two with one."""
    misleading: bool = False
    """Whether the bigrams of the default corpus prefer the bad sentences."""
    frames: tuple[Frame, ...] = Field(min_length=1)
    """What the pairs are drawn from."""


@lru_cache(maxsize=1)
def paradigms() -> dict[str, Paradigm]:
    """The table of paradigms, by name."""
    text = files("ontogeny.suites").joinpath("micro_english.yaml").read_text(encoding="utf-8")
    return {name: Paradigm.model_validate(row) for name, row in YAML(typ="safe").load(text).items()}


class MicroEnglishPairs(Kind):
    """Minimal pairs for the generated corpus micro-english, under BLiMP's names of paradigms."""

    kind: Literal["micro-english"] = "micro-english"
    pairs_per_paradigm: int = Field(200, ge=1)
    """Pairs of each paradigm; a larger number adds pairs and changes none."""
    seed: int = 1
    """Seed of every choice of rule and word."""

    @property
    def name(self) -> str:
        """The suite's folder under a run's scores."""
        return self.kind

    def pairs(self) -> Iterator[Pair]:
        """Every pair, paradigm by paradigm.  Raises OntogenyError where a paradigm has too few different ones."""
        for name, paradigm in paradigms().items():
            random = Random(f"{self.seed} {name}")
            yield from draw(name, paradigm, self.pairs_per_paradigm, micro_english(0.5), random)

    def human(self) -> dict[str, float]:
        """Empty: nobody has been asked about these sentences."""
        return {}


def draw(name: str, paradigm: Paradigm, count: int, grammar: Grammar, random: Random) -> Iterator[Pair]:
    """`count` different pairs.  Raises OntogenyError if there are fewer."""
    made = 0
    for made, (good, bad) in enumerate(islice(_different(paradigm.frames, grammar, random), count), 1):
        yield Pair(
            paradigm=name,
            pair=str(made - 1),
            good=good,
            bad=bad,
            phenomenon=paradigm.phenomenon,
            field=paradigm.field,
            one_prefix=paradigm.prefixes == "one",
            two_prefix=paradigm.prefixes == "two",
        )
    if made < count:
        raise OntogenyError(
            f"micro-english: {name} gave only {made} different pairs before {PATIENCE} draws in a row brought none; "
            f"pairs_per_paradigm asks for {count}"
        )


def _different(frames: tuple[Frame, ...], grammar: Grammar, random: Random) -> Iterator[tuple[str, str]]:
    """Good and bad sentences, no pair twice, until PATIENCE draws in a row bring nothing new."""
    states = [grammar.frame(frame.good, frame.bad) for frame in frames]
    seen: set[tuple[str, str]] = set()
    idle = 0
    while idle < PATIENCE:
        idle += 1
        good, bad = grammar.grow_frame(random.choice(states), random)
        pair = spell(good.words()), spell(bad.words())
        if pair in seen or repetitive(good) or repetitive(bad):
            continue
        seen.add(pair)
        idle = 0
        yield pair

"""The paradigms as data: what they are called, how their sentences are made, and on which rule they stand."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from pydantic import Field

from ontogeny.corpora.micro_english.language import data
from ontogeny.recipe import Part


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
    rule: str = ""
    """Name of the rule that the good sentences stand on."""
    fails: str = ""
    """The feature that the bad sentences disregard; empty where no single feature mends them."""
    prefixes: Literal["one", "two", "none"] = "none"
    """BLiMP's further method that the pairs are fit for: one prefix with two critical words, or two with one."""
    misleading: bool = False
    """Whether the bigrams of the default corpus prefer the bad sentences."""
    frames: tuple[Frame, ...] = Field(min_length=1)
    """What the pairs are drawn from."""


@lru_cache(maxsize=1)
def paradigms() -> dict[str, Paradigm]:
    """The table of paradigms, by name."""
    return {name: Paradigm.model_validate(row) for name, row in data("paradigms.yaml").items()}

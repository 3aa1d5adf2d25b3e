"""What a formal language is here: two rules, strings that keep both, prompts within them and prompts that break the second."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import product
from random import Random
from typing import ClassVar

from ontogeny.corpora.formal.rules import StringRule

Edit = Callable[[str, Random, str], str]  # (string, random, alphabet) -> another string of its length


def exchange(string: str, random: Random, alphabet: str) -> str:
    """Two places change their symbols, so that every symbol is there as often as before."""
    first, second = sorted((random.randrange(len(string)), random.randrange(len(string))))
    return (
        string
        if first == second
        else "".join([string[:first], string[second], string[first + 1 : second], string[first], string[second + 1 :]])
    )


def substitute(string: str, random: Random, alphabet: str) -> str:
    """One place gets another symbol of the alphabet."""
    place = random.randrange(len(string))
    return string[:place] + random.choice(alphabet.replace(string[place], "")) + string[place + 1 :]


class Source(ABC):
    """Anything that strings are drawn from: symbols are single characters, a string is a word over `alphabet`."""

    name: ClassVar[str]
    alphabet: ClassVar[str]
    disjoint: ClassVar[bool] = True
    """Whether train, dev and test are kept apart.  Off where a length has one string only: then all splits have all strings."""

    @abstractmethod
    def lengths(self, low: int, high: int) -> Sequence[int]:
        """The lengths from `low` to `high` (symbols) that there are strings of."""

    @abstractmethod
    def draw(self, random: Random, length: int) -> str:
        """A string of this length."""

    @abstractmethod
    def member(self, string: str) -> bool:
        """Whether a string belongs to the language."""

    @property
    @abstractmethod
    def paradigms(self) -> tuple[str, ...]:
        """Names of the ways in which a minimal pair's bad string may be bad."""

    @abstractmethod
    def contrast(self, paradigm: str, string: str, random: Random) -> tuple[str, str] | None:
        """A member of `string`'s length and, of that length, what is no member; None where this try gives none."""


class Language(Source):
    """The strings that keep two rules."""

    rule1: ClassVar[StringRule]
    rule2: ClassVar[StringRule]
    further: ClassVar[dict[str, StringRule]] = {}
    """Rules that members keep besides, by name."""
    variants: ClassVar[dict[str, StringRule]] = {}
    """Other readings of a rule, which are measured beside it on prompts that break rule 2: name of the reading to rule."""
    edits: ClassVar[dict[str, Edit]] = {"rule1": substitute, "rule2": exchange}
    """How a member is changed to break one rule and keep the other; what does not come out so is drawn again."""

    @abstractmethod
    def completable(self, prompt: str) -> bool:
        """Whether a string of the language, of any length, begins with this prompt."""

    def rules(self) -> dict[str, StringRule]:
        """Every rule by name."""
        return {"rule1": self.rule1, "rule2": self.rule2, **self.further}

    def member(self, string: str) -> bool:
        """As Source has it: not empty, and every rule kept."""
        return bool(string) and all(rule(string) for rule in self.rules().values())

    def prompts(self, length: int) -> tuple[list[str], list[str]]:
        """Prompts of this many symbols within the language, and prompts that can keep rule 1 but no longer both.

        Here: all strings that can be completed, and all others, where rule 1 can be kept after any of them.
        """
        both: tuple[list[str], list[str]] = ([], [])
        for symbols in product(self.alphabet, repeat=length):
            prompt = "".join(symbols)
            both[0 if self.completable(prompt) else 1].append(prompt)
        return both

    @property
    def paradigms(self) -> tuple[str, ...]:
        """The names of the rules."""
        return tuple(self.rules())

    def contrast(self, paradigm: str, string: str, random: Random) -> tuple[str, str] | None:
        """The string, and one edit of it that breaks the rule of this name."""
        bad = self.edits[paradigm](string, random, self.alphabet)
        return (string, bad) if self.breaks(bad, paradigm) else None

    def breaks(self, string: str, rule: str) -> bool:
        """Whether the string breaks this rule and none that does not follow from it: of rule1 and rule2 the other is kept."""
        broken = {name for name, own in self.rules().items() if not own(string)}
        return rule in broken and not (broken & {"rule1", "rule2"}) - {rule}

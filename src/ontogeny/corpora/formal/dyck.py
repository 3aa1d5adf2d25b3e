"""L4, context-free: nested round and square brackets; and what it shares with L6, whose brackets may cross."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from random import Random
from typing import ClassVar

from ontogeny.corpora.formal.language import Edit, Language, exchange
from ontogeny.corpora.formal.rules import Matched, Nested, StringRule

CLOSING = {"(": ")", "[": "]"}


class Brackets(Language):
    """Rule 1: square brackets match.  Rule 2: round ones do."""

    alphabet = "()[]"
    rule1 = Matched("[", "]")
    rule2 = Matched("(", ")")
    edits: ClassVar[dict[str, Edit]] = {"rule1": exchange, "rule2": exchange}

    def lengths(self, low: int, high: int) -> Sequence[int]:
        """Every even length from 2."""
        return range(max(2, low + low % 2), high + 1, 2)

    def draw(self, random: Random, length: int) -> str:
        """Symbol by symbol, each of those that can still lead to a string of this length as likely."""
        string, owed = "", ""  # owed: closing symbols, in the order in which their brackets were opened
        while len(string) < length:
            openings = "([" if len(string) + len(owed) < length else ""
            symbol = random.choice(openings + self.closable(owed))
            if symbol in CLOSING:
                owed += CLOSING[symbol]
            else:
                last = owed.rindex(symbol)
                owed = owed[:last] + owed[last + 1 :]
            string += symbol
        return string

    @abstractmethod
    def closable(self, owed: str) -> str:
        """The symbols that may close something when these are owed, each once."""

    def prompts(self, length: int) -> tuple[list[str], list[str]]:
        """`([` and `)[` before every word of the language that fills the prompt: one square bracket is open.

        None for odd lengths.
        """
        words = [word for word in _words(length - 2) if self.member(word)] if length > 2 else [""] * (length == 2)
        return ["([" + word for word in words], [")[" + word for word in words]


class Dyck(Brackets):
    """Rule 1: square brackets match.  Rule 2: round ones do.  Besides: what is opened last is closed first (`nesting`).

    >>> L4 = Dyck()
    >>> L4.member("([])()"), L4.member("([)]"), L4.member("(]")
    (True, False, False)
    """

    name = "L4"
    further: ClassVar[dict[str, StringRule]] = {"nesting": Nested("()[]")}
    edits: ClassVar[dict[str, Edit]] = {**Brackets.edits, "nesting": exchange}

    def closable(self, owed: str) -> str:
        """What was opened last."""
        return owed[-1:]

    def completable(self, prompt: str) -> bool:
        """As Language has it."""
        return self.further["nesting"].read(prompt) is not None


def _words(length: int) -> list[str]:
    """All strings of this length in which no bracket closes what is not open, and none stays open."""
    both = Matched("(", ")"), Matched("[", "]")
    found = [("", 0, 0)]
    for done in range(length):
        left = length - done - 1
        found = [
            (word + symbol, round_, square)
            for word, *open_ in found
            for symbol in "()[]"
            for round_, square in [tuple(rule.step(depth, symbol) for rule, depth in zip(both, open_, strict=True))]
            if round_ is not None and square is not None and round_ + square <= left
        ]
    return [word for word, *_ in found]

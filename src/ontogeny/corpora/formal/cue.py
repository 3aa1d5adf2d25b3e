"""cue: the last symbol answers the first, and its neighbour tells on which answer to bet: right in a share rho of cases.

A rule over any distance beside a bigram that may mislead, so that what bigrams foretell is known and not estimated.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from ontogeny.corpora.formal.language import Language
from ontogeny.corpora.formal.rules import State, StringRule

ANSWER = {"a": "A", "b": "B"}
FILLERS = "fghij"
CUES = {"A": "pqr", "B": "stu", "": "klm"}  # the answer that a neighbour bets on; the last three bet on none
BET = {symbol: answer for answer, symbols in CUES.items() for symbol in symbols}
SHAPE = re.compile(f"[ab][{FILLERS}]*[{''.join(BET)}][AB]")
PREFIX = re.compile(f"([ab]([{FILLERS}]*([{''.join(BET)}][AB]?)?)?)?")


@dataclass(frozen=True)
class Answers(StringRule):
    """The last symbol is the answer to the first.

    >>> Answers()("afpA"), Answers()("afpB"), Answers()("af")
    (True, False, False)
    """

    start = ("", "")

    def step(self, state: State, symbol: str) -> State | None:
        """State: the answer that is owed, and the symbol read last."""
        return state[0] or ANSWER.get(symbol, "?"), symbol

    def holds(self, state: State) -> bool:
        """As StringRule has it."""
        return bool(state[1]) and bool(state[0] == state[1])


@dataclass(frozen=True)
class Bets(StringRule):
    """No answer stands beside a cue that bets on the other one.

    >>> Bets()("afpA"), Bets()("afpB"), Bets()("afkB"), Bets()("A")
    (True, False, True, True)
    """

    start = ""

    def step(self, state: State, symbol: str) -> State | None:
        """State: the answer that the symbol read last bets on."""
        return None if state and symbol in CUES and symbol != state else BET.get(symbol, "")

    def holds(self, state: State) -> bool:
        """As StringRule has it."""
        return True


@dataclass(frozen=True)
class Cue(Language):
    """[ab] [fghij]* neighbour [AB].  Rule 1: a ... A, b ... B.  Rule 2, a tendency: p q r before A, s t u before B.

    Members keep rule 1; a share `neutral` of them has a neighbour (k l m) that says nothing, and of the others a share `rho`
    keeps rule 2.

    >>> cue = Cue()
    >>> cue.member("agfpA"), cue.member("agfsA"), cue.member("agfpB")
    (True, True, False)
    """

    rho: float = 0.9
    neutral: float = 0.25

    name: ClassVar[str] = "cue"
    alphabet: ClassVar[str] = "ab" + FILLERS + "".join(BET) + "AB"
    rule1: ClassVar[StringRule] = Answers()
    rule2: ClassVar[StringRule] = Bets()

    def lengths(self, low: int, high: int) -> Sequence[int]:
        """Every length from 3."""
        return range(max(3, low), high + 1)

    def draw(self, random: Random, length: int) -> str:
        """First symbol, fillers and neighbour of the kind that is due, each as likely as others of its kind."""
        kind = "neutral" if random.random() < self.neutral else "agree" if random.random() < self.rho else "conflict"
        first = random.choice("ab")
        fillers = "".join(random.choices(FILLERS, k=length - 3))
        return first + fillers + neighbour(ANSWER[first], kind, random) + ANSWER[first]

    def member(self, string: str) -> bool:
        """As Source has it: of this shape, and rule 1 kept."""
        return SHAPE.fullmatch(string) is not None and self.rule1(string)

    def completable(self, prompt: str) -> bool:
        """As Language has it."""
        return PREFIX.fullmatch(prompt) is not None and (prompt[-1:] not in CUES or not prompt or self.member(prompt))

    def prompts(self, length: int) -> tuple[list[str], list[str]]:
        """All but the last symbol of strings whose neighbour bets right, and of those where it bets wrong; 256 draws of each."""
        random = Random(length)
        strings = [self.draw(random, length + 1)[:-1] for _ in range(256)] if length > 1 else []
        return tuple(  # type: ignore[return-value]
            sorted({string[:-1] + neighbour(ANSWER[string[0]], kind, random) for string in strings})
            for kind in ("agree", "conflict")
        )

    @property
    def paradigms(self) -> tuple[str, ...]:
        """On which side the neighbour is: with the rule, against it, on none."""
        return ("agree", "conflict", "neutral")

    def contrast(self, paradigm: str, string: str, random: Random) -> tuple[str, str] | None:
        """The string with a neighbour of this kind, and the same with the other answer."""
        right = string[-1]
        start = string[:-2] + neighbour(right, paradigm, random)
        return start + right, start + ("B" if right == "A" else "A")


def neighbour(right: str, kind: str, random: Random) -> str:
    """A symbol that bets on the right answer (agree), on the other (conflict), or on none (neutral)."""
    other = "B" if right == "A" else "A"
    return random.choice(CUES[{"agree": right, "conflict": other, "neutral": ""}[kind]])

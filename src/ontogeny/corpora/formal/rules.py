"""Rules that a string keeps or breaks, each a small machine that reads it symbol by symbol.

One machine says whether a string keeps the rule, whether what follows a prompt does, and how likely a guesser is to keep it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

State = Any  # hashable; None stands for a rule that is broken for good


class StringRule(ABC):
    """A rule over strings whose symbols are single characters."""

    start: State = 0

    @abstractmethod
    def step(self, state: State, symbol: str) -> State | None:
        """The state after one more symbol; None if nothing that follows can mend the rule."""

    @abstractmethod
    def holds(self, state: State) -> bool:
        """Whether a string that ends in this state keeps the rule."""

    def read(self, string: str, state: State | None = None) -> State | None:
        """The state after a string, from the start or from `state`."""
        now = self.start if state is None else state
        for symbol in string:
            now = self.step(now, symbol)
            if now is None:
                return None
        return now

    def __call__(self, string: str) -> bool:
        """Whether the whole string keeps the rule."""
        state = self.read(string)
        return state is not None and self.holds(state)


@dataclass(frozen=True)
class Even(StringRule):
    """An even number of a symbol; with `since`, only of those after the last such symbol.

    >>> Even("a")("baab"), Even("a")("aba"), Even("a", since="b")("abaa")
    (True, True, True)
    """

    symbol: str
    since: str = ""

    def step(self, state: State, symbol: str) -> State | None:
        """State: the number so far, modulo 2."""
        if symbol == self.since:
            return 0
        return state ^ 1 if symbol == self.symbol else state

    def holds(self, state: State) -> bool:
        """As StringRule has it."""
        return bool(state == 0)


@dataclass(frozen=True)
class Begins(StringRule):
    """A certain first symbol.

    >>> Begins("b")("ba"), Begins("b")("ab"), Begins("b")("")
    (True, False, False)
    """

    symbol: str

    def step(self, state: State, symbol: str) -> State | None:
        """State: whether the first symbol has been read."""
        return 1 if state == 1 or symbol == self.symbol else None

    def holds(self, state: State) -> bool:
        """As StringRule has it."""
        return bool(state == 1)


@dataclass(frozen=True)
class Order(StringRule):
    """Symbols stand in this order, each as often as it likes; with `led`, the first of them opens the string.

    >>> Order("ab")("aab"), Order("ab")("b"), Order("ab")(""), Order("ab")("aba")
    (True, True, True, False)
    >>> Order("ba", led=True)("bba"), Order("ba", led=True)("aa"), Order("ba", led=True)("")
    (True, False, False)
    """

    symbols: str
    led: bool = False
    start = -1

    def step(self, state: State, symbol: str) -> State | None:
        """State: the place in the order that has been reached, -1 before the first symbol."""
        place = self.symbols.index(symbol)
        if place < state or (self.led and state < 0 and place > 0):
            return None
        return place

    def holds(self, state: State) -> bool:
        """As StringRule has it."""
        return not self.led or bool(state >= 0)


@dataclass(frozen=True)
class Equal(StringRule):
    """As many of each symbol.

    >>> Equal("ab")("ba"), Equal("abc")("ccbbaa"), Equal("abc")("ab"), Equal("ab")("")
    (True, True, False, True)
    """

    symbols: str

    @property
    def start(self) -> State:  # type: ignore[override]
        """Nothing read."""
        return (0,) * len(self.symbols)

    def step(self, state: State, symbol: str) -> State | None:
        """State: the numbers so far, less the smallest of them."""
        counts = [count + (symbol == own) for count, own in zip(state, self.symbols, strict=True)]
        least = min(counts)
        return tuple(count - least for count in counts)

    def holds(self, state: State) -> bool:
        """As StringRule has it."""
        return not any(state)


@dataclass(frozen=True)
class Matched(StringRule):
    """Every closing symbol closes an opening one, and none stays open; all other symbols are passed over.

    >>> Matched("[", "]")("[(])"), Matched("[", "]")("]["), Matched("(", ")")("[")
    (True, False, True)
    """

    opening: str
    closing: str

    def step(self, state: State, symbol: str) -> State | None:
        """State: how many are open."""
        depth = state + (symbol == self.opening) - (symbol == self.closing)
        return depth if depth >= 0 else None

    def holds(self, state: State) -> bool:
        """As StringRule has it."""
        return bool(state == 0)


@dataclass(frozen=True)
class Nested(StringRule):
    """Several kinds of brackets, each closed before what it stands in is closed.

    >>> Nested("()[]")("([])"), Nested("()[]")("([)]"), Nested("()[]")("(")
    (True, False, False)
    """

    brackets: str  # opening and closing of each kind, one after the other
    start = ""

    def step(self, state: State, symbol: str) -> State | None:
        """State: the closing symbols that are still owed, the next one last."""
        place = self.brackets.index(symbol)
        if place % 2 == 0:
            return state + self.brackets[place + 1]
        return state[:-1] if state.endswith(symbol) else None

    def holds(self, state: State) -> bool:
        """As StringRule has it."""
        return bool(state == "")

"""L2, regular: b^n a^2m, n at least 1."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import ClassVar

from ontogeny.corpora.formal.language import Language
from ontogeny.corpora.formal.rules import Even, Order, StringRule


class BsBeforeEvenAs(Language):
    """Rule 1: an even number of a.  Rule 2: b, and no b after an a.

    Members have their a after the last b, so that counting those alone is the same rule for them, but not after a prompt that
    begins with a.  The published measurements count those alone (`rule1_after_b`).

    >>> L2 = BsBeforeEvenAs()
    >>> L2.member("bbaa"), L2.member("bbb"), L2.member("bba"), L2.member("baba"), L2.member("aa")
    (True, True, False, False, False)
    """

    name = "L2"
    alphabet = "ab"
    rule1 = Even("a")
    rule2 = Order("ba", led=True)
    variants: ClassVar[dict[str, StringRule]] = {"rule1_after_b": Even("a", since="b")}

    def lengths(self, low: int, high: int) -> Sequence[int]:
        """Every length from 1."""
        return range(max(1, low), high + 1)

    def draw(self, random: Random, length: int) -> str:
        """The number of a uniform over the even numbers that fit."""
        number = 2 * random.randint(0, (length - 1) // 2)
        return "b" * (length - number) + "a" * number

    def completable(self, prompt: str) -> bool:
        """As Language has it."""
        return self.rule2.read(prompt) is not None

    def prompts(self, length: int) -> tuple[list[str], list[str]]:
        """Within: b^k a^(length - k).  Without: an a, then b^k and at least one a."""
        within = ["b" * bs + "a" * (length - bs) for bs in range(1, length + 1)]
        return within, ["a" + "b" * bs + "a" * (length - 1 - bs) for bs in range(1, length - 1)]

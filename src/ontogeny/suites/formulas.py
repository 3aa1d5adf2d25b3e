"""SyntaxGym's formulas: what is predicted of the surprisals of regions, such as `(2;%mismatch%) > (2;%match%)` (Hu et al. 2020)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ontogeny.records import OntogenyError


class RegionReference(NamedTuple):
    """One region in one condition."""

    number: str  # "*": all of the condition's
    condition: str

    def __str__(self) -> str:
        return f"({self.number};%{self.condition}%)"


@dataclass(frozen=True)
class Operation:
    """Two parts and what joins them: + - < > = & or |."""

    sign: str
    left: Formula
    right: Formula

    def __str__(self) -> str:
        left, right = (f"({part})" if isinstance(part, Operation) else str(part) for part in (self.left, self.right))
        return f"{left} {self.sign} {right}"


Formula = RegionReference | Operation | float
Token = str | RegionReference | float

TOKEN = re.compile(r"\s*(?:\(\s*(\*|\d+)\s*;\s*%([^%]+)%\s*\)|(\d+(?:\.\d+)?)|([-+<>=&|()]))")
LEVELS = ("|", "&", "<>=", "+-")  # what binds least comes first; of one level the left first


def parse(text: str) -> Formula:
    """A formula from its text: `parse(str(formula)) == formula`.  Raises OntogenyError that says where it is none.

    >>> str(parse("(2;%a%)-(2;%b%)>(2;%c%) - (2;%d%)"))
    '((2;%a%) - (2;%b%)) > ((2;%c%) - (2;%d%))'
    """
    tokens: list[Token] = []
    at = 0
    while text[at:].strip():
        if not (found := TOKEN.match(text, at)):
            raise OntogenyError(f"formula {text!r}: {text[at:].strip()[:20]!r} is no region (2;%condition%), number or sign")
        number, condition, literal, sign = found.groups()
        tokens.append(RegionReference(number, condition) if number else float(literal) if literal else sign)
        at = found.end()
    formula, rest = _level(tokens, 0, text)
    if rest:
        raise OntogenyError(f"formula {text!r}: {rest[0]!s} is not expected there")
    return formula


def _level(tokens: list[Token], level: int, text: str) -> tuple[Formula, list[Token]]:
    if level == len(LEVELS):
        return _atom(tokens, text)
    left, rest = _level(tokens, level + 1, text)
    while rest and isinstance(rest[0], str) and rest[0] in LEVELS[level]:
        right, after = _level(rest[1:], level + 1, text)
        left, rest = Operation(rest[0], left, right), after
    return left, rest


def _atom(tokens: list[Token], text: str) -> tuple[Formula, list[Token]]:
    if not tokens:
        raise OntogenyError(f"formula {text!r} ends where a region, a number or ( is expected")
    first = tokens[0]
    if first == "(":
        inner, rest = _level(tokens[1:], 0, text)
        if not rest or rest[0] != ")":
            raise OntogenyError(f"formula {text!r}: a ( is not closed")
        return inner, rest[1:]
    if isinstance(first, str):
        raise OntogenyError(f"formula {text!r}: a region, a number or ( is expected in place of {first}")
    return first, tokens[1:]


def holds(formula: Formula, surprisals: Mapping[RegionReference, float]) -> bool:
    """Whether a formula of comparisons holds; = within 1e-3, as SyntaxGym has it."""
    assert isinstance(formula, Operation)
    if formula.sign in "&|":
        return (all if formula.sign == "&" else any)(holds(part, surprisals) for part in (formula.left, formula.right))
    left, right = amount(formula.left, surprisals), amount(formula.right, surprisals)
    return {"<": left < right, ">": left > right, "=": abs(left - right) <= 1e-3 + 1e-5 * abs(right)}[formula.sign]


def amount(formula: Formula, surprisals: Mapping[RegionReference, float]) -> float:
    """What a sum of regions and numbers comes to."""
    if isinstance(formula, Operation):
        left, right = amount(formula.left, surprisals), amount(formula.right, surprisals)
        return left + right if formula.sign == "+" else left - right
    return surprisals[formula] if isinstance(formula, RegionReference) else formula


def comparisons(formula: Formula) -> list[Counter[RegionReference]]:
    """What has to hold for a formula to hold: sums of surprisals, each below 0.

    Raises OntogenyError for what is no such thing: = and |, which no difference can tell, and numbers but 0.
    """
    if not isinstance(formula, Operation) or formula.sign in "+-":
        raise OntogenyError(f"{formula} compares nothing; < or > is expected")
    if formula.sign == "&":
        return [*comparisons(formula.left), *comparisons(formula.right)]
    if formula.sign in "=|":
        raise OntogenyError(f"{formula}: items are right by margins, which < > and & have, and {formula.sign} has not")
    less, more = (formula.left, formula.right) if formula.sign == "<" else (formula.right, formula.left)
    found = _weights(less)
    found.subtract(_weights(more))
    return [found]


def _weights(formula: Formula) -> Counter[RegionReference]:
    """How often each region counts in a sum."""
    if isinstance(formula, RegionReference):
        return Counter({formula: 1})
    if isinstance(formula, float):
        if formula:
            raise OntogenyError(f"{formula:g} is compared with surprisals; only 0 can be")
        return Counter()
    if formula.sign not in "+-":
        raise OntogenyError(f"{formula} is added or compared; a sum of regions is expected")
    found = _weights(formula.left)
    (found.update if formula.sign == "+" else found.subtract)(_weights(formula.right))
    return found

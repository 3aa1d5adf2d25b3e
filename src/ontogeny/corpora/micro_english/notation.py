"""The notation that the grammar and the paradigms are written in.

    the Noun[n=?n g=m|f] Verb[t=pres n=?n] .

A word that begins with a capital is a category; any other stands for itself.  Brackets hold features:

    n=sg        this value
    g=m|f       either value
    n=?x        the value of the variable x, the same wherever x stands
    n=!?x       any other value than x has
    g=?x:m|f    the value of x, which is one of these

A rule is `weight name: right side`, the name if it has one; a weight is 10, 10*misleading or 10*revealing.

`Label:Noun[...]` gives a constituent a name; the bare `Label` further on repeats it word for word, and `Label[n=sg]`
(for a single word) repeats it in another form.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

from ontogeny.records import OntogenyError

_TOKEN = re.compile(r"[^\s\[\]]+(?:\[[^\]]*\])?")
_SYMBOL = re.compile(r"(?:(?P<label>[A-Z]\w*):)?(?P<name>[A-Z]\w*)(?:\[(?P<features>[^\]]*)\])?")
_VALUE = re.compile(r"(?:(?P<not>!)?\?(?P<variable>\w+)(?::(?P<among>[\w|]+))?|(?P<constants>[\w|]+))")

_WEIGHT = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?:\*(?P<share>misleading|revealing))?(?: +(?P<name>[a-z]\w*))?")


@dataclass(frozen=True, slots=True)
class Value:
    """What a feature must be: one of `among` (None: anything), and the same as or other than `variable`."""

    variable: str | None
    among: tuple[str, ...] | None
    other: bool = False


Features = tuple[tuple[str, Value], ...]


@dataclass(frozen=True, slots=True)
class Symbol:
    """A constituent of a rule; one whose `name` was a label before is a repetition of that constituent."""

    name: str
    features: Features = ()
    label: str | None = None


Part = str | Symbol


def parse(text: str) -> tuple[Part, ...]:
    """The parts of a rule's right side or of a paradigm's sentence.  Raises OntogenyError at what it cannot read."""
    if "".join(_TOKEN.findall(text)).replace(" ", "") != text.replace(" ", ""):
        raise OntogenyError(f"unbalanced brackets in {text!r}")
    return tuple(_part(token, text) for token in _TOKEN.findall(text))


def symbol(text: str) -> Symbol:
    """The left side of a rule."""
    part = _part(text, text)
    if isinstance(part, str):
        raise OntogenyError(f"{text!r} is no category; a category begins with a capital")
    return part


def weight(key: str | float) -> tuple[float, str, str]:
    """`10`, `10*misleading`, `10 passive` or `10*misleading passive`: the number, the share and the name."""
    match = _WEIGHT.fullmatch(str(key))
    if not match:
        raise OntogenyError(
            f"grammar: {key!r} is no weight; a weight is 10, 10*misleading or 10*revealing, and a name may follow: 10 passive"
        )
    return float(match["number"]), match["share"] or "", match["name"] or ""


def ignoring(parts: tuple[Part, ...], blind: Set[str]) -> tuple[Part, ...]:
    """The parts without these features."""
    if not blind:
        return parts
    return tuple(
        part
        if isinstance(part, str)
        else Symbol(part.name, tuple(pair for pair in part.features if pair[0] not in blind), part.label)
        for part in parts
    )


def _part(token: str, line: str) -> Part:
    if not re.match(r"[A-Z]", token):
        if "[" in token:
            raise OntogenyError(f"{token!r} in {line!r}: only a category, which begins with a capital, has features")
        return token
    match = _SYMBOL.fullmatch(token)
    if not match:
        raise OntogenyError(f"cannot read {token!r} in {line!r}; a constituent is written Label:Category[feature=value]")
    features = tuple(_feature(item, line) for item in (match["features"] or "").split())
    return Symbol(match["name"], features, match["label"])


def _feature(item: str, line: str) -> tuple[str, Value]:
    name, _, text = item.partition("=")
    match = _VALUE.fullmatch(text)
    if not match:
        raise OntogenyError(f"cannot read {item!r} in {line!r}; a feature is written n=sg, g=m|f, n=?x, n=!?x or g=?x:m|f")
    among = match["among"] or match["constants"]
    return name, Value(match["variable"], tuple(among.split("|")) if among else None, bool(match["not"]))

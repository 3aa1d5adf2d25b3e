"""The corpus's knobs: how often neighbouring words side with the grammar, and when in the stream they do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import Field

from ontogeny.corpora.micro_english.grammar import Grammar, Share
from ontogeny.recipe import Part
from ontogeny.registry import nearest


class Phase(Part):
    """A stretch of the stream."""

    until: float = Field(gt=0, le=1)
    """Share of the corpus's words at which it ends."""
    rho: float = Field(ge=0, le=1)
    """Share of the occasions on which neighbouring words side with the grammar."""


Rho = float | tuple[Phase, ...]


def at(rho: Rho, share: float) -> float:
    """What a knob is set to after this share (0 to 1) of the stream."""
    if isinstance(rho, float | int):
        return float(rho)
    return next(phase.rho for phase in rho if share < phase.until or phase is rho[-1])


def turns(knobs: Iterable[Rho]) -> list[float]:
    """The shares of the stream at which some knob may turn, 1 the last."""
    return sorted({1.0, *(phase.until for rho in knobs if not isinstance(rho, float | int) for phase in rho)})


def shares(knobs: Mapping[str, Rho], misleading: float, share: float) -> Share:
    """(knob, half) -> the share of misleading occasions after this share of the stream; `misleading` where no knob says."""

    def of(knob: str, half: str | None) -> float:
        rho = knobs.get(f"{knob}/{half}", knobs.get(knob))
        return misleading if rho is None else 1 - at(rho, share)

    return of


def mistakes(knobs: Mapping[str, Rho], held_out: Iterable[str], grammar: Grammar, often: Iterable[str] = ()) -> list[str]:
    """What is wrong with the knobs, in words for people."""
    known = [name for knob, halves in grammar.knobs.items() for name in (knob, *(f"{knob}/{half}" for half in halves))]
    whole = list(grammar.knobs)
    asked_for = [*(("rho", name) for name in knobs), *(("often", name) for name in often)]
    found = [f"{f} has no knob {n!r}; {nearest(n, known if '/' in n else whole)}" for f, n in asked_for if n not in known]
    found += [
        f"rho sets both {name.partition('/')[0]} and its half {name}; set the whole or the halves"
        for name in knobs
        if "/" in name and name.partition("/")[0] in knobs
    ]
    found += [trouble for name, rho in knobs.items() if (trouble := _disorder(name, rho))]
    gone = set(held_out)
    for name, rho in knobs.items():
        for share, rule in grammar.shared(name.partition("/")[0]):
            asked = any(at(rho, turn) < 1 if share == "misleading" else at(rho, turn) > 0 for turn in (0.0, *turns([rho])))
            if rule in gone and asked:
                found.append(f"held_out leaves out {rule}, which rho asks for in {name}; drop one of them")
    return found


def _disorder(name: str, rho: Rho) -> str:
    if isinstance(rho, float | int):
        return "" if 0 <= rho <= 1 else f"rho of {name} is {rho}; a share from 0 to 1 is wanted"
    ends = [phase.until for phase in rho]
    if not ends or ends != sorted(set(ends)) or ends[-1] != 1:
        return f"the phases of {name} end at {ends}; they must rise, and the last must end at 1"
    return ""

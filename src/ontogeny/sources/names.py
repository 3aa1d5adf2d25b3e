"""What the name of a checkpoint tells: of a folder, a branch, a repository or the title of a commit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from ontogeny.records import OntogenyError
from ontogeny.registry import nearest

# What {step}, {tokens} ... stand for in a scheme.
TELLS = {
    "step": r"[0-9]{1,18}k?",
    "tokens": r"[0-9]{1,18}(?:\.[0-9]{1,6})?[KMBT]",
    "words": r"[0-9]{1,18}(?:\.[0-9]{1,6})?[KMBT]",
    "ordinal": r"[0-9]{1,18}",  # the how-manieth checkpoint, where a name says nothing else
    "seed": r"(?:(?:small|large)-aux-)?[0-9]{1,18}|default",
    "stage": r"[0-9]{1,2}",
    "ingredient": r"[0-9]{1,2}",
}
UNIT = {"k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
# What a clock counts.  The first of these that a name tells is its clock; the others go along with it.
CLOCKS = {"step": "optimiser steps", "words": "words seen", "tokens": "tokens seen", "ordinal": "checkpoints, in their order"}
LARGEST = 2**63 - 1  # what a column of whole numbers holds


@dataclass(frozen=True, slots=True)
class Scheme:
    """A way of naming checkpoints: a regular expression, in either case, with {step}, {tokens} ... for what is told."""

    family: str  # names of one family belong together
    pattern: str
    anew: bool = False  # steps and tokens begin at 0 again in each stage


# The first that a whole name fits.
SCHEMES = (
    Scheme("checkpoint", r"checkpoint[-_]{step}(?:step)?"),  # the Trainer of transformers
    Scheme("step", r"(?:global_?)?step[-_]?{step}"),  # Pythia, PolyPythias, SmolLM2, BLOOM, pico's folders, ours
    Scheme("step", r"(?:stage{stage}-)?step{step}-tokens{tokens}", anew=True),  # OLMo, with stages since OLMo 2
    Scheme("step", r"stage{stage}-ingredient{ingredient}-step{step}-tokens{tokens}", anew=True),  # OLMo 2, before its soups
    Scheme("step", r"stage{stage}-step-{step}"),  # SmolLM3, whose steps go on from stage to stage
    Scheme("step", r"step{step}-seed-{seed}"),  # DataDecide
    Scheme("step", r"step-{step}-{tokens}T"),  # FineWeb's ablations: step-001000-2BT
    Scheme("step", r"(?:TinyLlama-[\w.]+-)?(?:intermediate-)?step-{step}-(?:token-)?{tokens}"),  # a repository each
    Scheme("step", r"(?:multiberts-)?seed_{seed}-step_{step}"),  # MultiBERTs, a repository each
    Scheme("step", r"Saving HF Model -- Step {step}"),  # pico's commits
    Scheme("chck", r"chck_{words}"),  # BabyLM
    Scheme("ckpt", r"ckpt_{ordinal}"),  # LLM360: Amber, K2
    Scheme("tokens", r"{tokens}_tokens"),  # RedPajama
    Scheme("number", r"{step}(?<=[0-9])"),  # B-GPT; only where no checkpoint has another name
    Scheme("seed", r"(?:.+[-_])?seed[-_]?{seed}"),  # what holds the checkpoints of one seed
)
FAMILIES = list(dict.fromkeys(scheme.family for scheme in SCHEMES if scheme.family != "seed"))


@dataclass(frozen=True, slots=True)
class CheckpointName:
    """What a name tells; None for what it does not."""

    family: str
    step: int | None = None  # optimiser steps done
    tokens: int | None = None  # seen so far
    words: float | None = None  # seen so far
    ordinal: int | None = None
    seed: int | None = None
    stage: int | None = None
    ingredient: int | None = None  # several trainings of one stage, whose weights are averaged: branches of a tree
    anew: bool = False

    @property
    def clock(self) -> str | None:
        """What stands for the steps: step, words, tokens or ordinal; None for a name without any of them."""
        return next((clock for clock in CLOCKS if getattr(self, clock) is not None), None)

    @property
    def at(self) -> int:
        """The number on that clock."""
        return int(getattr(self, self.clock or "step"))


def parse(name: str, schemes: Iterable[Scheme] = SCHEMES) -> CheckpointName | None:
    """What a name tells, or None if it fits no scheme or has a number that no table holds."""
    for scheme in schemes:
        if match := _expression(scheme.pattern).fullmatch(name):
            told = {key: number(text) for key, text in match.groupdict().items() if text}
            return None if None in told.values() else CheckpointName(scheme.family, **told, anew=scheme.anew)
    return None


def number(text: str) -> int | None:
    """A whole number, perhaps with a unit or at the end of a seed's name: 480k is 480,000, large-aux-3 is 3, default is 0."""
    match = re.fullmatch(r"(?:[a-z-]+-)?([0-9]{1,18}(?:\.[0-9]{1,9})?)([kmbt]?)", text.lower())
    found = Decimal(match[1]) * UNIT.get(match[2], 1) if match else Decimal(0)
    known = match or text.lower() == "default"
    return int(found) if known and found == found.to_integral_value() and found <= LARGEST else None


def understand(names: Iterable[str], wanted: Sequence[str] = ()) -> dict[str, CheckpointName]:
    """Names that tell a moment of training, and what.  `wanted`: families, or patterns such as iter_{step}; empty: every family.

    Bare numbers are understood where they are wanted, or where every name but main is one.
    """
    names, schemes = list(names), _schemes(wanted)
    found = {name: told for name in names if (told := parse(name, schemes)) and told.clock}
    others = [name for name in names if name != "main" and (name not in found or found[name].family != "number")]
    if others and "number" not in wanted:
        found = {name: told for name, told in found.items() if told.family != "number"}
    return found


def _schemes(wanted: Sequence[str]) -> tuple[Scheme, ...]:
    return tuple(scheme for word in wanted for scheme in _chosen(word)) or SCHEMES


def _chosen(word: str) -> list[Scheme]:
    if word in FAMILIES:
        return [scheme for scheme in SCHEMES if scheme.family == word]
    try:
        tells = _expression(word).groupindex
    except (re.error, OverflowError, RecursionError) as error:
        raise OntogenyError(f"--names {word}: not a regular expression with {{step}}, {{words}} ... once each ({error})") from None
    if not CLOCKS.keys() & tells.keys():
        raise OntogenyError(f"--names {word}: no such names; {nearest(word, FAMILIES)}; or a pattern of your own: 'iter_{{step}}'")
    if unknown := tells.keys() - TELLS.keys():
        raise OntogenyError(f"--names {word}: nothing is called {min(unknown)!r}; known: {', '.join(TELLS)}")
    return [Scheme(word, word, anew=True)]


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """{step} becomes a named group of what may stand there."""
    groups = re.sub(r"\{([a-z]+)\}", lambda m: f"(?P<{m[1]}>{TELLS[m[1]]})" if m[1] in TELLS else m[0], pattern)
    return re.compile(groups, re.IGNORECASE)

"""What happened, in plain English: pure functions from verdicts to sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ontogeny.pages.words import count, enumerated, human, listed, percent, were

# how a verdict reads after "1 ..." and after "2 ..."
SAYS = {
    "late recovery": ("recovered late", "recovered late"),
    "u-shaped": ("was learned, lost and learned again", "were learned, lost and learned again"),
    "forgotten": ("was forgotten", "were forgotten"),
    "late-wrong": ("ended wrong without having been wrong early", "ended wrong without having been wrong early"),
    "escaped": ("escaped an error without being learned", "escaped an error without being learned"),
    "never separated": ("never left chance", "never left chance"),
    "undecided": ("is undecided", "are undecided"),
    "unobserved": ("could not be observed", "could not be observed"),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the sentences say about the run; whatever is None goes unsaid."""

    suite: str
    checkpoints: int
    step: int  # the last checkpoint's
    seeds: int = 1
    total: int | None = None  # steps of the whole training
    words: float | None = None  # seen at the last checkpoint
    model: str | None = None
    parameters: int | None = None
    corpus: str | None = None
    accuracy: float | None = None  # mean over paradigms at the last checkpoint
    firm: frozenset[str] | None = None  # paradigms whose verdict is firm; None: of one seed, or not known


def first_sentence(verdicts: Sequence[tuple[str, str]], facts: Facts, paradigms: int | None = None) -> str:
    """What happened, in one sentence.

    `verdicts`: (paradigm, verdict), the first named first; `paradigms`: how many were read, if none was judged.
    """
    number = len(verdicts) or paradigms or 0
    whole = f"Of {facts.suite}'s {count(number, 'paradigm')}"
    if not verdicts:
        there = "" if facts.accuracy is None else f"; mean accuracy there is {facts.accuracy:.3f}"
        return (
            f"There are no verdicts{'' if facts.checkpoints == 1 else ' yet'}: {facts.suite}'s "
            f"{count(number, 'paradigm')} {were(number)} read at {count(facts.checkpoints, 'checkpoint')}, "
            f"{_progress(facts)}{there}."
        )
    by_verdict = _grouped(verdicts)
    learned, stuck = by_verdict.get("learned", []), by_verdict.get("entrenched", [])
    for name, says in (
        ("unobserved", "could be observed well enough for a verdict"),
        ("undecided", "could be decided"),
    ):
        if len(by_verdict.get(name, [])) == number:
            read = f"read at {count(facts.checkpoints, 'checkpoint')}, {_progress(facts)}"
            return f"{whole}, none {says}; {'it was' if number == 1 else 'they were'} {read}."
    if number == 1:
        return f"{facts.suite}'s only paradigm, {verdicts[0][0]}, {_says(verdicts[0][1], 1)}{_firm([verdicts[0][0]], facts.firm)}."
    if len(learned) == number:
        return f"All {number} paradigms of {facts.suite} were learned{_firm(learned, facts.firm)}, and none is entrenched."
    first = f"{_number(len(learned))} {were(max(len(learned), 1))} learned{_firm(learned, facts.firm)}"
    if not stuck:
        return f"{whole}, {first} and none is entrenched."
    return f"{whole}, {first} and {len(stuck)} {'is' if len(stuck) == 1 else 'are'} entrenched{_firm(stuck, facts.firm)}."


def second_sentence(verdicts: Sequence[tuple[str, str]], firm: frozenset[str] | None = None) -> str:
    """Which are entrenched, and what became of those that the first sentence does not count; empty where there are none."""
    counts = Counter(verdict for _, verdict in verdicts)
    if len(verdicts) < 2 or (len(counts) == 1 and not {"entrenched"} & set(counts)):
        return ""
    names = _grouped(verdicts)
    stuck = f"Wrong early in training and wrong at the end: {listed(names['entrenched'])}." if "entrenched" in names else ""
    rest = [f"{counts[name]} {_says(name, counts[name])}{_firm(names[name], firm)}" for name in SAYS if counts[name]]
    return " ".join(filter(None, [stuck, f"Of the rest, {enumerated(rest)}." if rest else ""]))


def third_sentence(facts: Facts, *, progress: bool = True) -> str:
    """What was trained, on what, and (with `progress`) how much of its training was seen."""
    model = facts.model or "a model"
    if facts.parameters:
        model = f"{model} with {human(facts.parameters)} parameters"
    corpus = f" trained on {facts.corpus}" if facts.corpus else ""
    seeds = f" ({count(facts.seeds, 'seed')})" if facts.seeds > 1 else ""
    read = f", read at {count(facts.checkpoints, 'checkpoint')}, {_progress(facts)}" if progress else ""
    return f"This is {model}{corpus}{seeds}{read}." if model != "a model" or corpus or read else ""


def _progress(facts: Facts) -> str:
    words = f" ({human(facts.words)} words)" if facts.words else ""
    if facts.total is None or (facts.checkpoints == 1 and facts.step == facts.total):
        return f"{'the one' if facts.checkpoints == 1 else 'the last'} at step {facts.step:,}{words}"
    if facts.step >= facts.total:
        return f"from the first to the last of {facts.total:,} steps{words}"
    return f"up to step {facts.step:,} of {facts.total:,}{words}, {percent(facts.step / facts.total)} of training"


def _says(verdict: str, number: int) -> str:
    if verdict in SAYS:
        return SAYS[verdict][number != 1]
    if verdict == "entrenched":
        return f"{'is' if number == 1 else 'are'} entrenched, wrong early in training and wrong at the end"
    return f"{were(number)} {verdict}"


def _firm(paradigms: Sequence[str], firm: frozenset[str] | None) -> str:
    """How many of a verdict's paradigms have it in more than the mean of seeds; unsaid where it is all, or none there are."""
    borne = sum(name in (firm or ()) for name in paradigms)
    if firm is None or borne == len(paradigms):
        return ""
    return f" ({borne or 'none'} of them firm)" if len(paradigms) > 1 else " in the mean of the seeds"


def _grouped(verdicts: Sequence[tuple[str, str]]) -> Mapping[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for paradigm, verdict in verdicts:
        groups.setdefault(verdict, []).append(paradigm)
    return groups


def _number(number: int) -> str:
    return "none" if number == 0 else f"{number:,}"

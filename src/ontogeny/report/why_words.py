"""What an explanation says in plain words, for the page and the terminal: shares, chances, transitions, lines of text."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from ontogeny.evidence.why import Explanation

UNITS = {"token": ("piece of a word", "pieces of words")}  # how a level's units are called, one and many
MOST = math.log(1e12)  # nats: no factor larger than this is told in digits
NAMES = {1: "unigram", 2: "bigram", 3: "trigram"}


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of the training text behind one transition, or behind a part of it."""

    side: str  # good or bad
    whole: str  # the transition
    what: str  # what the lines have
    exact: bool  # False: a part of the transition, because the whole occurs in fewer lines than were asked for
    total: int  # occurrences of what the lines have in the training text
    attested: bool  # whether the whole occurs at all
    rows: list[dict[str, Any]]


def order_name(order: int) -> str:
    """Unigram, bigram, trigram, 4-gram ..."""
    return NAMES.get(order, f"{order}-gram")


def knows(order: int, level: str = "word") -> str:
    """What a model of that order knows."""
    one, many = UNITS.get(level, ("word", "words"))
    if order == 1:
        return f"how frequent each {one} is"
    return f"which {one} follows which" if order == 2 else f"which {one} follows the {order - 1} {many} before it"


def headline(explanation: Explanation) -> str:
    """How the network ends, how people do, and how a model does that knows nothing but n-grams."""
    e = explanation
    blind = f"A model that knows nothing but {knows(e.order, e.level)}"
    if e.pairs == 1:
        sides = f"finds the {'good' if e.mean_margin >= 0 else 'bad'} sentence of this pair {likelier(abs(e.mean_margin))}"
        return f"{blind} {sides}." if abs(e.mean_margin) > 1e-9 else f"{blind} has no preference in this pair."
    gets = f"{blind} gets {share(e.ngram_accuracy)}"
    people = "" if e.human is None else f", where people agree with {share(e.human)}"
    if e.network_accuracy is None:
        return f"{gets} right on {e.paradigm}{people}."
    return f"The model ends with {share(e.network_accuracy)} right on {e.paradigm}{people}. {gets}."


def story(explanation: Explanation) -> str:
    """What else is known: why to be cautious, the verdict, the start, and the mean margin.  Empty where nothing is."""
    e = explanation
    said = [f"Caution: {e.caution}."] if e.caution else []
    if e.verdict is not None:
        early = "" if e.network_early is None else f": early in training it had {share(e.network_early)} right"
        said.append(f"The verdict on it is “{e.verdict}”{early}.")
    if e.pairs > 1:
        side = f"the {'good' if e.mean_margin >= 0 else 'bad'} sentence {likelier(abs(e.mean_margin))}"
        said.append(f"On average over its {e.pairs:,} pairs the {order_name(e.order)} model finds {side}.")
    return " ".join(said)


def share(value: float) -> str:
    """31 %, and never 0 % for some or 100 % for less than all."""
    rounded = round(100 * value)
    if rounded in (0, 100) and value not in (0, 1):
        return "less than 1 %" if rounded == 0 else "more than 99 %"
    return f"{rounded} %"


def chance(logp: float) -> str:
    """A probability as something to picture: 72 times in 100, 1 time in 12, 1 time in 1,300."""
    p = math.exp(logp)
    if p >= 0.095:
        return "always" if p >= 0.995 else f"{100 * p:.0f} times in 100"
    return f"1 time in {two_digits(1 / p)}" if logp > -MOST else "less than 1 time in a trillion"


def two_digits(value: float) -> str:
    """2.5, 12, 160, 1,300, 4.2 million: two digits that count."""
    for size, name in ((1e9, " billion"), (1e6, " million")):
        if value >= size * 0.995:
            return f"{float(f'{value / size:.2g}'):,g}{name}"
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 or rounded == int(rounded) else f"{rounded:.1f}"


def likelier(nats: float) -> str:
    """A difference of log-probabilities as a factor: 13 times likelier."""
    if nats < 0.05:
        return "about as likely as the other"
    if nats > MOST:
        return "more than a trillion times likelier"
    return f"{two_digits(math.exp(nats))} times likelier"


def parted(shown: str) -> tuple[str, str]:
    """A transition as shown, as what comes before and the last token; nothing before for a single token."""
    found = re.fullmatch(r"(.+?)([ ·])([^ ·]+)", shown)
    if found is None:
        return "", shown
    before, joint, last = found.groups()
    return (before, last) if joint == " " else (before, f"·{last}")


def follows(shown: str, logp: float) -> str:
    """after “know”, “that” follows 1 time in 12; “that” is 1 word in 12 for a single one."""
    before, last = parted(shown)
    if not before:
        return f"“{last}” comes {chance(logp)}"
    at = "at the start" if before == "⟨start⟩" else f"after “{before}”"
    return f"{at}, “{last}” follows {chance(logp)}"


def strongest(explanation: Explanation) -> str:
    """The sentence about the transition that weighs most; empty where none decides."""
    rows = explanation.deciding.sort("rank").head(1).to_dicts()
    if not rows:
        return ""
    row = rows[0]
    sides = [follows(row[side], row[f"logp_{side}"]) for side in ("good", "bad") if row[side] is not None]
    ours, theirs = (None if row[side] is None else parted(row[side]) for side in ("good", "bad"))
    if ours and theirs and ours[0] and ours[0] == theirs[0]:
        sides[1] = f"“{theirs[1]}” {chance(row['logp_bad'])}"
    so = f"which speaks for the {'good' if row['contribution'] >= 0 else 'bad'} sentence"
    often = "" if explanation.pairs == 1 else f" This meets in {row['pairs']:,} of the {explanation.pairs:,} pairs."
    return f"What weighs most: {', and '.join(sides)}, {so}.{often}"


def so(row: dict[str, Any]) -> str:
    """What a row of the deciding transitions says by itself."""
    if row["kind"] == "contrast":
        return f"the {'good' if row['difference'] >= 0 else 'bad'} one is {likelier(abs(row['difference']))}"
    return f"only the {row['kind'].removesuffix(' only')} sentence has to pay for it"


def seen(row: dict[str, Any], side: str) -> str:
    """How often a transition is in the training text, among how many of what comes before it."""
    count, before = row[f"count_{side}"], row[f"before_{side}"]
    if not count:
        return f"never, in {before:,} chances" if before else "never, nor what comes before it"
    return f"{count:,} of {before:,}" if before else f"{count:,}"


def behind(explanation: Explanation) -> list[tuple[int, list[Lines]]]:
    """The lines by rank, and of each rank by side and what they show; what an earlier rank has shown is left out."""
    lines, found = explanation.lines, []
    if lines.is_empty():
        return []
    deciding = {row["rank"]: row for row in explanation.deciding.to_dicts()}
    shown: set[tuple[str, str, str]] = set()
    for (rank,), part in lines.group_by("rank", maintain_order=True):
        groups = []
        for (side, what, exact), rows in part.group_by("side", "what", "exact", maintain_order=True):
            own = deciding.get(rank, {})
            whole = own.get(side) or str(what)
            if (key := (str(side), str(what), whole)) not in shown:
                attested = bool(exact or own.get(f"count_{side}"))
                groups.append(Lines(str(side), whole, str(what), bool(exact), int(rows["total"][0]), attested, rows.to_dicts()))
                shown.add(key)
        if groups:
            found.append((int(str(rank)), groups))
    return found


def heading(lines: Lines) -> tuple[str, str]:
    """What stands above lines: a transition, and how often it is there or what is shown in its place."""
    times = "once" if lines.total == 1 else f"{lines.total:,} times"
    if lines.exact:
        return lines.whole, f"{times} in the text"
    few = "too few lines have it" if lines.attested else "no line has it"
    return lines.whole, f"{few}, so here “{lines.what}” by itself: {times} in the text"


def strips(sentences: pl.DataFrame) -> list[dict[str, Any]]:
    """Example pairs token by token: pair, margin, and for each side (token, logp, whether the other side lacks it)."""
    found = []
    for (pair,), part in [] if sentences.is_empty() else sentences.group_by("pair", maintain_order=True):
        sides = {str(side): own.sort("position") for (side,), own in part.group_by("side", maintain_order=True)}
        keys = {side: [(r["token"], round(r["logp"], 9)) for r in own.to_dicts()] for side, own in sides.items()}
        marked = {side: _apart(own, [k for other, ks in keys.items() if other != side for k in ks]) for side, own in keys.items()}
        found.append(
            {
                "pair": pair,
                "margin": float(part["margin"][0]),
                "sides": [(side, marked[side]) for side in ("good", "bad") if side in marked],
            }
        )
    return found


def _apart(own: list[tuple[str, float]], other: list[tuple[str, float]]) -> list[tuple[str, float, bool]]:
    """Tokens with their log-probabilities, marked where the other sentence has none as likely: only these count."""
    left = list(other)
    rows = []
    for key in own:
        there = key in left
        if there:
            left.remove(key)
        rows.append((*key, not there))
    return rows

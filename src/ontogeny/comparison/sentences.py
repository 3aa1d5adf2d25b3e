"""What the figures of a comparison say, in plain words: pure functions, and never more than the figures show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ontogeny.comparison.agreement import CONFIDENCE
from ontogeny.pages.words import count, decimals, difference, enumerated, listed, probability

ALPHA = 0.05


def lead(suite: str, wrong: Mapping[str, Sequence[str]], alike: int, runs: Sequence[str]) -> str:
    """What the runs share.  `wrong`: every paradigm, with the runs in which it ends wrong; `alike`: with one verdict in all."""
    all_ = "both runs" if len(runs) == 2 else f"all {len(runs)} runs"
    every = sum(len(own) == len(runs) for own in wrong.values())
    some = sum(0 < len(own) < len(runs) for own in wrong.values())
    said = f"Of {suite}'s {count(len(wrong), 'paradigm')}, {alike} {_get(alike)} the same verdict in {all_}"
    if not every and not some:
        return f"{said}; none ends wrong in any."
    rest = f", and {some} {'more ' if every else ''}in some only" if some else " and none in some only"
    return f"{said}; {every or 'none'} {'end' if every > 1 else 'ends'} wrong in {all_}{rest}."


def findings(runs: pl.DataFrame, pairs: pl.DataFrame, *, same_text: bool = True) -> list[str]:
    """A sentence each on accuracy, loss (of one held-out text), and paradigms that end wrong; what is not known goes unsaid."""
    return [said for said in (accuracies(runs, pairs), losses(runs) if same_text else "", wrongs(pairs)) if said]


def accuracies(runs: pl.DataFrame, pairs: pl.DataFrame) -> str:
    """From the lowest mean accuracy to the highest, and how many differences can be told from none."""
    low, high = (f"{decimals(row['accuracy'])} ({row['run']})" for row in _ends(runs, "accuracy"))
    said = f"Mean accuracy at the last checkpoint goes from {low} to {high}"
    if len(pairs) == 1:
        row = pairs.row(0, named=True)
        ends = f"{difference(row['difference_low'])} to {difference(row['difference_high'])}"
        return f"{said}: {row['first']} minus {row['second']} is {difference(row['difference'])} (95 % interval {ends})."
    apart = len(pairs.filter((pl.col("difference_low") > 0) | (pl.col("difference_high") < 0)))
    few = f"{apart or 'none'} {'has' if apart < 2 else 'have'}"
    return f"{said}; of the differences between {len(pairs)} pairs of runs, {few} a 95 % interval without 0."


def telling(differences: pl.DataFrame) -> str:
    """How many paradigms' differences can be told from none, and how many would by chance."""
    apart = len(differences.filter((pl.col("difference_low") > 0) | (pl.col("difference_high") < 0)))
    return (
        f"{apart or 'None'} of {count(len(differences), 'interval')} {'lies' if apart < 2 else 'lie'} on one side of 0, where "
        f"{len(differences) * (1 - CONFIDENCE):.2g} would if nothing differed"
    )


def losses(runs: pl.DataFrame) -> str:
    """From the fewest bits per word to the most, and who has no such number."""
    own = runs.drop_nulls("bits_per_word")
    if len(own) < 2:
        return ""
    low, high = _ends(own, "bits_per_word")
    least, most = (f"{row['bits_per_word']:.2f}" for row in (low, high))
    said = f"Held-out text costs from {least} bits per word ({low['run']}) to {most} ({high['run']})"
    masked = runs.filter(~pl.col("next_token") & pl.col("dev_loss").is_not_null())["run"].to_list()
    if not masked:
        return f"{said}."
    return f"{said}; {enumerated(masked)} {'has' if len(masked) == 1 else 'have'} no such number, as no next token is predicted."


def wrongs(pairs: pl.DataFrame) -> str:
    """How far the sets of paradigms that end wrong are the same."""
    known = pairs.filter((pl.col("size_first") > 0) & (pl.col("size_second") > 0))
    if known.is_empty():
        return ""
    if len(pairs) == 1:
        row = pairs.row(0, named=True)
        sizes = f"{row['size_first']} end wrong in {row['first']} and {row['size_second']} in {row['second']}"
        beside = f"where {row['expected']:.1f} would be by chance (p {probability(row['p'])})"
        return f"{sizes}; {row['both']} of them are the same, {beside}."
    both, chance, jaccard = (_mean(known, name) for name in ("both", "expected", "jaccard"))
    beyond = int((known["p_adjusted"] <= ALPHA).sum())
    return (
        f"Two runs share {both:.1f} of the paradigms that end wrong on average, where {chance:.1f} would be by chance "
        f"(Jaccard {decimals(jaccard)}); it is more than chance in {beyond} of {count(len(known), 'pair')} of runs "
        "(p, adjusted, at most .05)."
    )


def caveat(runs: pl.DataFrame, pairs: pl.DataFrame, spread: pl.DataFrame) -> str:
    """What the number of seeds lets one say, and what seeds of one run come to beside those of two."""
    single = runs.filter(pl.col("seeds") == 1)["run"].to_list()
    between = pairs["seeds_agree"].mean()
    if single:
        who = "Each run has" if len(single) == len(runs) else f"{listed(single)} {'has' if len(single) == 1 else 'have'}"
        said = f"{who} one seed, so that what differs between two runs includes what differs between two seeds of one run."
    else:
        said = "What differs between two runs includes what differs between seeds."
    if spread.is_empty():
        return f"{said} How large that is these runs cannot say; runs with several seeds can be named as a yardstick (--yardstick)."
    inside = _mean(spread, "agreement")
    outside = "" if between is None else f", seeds of two different runs in {percent(float(between))}"  # type: ignore[arg-type]
    return (
        f"{said} The yardstick: two seeds of one run get the same verdict in {percent(inside)} of paradigms "
        f"({count(len(spread), 'run')} with several seeds){outside}."
    )


def groups(wrong: Mapping[str, Sequence[str]], runs: Sequence[str]) -> list[dict[str, Any]]:
    """Paradigms by how many runs they end wrong in, from all to one: title and (paradigm, which runs)."""
    found = []
    for size in range(len(runs), 0, -1):
        own = [(paradigm, _which(those, runs)) for paradigm, those in wrong.items() if len(those) == size]
        if own or size in (1, len(runs) - 1, len(runs)):
            found.append({"title": _title(size, len(runs)), "paradigms": own})
    return found


def _title(size: int, runs: int) -> str:
    if size == runs:
        return "In both runs" if runs == 2 else f"In all {runs} runs"
    if size == 1:
        return "In one run only"
    return "In all runs but one" if size == runs - 1 else f"In {size} runs"


def _which(those: Sequence[str], runs: Sequence[str]) -> str:
    """The runs, or those that are not among them where these are fewer; nothing for all."""
    others = [run for run in runs if run not in those]
    if not others:
        return ""
    return ", ".join(those) if len(those) <= len(others) else f"not in {', '.join(others)}"


def percent(share: float) -> str:
    """In whole percent."""
    return f"{100 * share:.0f} %"


def _mean(frame: pl.DataFrame, name: str) -> float:
    return float(frame[name].mean())  # type: ignore[arg-type]


def _ends(runs: pl.DataFrame, name: str) -> list[dict[str, Any]]:
    """The rows with the least and the most."""
    ordered = runs.sort(name, "run")
    return [ordered.row(0, named=True), ordered.row(-1, named=True)]


def _get(number: int) -> str:
    return "gets" if number == 1 else "get"

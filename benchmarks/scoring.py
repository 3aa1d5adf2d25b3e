"""Scoring a suite of minimal pairs: this package, a careful plain loop, minicons and lm-evaluation-harness.

    python -m benchmarks scoring --size S --suite data/blimp/data --rounds 3

In float32, with the same weights, tokenizer, pairs and number of threads.  A turn is a fresh process; its seconds run from the
model's folder to all log-probabilities, after two pairs to warm up.  What is saved by sharing beginnings grows with the number of
pairs, so that ratios of a part (`--pairs`) are not those of the whole suite.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import inputs, turns
from benchmarks.agreement import CLOSE, DECIDED, compare
from benchmarks.contestants import OURS, PLAIN, SCORING
from benchmarks.inputs import Inputs
from benchmarks.options import say
from benchmarks.results import Mark, Result
from benchmarks.turns import Job, Turns, spread

MARKS = {("S", PLAIN): 2.0, ("M", PLAIN): 1.8, "minicons": 3.0, "lm-eval": 5.0}  # times as fast, on all of BLiMP
MEMORY = 1536  # MiB, of size M
OUTSIDE = 0.05  # share of a second checkpoint's time that is not the model's
SEVERAL = 20  # pairs that are named in the table's notes


def options(parser: argparse.ArgumentParser) -> None:
    """Of this command alone."""
    parser.add_argument("--contestants", nargs="+", choices=SCORING, default=list(SCORING), help="who takes part; we always do")


def run(asked: argparse.Namespace, work: Path) -> list[tuple[str, Result]]:
    """A result for each size."""
    return [(f"scoring-{size}", measure(asked, inputs.of(asked, size, work), work)) for size in asked.size]


def measure(asked: argparse.Namespace, given: Inputs, work: Path) -> Result:
    """All rounds of one size."""
    here = [name for name in SCORING if name in {OURS, PLAIN, *asked.contestants} and SCORING[name].here]
    missing = [name for name in asked.contestants if not SCORING[name].here]
    rounds = {name: min(asked.rounds, asked.peer_rounds) if SCORING[name].slow else asked.rounds for name in here}

    def take(name: str, number: int) -> turns.Facts:
        folders = given.checkpoints if name == OURS else given.checkpoints[:1]
        job = Job(name, "score", asked.threads, str(work), tuple(map(str, folders)), str(given.pairs), device=asked.device)
        return turns.apart(job)

    found = turns.play(rounds, take, say, "seconds", asked.seed)
    agreements = agree(found, given)
    notes = remarks(found, given, agreements) + [f"not installed: {name}" for name in missing]
    costs = {name: {n: without_files(facts) for n, facts in rounds.items()} for name, rounds in found.rounds.items()}
    data = {"inputs": given.facts, "rounds": costs, "agreement": agreements}
    title = f"Scoring, size {given.size}: {given.facts['pairs']:,} pairs, {asked.threads} threads"
    return Result(title, [cost_table(found, agreements), *again_table(found)], notes, marks(found, given, agreements), data)


def without_files(facts: turns.Facts) -> turns.Facts:
    """What a turn cost, without the places of its numbers, which are gone when the command ends."""
    return {name: value for name, value in facts.items() if not name.startswith("scores")}


def agree(found: Turns, given: Inputs) -> dict[str, Any]:
    """Each contestant's first numbers against the plain loop's."""
    pairs, scores = given.load_pairs(), {}
    for name, rounds in found.rounds.items():
        scores[name] = np.load(rounds[min(rounds)]["scores"])
    reference = scores.get(PLAIN)
    if reference is None:
        return {}
    return {name: compare(own, reference).named(pairs, own, reference) for name, own in scores.items() if name != PLAIN}


def cost_table(found: Turns, agreements: dict[str, Any]) -> str:
    """A contestant a row, the fastest first."""
    rows = []
    for name in sorted(found.rounds, key=lambda name: statistics.median(found.of(name, "seconds"))):
        agreed = agreements.get(name)
        rows.append(
            [
                name if name != OURS else f"**{name}**",
                SCORING[name].how,
                spread(found.of(name, "seconds"), 1),
                spread(found.ratios(name, OURS, "seconds")),
                spread(found.ratios(name, OURS, "processor")),
                f"{max(found.of(name, 'peak')):,.0f}",
                f"{agreed['largest']:.1e}" if agreed else "reference",
                f"{len(agreed['flipped'])} + {len(agreed['near'])}" if agreed else "reference",
            ]
        )
    header = ["contestant", "how", "seconds", "x ours", "x ours, processor time", "peak MiB", "nats off", "decided otherwise"]
    return turns.table(header, rows)


def again_table(found: Turns) -> list[str]:
    """Our second checkpoint."""
    if not found.of(OURS, "seconds again"):
        return []
    shares = [spread([100 * x for x in found.of(OURS, f"share outside the {what} again")], 1) for what in ("modules", "passes")]
    header = ["our second checkpoint", "seconds", "% outside the model's modules", "% outside its passes"]
    return [turns.table(header, [["", spread(found.of(OURS, "seconds again"), 1), *shares]])]


def marks(found: Turns, given: Inputs, agreements: dict[str, Any]) -> list[Mark]:
    """What was set out to be reached."""
    told = []
    for name in found.rounds:
        wanted = MARKS.get((given.size, name), MARKS.get(name))
        ratios = found.ratios(name, OURS, "seconds")
        if wanted and ratios:
            told.append(Mark(f"{name}'s seconds over ours", statistics.median(ratios), wanted))
    for name, agreed in agreements.items():
        told.append(Mark(f"{name}: nats off", agreed["largest"], CLOSE, least=False))
        flipped = f"{name}: pairs with a margin above {DECIDED:g} decided otherwise"
        told.append(Mark(flipped, len(agreed["flipped"]), 0, least=False))
    if given.size == "M" and (peaks := found.of(OURS, "peak")):
        told.append(Mark("our peak memory, MiB", max(peaks), MEMORY, least=False))
    if outside := found.of(OURS, "share outside the passes again"):
        share = statistics.median(outside)
        told.append(Mark("second checkpoint: share of time outside the model's passes", share, OUTSIDE, least=False))
    return told


def remarks(found: Turns, given: Inputs, agreements: dict[str, Any]) -> list[str]:
    """What a reader should know."""
    notes = [
        "a pass is the model's modules, log-softmax and picking out the scored tokens; outside it are opening the folder, hashing "
        "the weights, batching and summing",
        f"decided otherwise than by the plain loop: pairs with a margin above {DECIDED:g} + pairs with a smaller one",
    ]
    if ways := {facts["way"] for facts in found.rounds.get(OURS, {}).values()}:
        notes.append(f"our way: {', '.join(sorted(ways))}")
    if given.facts["pairs_of_a_paradigm"] != "all":
        notes.append(
            f"only {given.facts['pairs_of_a_paradigm']} pairs of each paradigm: fewer sentences share a beginning, and opening the "
            "model weighs more; ratios of all pairs are others"
        )
    for name, agreed in agreements.items():
        for paradigm, pair, own, other in agreed["decided_otherwise"][:SEVERAL]:
            notes.append(f"decided otherwise by {name}: {paradigm} {pair}, margin {own:.2e} (plain loop {other:.2e})")
        if (more := len(agreed["decided_otherwise"]) - SEVERAL) > 0:
            notes.append(f"... and {more} more of {name}, in the JSON file")
    return notes

"""Training: this package, a bare compiled loop, and transformers' Trainer, each in float32 and in bfloat16.

    python -m benchmarks training --size M --rounds 3

The same model, batches of 32 x 128 tokens, AdamW and threads.  A turn is a fresh process that trains until its pace is known: after
`--warm-up` steps, for `--seconds` or to 200 steps.  Ours is a run's own training: it chooses its engine as for one epoch over ten
million words, and its time to the first step has the run's beginning in it, step 0's checkpoint included.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from benchmarks import inputs, turns
from benchmarks.contestants import COMPILED, OURS, TRAINING
from benchmarks.inputs import Inputs
from benchmarks.options import say
from benchmarks.results import Mark, Result
from benchmarks.turns import Job, Turns, spread

OVER_TRAINER = {"S": 1.6, "M": 1.1}  # times the rate of Trainer in bfloat16
OVER_LOOP = 0.97  # of the rate of the faster bare compiled loop


def options(parser: argparse.ArgumentParser) -> None:
    """Of this command alone."""
    parser.add_argument("--trainers", nargs="+", choices=TRAINING, default=list(TRAINING), help="who takes part; we always do")
    parser.add_argument("--warm-up", type=int, default=3, help="steps before the rate is measured")
    parser.add_argument("--seconds", type=float, default=20.0, help="that a rate is measured over; one step at least")
    parser.add_argument("--steps", type=int, default=inputs.STEPS, help=f"at most, warm-up included (to {inputs.STEPS})")


def run(asked: argparse.Namespace, work: Path) -> list[tuple[str, Result]]:
    """A result for each size."""
    return [(f"training-{size}", measure(asked, inputs.of(asked, size, work), work)) for size in asked.size]


def measure(asked: argparse.Namespace, given: Inputs, work: Path) -> Result:
    """All rounds of one size."""
    here = [name for name in TRAINING if (name == OURS or name in asked.trainers) and TRAINING[name].here]

    def take(name: str, number: int) -> turns.Facts:
        job = Job(
            name,
            "train",
            asked.threads,
            str(work),
            (str(given.fresh),),
            batches=str(given.batches),
            run=str(given.run),
            device=asked.device,
            warm_up=asked.warm_up,
            seconds=asked.seconds,
            most_steps=min(asked.steps, inputs.STEPS),
        )
        return turns.apart(job)

    found = turns.play(dict.fromkeys(here, asked.rounds), take, say, "tokens/s", asked.seed)
    engines = sorted({facts["engine"] for facts in found.rounds.get(OURS, {}).values()})
    notes = [f"our engine: {', '.join(engines)}"] if engines else []
    data = {"inputs": given.facts, "rounds": found.rounds}
    title = f"Training, size {given.size}: batches of 32 x 128 tokens, {asked.threads} threads"
    return Result(title, [cost_table(found)], notes, marks(found, given.size), data)


def cost_table(found: Turns) -> str:
    """A contestant a row, the fastest first."""
    rows = [
        [
            name if name != OURS else f"**{name}**",
            TRAINING[name].how,
            spread(found.of(name, "tokens/s"), 0),
            spread(found.ratios(OURS, name, "tokens/s")),
            spread(found.ratios(OURS, name, "tokens/processor s")),
            spread(found.of(name, "first step"), 1),
            str(min(map(int, found.of(name, "steps")))),
            f"{max(found.of(name, 'peak')):,.0f}",
        ]
        for name in sorted(found.rounds, key=lambda name: -statistics.median(found.of(name, "tokens/s")))
    ]
    header = [
        "contestant",
        "how",
        "tokens/s",
        "ours over it",
        "ours over it, processor time",
        "s to first step",
        "steps",
        "peak MiB",
    ]
    return turns.table(header, rows)


def marks(found: Turns, size: str) -> list[Mark]:
    """What was set out to be reached."""
    told = []
    if size in OVER_TRAINER and (ratios := found.ratios(OURS, "Trainer, bfloat16", "tokens/s")):
        told.append(Mark("our rate over Trainer's in bfloat16", statistics.median(ratios), OVER_TRAINER[size]))
    loops = {
        name: ratios for name in found.rounds if name.startswith(COMPILED) and (ratios := found.ratios(OURS, name, "tokens/s"))
    }
    if loops:
        faster = min(loops, key=lambda name: statistics.median(loops[name]))
        told.append(Mark(f"our rate over that of the faster {COMPILED} ({faster})", statistics.median(loops[faster]), OVER_LOOP))
    return told

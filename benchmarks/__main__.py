"""`python -m benchmarks COMMAND`: this package beside others, in one run on one machine, and what its own choices cost.

Run it from the checkout's root.  The peers: pip install -e '.[benchmarks]' -c constraints.txt
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import machine, results
from benchmarks.options import common, say

COMPARISONS = {
    "scoring": "minimal pairs: ours, a plain loop, minicons, lm-eval",
    "training": "ours, a compiled loop, transformers' Trainer",
    "projection": "what scoring 25 checkpoints adds to a training, from measured rates",
    "epoch": "a whole run: an epoch of training and 25 checkpoints scored",
    "agree": "which settings give other tools' numbers",
    "floor": "what bare arithmetic would leave of the seconds of scoring",
    "gpu": "opt-125m's rate and all of BLiMP on a GPU",
}
OWN = {
    "ngrams": "exact n-gram counts beside other engines",
    "engine": "memory kept or handed back, float32 or bfloat16",
    "settled": "pairs that reading until settled takes, and its errors",
    "weighted": "what it would take with a memory of earlier checkpoints",
    "coverage": "how often intervals over seeds and clusters hold the truth",
    "ways": "every way to a model's numbers",
    "faults": "inputs with one thing wrong: an error for people, or taken; never a traceback or a hang",
    "relaxation": "what is left of an early error: a study's tables and figure from its committed curves",
    "crossover": "what is left at the end of an early edit, from a study of two forks",
    "stream": "a run's checkpoints served as Pythia, OLMo 2 and BabyLM, opened in a stream: the disk's high-water mark",
    "instruments": "seconds and memory of each instrument at one checkpoint",
    "reading": "the known marks of reading times under n-grams of words",
    "scheduling": "what engines add to pieces of work: local, Ray with two nodes, submitit's executor",
    "kills": "workers and coordinators killed at random: pieces of work lost or done twice",
    "explorer": "how fast the explorer starts on 200 runs and answers a click at 67 paradigms x 10,000 checkpoints",
    "growth": "a run of 10,000 checkpoints, 1,000 runs, a million pairs, a thousand million tokens",
    "watch": "what a Watch costs a training of transformers' Trainer",
}


def main(words: list[str] | None = None) -> int:
    """Reads the command line; 1 if a mark was missed."""
    asked = parser().parse_args(words)
    if asked.command in OWN:
        return int(import_module(f"benchmarks.{asked.command}").run(asked) or 0)
    about = machine.describe()
    if warned := machine.warning(about):
        say(warned)
    with tempfile.TemporaryDirectory() as temporary:
        work = (asked.work or Path(temporary)).resolve()  # turns start elsewhere
        work.mkdir(parents=True, exist_ok=True)
        names = ("scoring", "training", "agree") if asked.command == "all" else (asked.command,)
        kept: dict[str, results.Result] = {}
        for name in names:
            for title, result in import_module(f"benchmarks.{name}").run(asked, work):
                kept[title] = result
                results.write(asked.out, title, result, command(words), about)
        if asked.command == "all":
            for title, result in projections(asked, kept, work):
                kept[title] = result
                results.write(asked.out, title, result, command(words), about)
    missed = [str(mark) for result in kept.values() for mark in result.marks if not mark.met]
    print("\n".join(missed) if missed else "every mark is met")
    return int(bool(missed))


def projections(asked: argparse.Namespace, kept: dict[str, results.Result], work: Path) -> list[tuple[str, results.Result]]:
    """From what `scoring` and `training` have just measured."""
    from benchmarks import inputs, projection
    from benchmarks.contestants import OURS
    from benchmarks.turns import Turns

    found = []
    for size in asked.size:
        scoring, training = (Turns(kept[f"{name}-{size}"].data["rounds"]) for name in ("scoring", "training"))
        given = inputs.of(asked, size, work)
        result = projection.result(training, OURS, OURS, given, projection.CHECKPOINTS, scoring)
        found.append((f"projection-{size}", result))
    return found


def parser() -> argparse.ArgumentParser:
    """Commands and their options; what a command needs is imported only when it runs."""
    whole = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, formatter_class=Plain)
    commands: Any = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, about in COMPARISONS.items():
        module = import_module(f"benchmarks.{name}")
        one = commands.add_parser(name, help=about, description=module.__doc__, formatter_class=Plain)
        common(one, SIZES.get(name, ("S", "M")))
        module.options(one)
    every = commands.add_parser("all", help="scoring, training, agree and the projection, sizes S and M", formatter_class=Plain)
    common(every, ("S", "M"))
    for name in ("scoring", "training", "agree"):
        import_module(f"benchmarks.{name}").options(every)
    for name, about in OWN.items():
        module = import_module(f"benchmarks.{name}")
        module.options(commands.add_parser(name, help=about, description=module.__doc__, formatter_class=Plain))
    return whole


SIZES = {"agree": ("S",), "gpu": ("L",), "projection": ("M",), "epoch": ("M",)}


class Plain(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Help texts as they are written, with defaults."""


def command(words: list[str] | None) -> str:
    """What was typed."""
    return "python -m benchmarks " + shlex.join(sys.argv[1:] if words is None else words)


if __name__ == "__main__":
    sys.exit(main())

"""Contestants take turns: each turn a fresh process with the same threads, all of them once a round, in random order."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT

Facts = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One contestant's turn; plain values, as it goes to another process as JSON."""

    contestant: str  # its name in contestants.SCORING or TRAINING
    task: str  # score or train
    threads: int
    scratch: str  # a folder for this turn alone
    folders: tuple[str, ...] = ()  # model folders: checkpoints that are scored one after the other, or the one that is trained
    pairs: str = ""  # JSON: [[paradigm, pair, good, bad], ...]
    batches: str = ""  # .npy: token ids [steps, batch, context + 1]
    run: str = ""  # folder with the recipe and the tokenised text of a run of ours
    device: str = "cpu"
    leading_space: bool = False
    bos: bool = True
    precision: str = "float32"  # that ours scores in; the others know float32 alone
    warm_up: int = 3  # steps before the rate is measured
    seconds: float = 20.0  # the rate is measured over so many, but over one step at least ...
    most_steps: int = 200  # ... and over no more steps than these, warm-up included
    spawned: float = 0.0  # time.time() when the process was asked for


@dataclass
class Turns:
    """What each contestant's turns cost, by round."""

    rounds: dict[str, dict[int, Facts]] = field(default_factory=dict)

    def add(self, name: str, number: int, facts: Facts) -> None:
        """Keeps a turn."""
        self.rounds.setdefault(name, {})[number] = facts

    def of(self, name: str, what: str) -> list[float]:
        """One number of each of a contestant's turns."""
        return [facts[what] for facts in self.rounds.get(name, {}).values() if what in facts]

    def ratios(self, name: str, other: str, what: str) -> list[float]:
        """`name`'s number over `other`'s, in each round that both took part in."""
        one, two = self.rounds.get(name, {}), self.rounds.get(other, {})
        both = [n for n in one if n in two and what in one[n] and what in two[n]]
        return [one[n][what] / two[n][what] for n in both]


def play(
    rounds: Mapping[str, int], take: Callable[[str, int], Facts], say: Callable[[str], None], shown: str, seed: int = 0
) -> Turns:
    """Each contestant's turns, as many as `rounds` has for it, telling the fact `shown`.  Who fails is named and plays no more."""
    found, out = Turns(), set[str]()
    for number, name in order(rounds, seed):
        if name in out:
            continue
        began = time.monotonic()
        try:
            facts = take(name, number)
        except RuntimeError as error:
            out.add(name)
            say(f"left out: {name}: {error}")
            continue
        found.add(name, number, facts)
        took = time.monotonic() - began
        say(f"round {number + 1}/{max(rounds.values())}  {name:28} {shown} {facts[shown]:,.1f}  (the turn took {took:.0f} s)")
    return found


def order(rounds: Mapping[str, int], seed: int) -> Iterator[tuple[int, str]]:
    """(round, contestant): each round in an order of its own."""
    dice = random.Random(seed)
    for number in range(max(rounds.values(), default=0)):
        names = [name for name, most in rounds.items() if number < most]
        for name in dice.sample(names, len(names)):
            yield number, name


def apart(job: Job) -> Facts:
    """The job in a process of its own.  Raises RuntimeError with its last words if it fails."""
    threads = str(job.threads)
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS"), threads)
    quiet = {"TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TQDM_DISABLE": "1"}
    with tempfile.TemporaryDirectory(dir=job.scratch) as scratch:
        told = Path(scratch) / "told.json"
        asked = asdict(job) | {"scratch": scratch, "spawned": time.time()}
        command = [sys.executable, "-m", "benchmarks.turn", json.dumps(asked), str(told)]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **limits, **quiet}, capture_output=True, text=True, check=False)
        if done.returncode or not told.exists():
            words = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
            raise RuntimeError(words[-1][:500])
        facts: Facts = json.loads(told.read_text(encoding="utf-8"))
    return facts


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, and the range where there is one: 3.10 (2.98 to 3.25)."""
    if not values:
        return "-"
    middle = f"{statistics.median(values):,.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

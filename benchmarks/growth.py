"""How what people wait for grows: a run of 10,000 checkpoints, 1,000 runs in a folder, a million pairs, a thousand million tokens.

    python -m benchmarks growth [--part long many pairs tokens]

- `long`: a made run of 67 paradigms and three seeds, read by two instruments: `show`, `list`, `verdicts` from its tables of pairs'
  scores, the page.
- `many`: `list` over 1,000 runs.
- `pairs`: a suite of a million pairs (`--suite`, BLiMP's, each with another word in its place) read, tokenised and planned for one
  pass of a model whose tokenizer is at `--model`.
- `tokens`: n-grams up to three counted in a text that repeats `--stream` (a run's tokens/train.bin), one token in twenty another.

Each in a process of its own: seconds by the clock and of processors, and its peak memory, beside the mark.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.explorer import made_run
from benchmarks.options import say

GB = 2**30
NOISE = 0.05  # share of tokens that are another
PART = 2**24  # tokens written at a time


def options(parser: argparse.ArgumentParser) -> None:
    """What, and how much of it."""
    parser.add_argument("--part", nargs="+", choices=list(PARTS), default=["long", "many"])
    parser.add_argument("--checkpoints", type=int, default=10_000)
    parser.add_argument("--pairs-each", type=int, default=10, help="pairs a paradigm in the long run's tables of scores")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--suite", type=Path, help="a folder of BLiMP's files")
    parser.add_argument("--model", type=Path, help="a folder with a tokenizer")
    parser.add_argument("--tokens", type=int, default=1_000_000_000)
    parser.add_argument("--stream", type=Path, help="a run's tokens/train.bin (16 bits a token)")


def run(asked: argparse.Namespace) -> int:
    """Prints a line each; 1 if a mark was missed."""
    with tempfile.TemporaryDirectory() as temporary:
        return int(max(PARTS[part](asked, Path(temporary)) for part in asked.part))


def measured(what: str, seconds: float, memory: float, work: list[str] | Callable[[], Any]) -> bool:
    """Does it in a process of its own, and prints what it took; True if a mark was missed by clock and processor both."""
    begun = time.perf_counter()
    if not (child := os.fork()):
        status = 1
        with contextlib.suppress(BaseException), open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device
            if isinstance(work, list):
                status = subprocess.run([sys.executable, "-m", "ontogeny", *work], stdout=nowhere, check=False).returncode
            else:
                work()
                status = 0
        os._exit(status)
    _, status, used = os.wait4(child, 0)
    wall, processor, peak = time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
    failed = os.waitstatus_to_exitcode(status) != 0
    missed = min(wall, processor) > seconds or peak > memory or failed
    said = "failed" if failed else "missed" if missed else "met"
    took, mark = f"{wall:7.2f} s, processor {processor:7.2f} s, {peak / GB:5.2f} GB", f"{seconds:g} s, {memory / GB:g} GB"
    print(f"{what:44} {took}; at most {mark}: {said}", flush=True)
    return missed


def long(asked: argparse.Namespace, folder: Path) -> bool:
    """One run of many checkpoints."""
    path = made_run(folder / "long" / "long", asked.checkpoints, pairs=asked.pairs_each, seeds=3, read=True)
    say(f"made: {sum(1 for _ in path.rglob('*')):,} files")
    missed = measured(f"show, {asked.checkpoints:,} checkpoints", 1, GB, ["show", str(path)])
    missed |= measured("list", 1, GB, ["list", "--runs", str(path.parent)])
    missed |= measured("page", 60, 2 * GB, ["report", str(path)])
    size = (path / "report" / "index.html").stat().st_size
    print(f"{'the page':44} {size / 2**20:.1f} MB; at most 5 MB: {'met' if size <= 5 * 2**20 else 'missed'}", flush=True)
    missed |= size > 5 * 2**20
    for table in (path / "verdicts.parquet", path / "curves.parquet"):
        table.unlink()
    return missed | measured("verdicts, from scores", 30, GB, ["verdicts", str(path)])


def many(asked: argparse.Namespace, folder: Path) -> bool:
    """Many runs."""
    first = made_run(folder / "many" / "run-0000", 30, pairs=5, paradigms=5)
    for number in range(1, asked.runs):
        shutil.copytree(first, first.with_name(f"run-{number:04d}"), copy_function=os.link)
    return measured(f"list, {asked.runs:,} runs", 2, GB, ["list", "--runs", str(folder / "many")])


def pairs(asked: argparse.Namespace, folder: Path) -> bool:
    """Many pairs."""
    file, chance = folder / "pairs.jsonl", random.Random(0)
    rows = [json.loads(line) for part in sorted(asked.suite.glob("*.jsonl")) for line in part.open(encoding="utf-8")]
    words = [word for row in rows[::50] for word in row["sentence_good"].split()]
    with file.open("w", encoding="utf-8") as out:
        for number in range(asked.pairs):
            row, word, place = rows[number % len(rows)], chance.choice(words), chance.randrange(2)
            good, bad = (row[f"sentence_{side}"].split() for side in ("good", "bad"))
            good[place] = bad[place] = word
            same = " no" if good == bad else ""
            own = {"paradigm": row["UID"], "pair": str(number), "good": " ".join(good), "bad": " ".join(bad) + same}
            out.write(json.dumps(own) + "\n")

    def planned() -> None:
        from transformers import AutoTokenizer

        from ontogeny.scoring import plan
        from ontogeny.suites.table import Table

        tokenizer = AutoTokenizer.from_pretrained(asked.model)
        plan.make(list(Table(path=file).pairs()), tokenizer, tokenizer.bos_token_id, 128)

    return measured(f"{asked.pairs:,} pairs read and planned", 120, 2 * GB, planned)


def noisy(stream: Path, out: Path, tokens: int) -> int:
    """Writes so many tokens, the stream's again and again with some of them another; the size of its vocabulary."""
    ids, random_ = np.fromfile(stream, dtype=np.uint16), np.random.default_rng(0)
    vocabulary = int(ids.max()) + 1
    with out.open("wb") as file:
        for begin in range(0, tokens, PART):
            part = np.resize(np.roll(ids, -begin), min(PART, tokens - begin))
            other = random_.random(len(part)) < NOISE
            part[other] = random_.integers(0, vocabulary, other.sum())
            part.tofile(file)
    return vocabulary


def tokens(asked: argparse.Namespace, folder: Path) -> bool:
    """A long text."""
    file = folder / "ids.bin"
    vocabulary = noisy(asked.stream, file, asked.tokens)  # whose memory is free again before the process parts

    def counted() -> None:
        from ontogeny.ngrams import index

        ids = np.memmap(file, dtype=np.uint16, mode="r")
        index.build(folder / "index", ids, vocabulary, None, order=3, memory=GB, workers=os.cpu_count() or 1)

    return measured(f"{asked.tokens:,} tokens counted to 3-grams", 600, 4 * GB, counted)


PARTS: dict[str, Callable[[argparse.Namespace, Path], bool]] = {"long": long, "many": many, "pairs": pairs, "tokens": tokens}

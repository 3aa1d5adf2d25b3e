"""One whole run, nothing projected: an epoch of training, its 25 checkpoints scored on all pairs, then again until settled.

    python -m benchmarks epoch --size M --precision bfloat16 --out benchmarks/results

Three commands of the package, each timed from its start to its end: `ontogeny train`, `ontogeny score`, and `ontogeny score` for a
copy of the run that reads until settled (--no-settled leaves it out).  They take an hour and more: with --work, what has ended is
not done again when the command is given once more.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import turns
from benchmarks.inputs import SIZES, Size
from benchmarks.options import say
from benchmarks.projection import SETTLED, SHARE
from benchmarks.results import Mark, Result
from ontogeny import store
from ontogeny.store import RunFolder

RECIPE = """
name: {name}
corpus: {{kind: text, path: {text}}}
tokenizer: {{kind: bpe, vocab_size: {vocabulary}}}
model: {{kind: opt, size: {size}}}
training: {{context: 128, batch: 32, epochs: 1, learning_rate: 2e-3, schedule: cosine, warmup: 0.05}}
checkpoints: {{kind: shares, shares: {shares}}}
suites: [{{kind: blimp, path: {suite}}}]
scoring: {{live: false, precision: {precision}, until: {until}}}
"""
SHARES = [2.0**-k for k in range(12, 4, -1)] + [k / 16 for k in range(1, 17)]  # and step 0: 25 checkpoints
STAGES = ("train", "score", "settled")


def options(parser: argparse.ArgumentParser) -> None:
    """The text is ten million words unless told otherwise."""
    parser.set_defaults(text=Path("data/babylm/train_10M"))
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of scoring, as scoring.precision")
    parser.add_argument("--settled", action=argparse.BooleanOptionalAction, default=True, help="score once more, until settled")


def run(asked: argparse.Namespace, work: Path) -> list[tuple[str, Result]]:
    """A result for each size."""
    rounded = "" if asked.precision == "float32" else f"-{asked.precision}"
    return [(f"epoch{rounded}-{size}", measure(asked, size, work / f"epoch{rounded}-{size}")) for size in asked.size]


def measure(asked: argparse.Namespace, size: Size, work: Path) -> Result:
    """The stages that have not ended yet, and what they took."""
    work.mkdir(parents=True, exist_ok=True)
    known = work / "seconds.json"
    seconds: dict[str, float] = store.read_json(known) if known.exists() else {}
    for stage in STAGES if asked.settled else STAGES[:2]:
        if stage not in seconds:
            seconds[stage] = take(asked, size, work, stage)
            store.write_json(known, seconds)
            say(f"{size}: {stage} took {seconds[stage] / 60:.1f} minutes")
    return result(
        size, asked.threads, asked.precision, seconds, *(facts(RunFolder(work / stage)) for stage in STAGES[1:] if stage in seconds)
    )


def take(asked: argparse.Namespace, size: Size, work: Path, stage: str) -> float:
    """Seconds of a stage, begun anew.  Its run is the folder `score` or `settled` below `work`."""
    name = "settled" if stage == "settled" else "score"
    recipe, folder = work / f"{name}.yaml", work / name
    said = {"text": asked.text.resolve(), "suite": asked.suite.resolve(), "vocabulary": asked.vocabulary, "size": SIZES[size]}
    until = "settled" if name == "settled" else "all"
    recipe.write_text(RECIPE.format(name=name, shares=SHARES, precision=asked.precision, until=until, **said), encoding="utf-8")
    spent = 0.0
    if stage == "score":
        for scores in folder.glob("seed-*/scores"):
            shutil.rmtree(scores)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        if stage == "settled":
            shutil.copytree(work / "score", folder, ignore=shutil.ignore_patterns("scores"))
        spent = command(asked.threads, "train", str(recipe), "--runs", str(work))  # a copy takes the recipe over and trains nothing
    return spent if stage == "train" else command(asked.threads, "score", str(folder))


def command(threads: int, *words: str) -> float:
    """Seconds of `ontogeny WORDS`.  Raises RuntimeError with its last words if it fails."""
    began = time.monotonic()
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    call = [sys.executable, "-m", "ontogeny", *words]
    done = subprocess.run(call, env={**os.environ, **limits}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError("\n".join(done.stderr.strip().splitlines()[-5:]) or f"ended with {done.returncode}")
    return time.monotonic() - began


@dataclass(frozen=True)
class Read:
    """What a run says of itself once its checkpoints were scored."""

    tokens: int
    checkpoints: int
    pairs: int  # read, over all checkpoints
    engine: dict[str, Any]
    rounding: dict[str, float]  # what bfloat16 cost at the checkpoint that was read last; empty for float32


def facts(folder: RunFolder) -> Read:
    """Of the one seed and suite that the runs here have."""
    (seed,), (suite,) = folder.seeds(), folder.suites()
    tables = [folder.scores(seed, suite, step) for step in folder.scored(seed, suite)]
    lineage = folder.lineage()
    return Read(
        tokens=int(store.read_table(folder.losses(seed))["tokens"][-1]),
        checkpoints=len(tables),
        pairs=sum(store.read_table(table).height for table in tables),
        engine=lineage["engine"],
        rounding=lineage["suites"][suite].get("bfloat16", {}),
    )


def result(size: str, threads: int, precision: str, seconds: dict[str, float], whole: Read, settled: Read | None = None) -> Result:
    """Shares of the time of training, and of that of reading all pairs."""
    header, row = ["training, minutes", f"scoring {whole.checkpoints} checkpoints", "% on top"], []
    share = seconds["score"] / seconds["train"]
    row += [f"{seconds['train'] / 60:.1f}", f"{seconds['score'] / 60:.1f}", f"{100 * share:.0f}"]
    marks = [Mark(f"scoring {whole.checkpoints} checkpoints over training", share, SHARE, least=False)]
    if settled is not None:
        cost = seconds["settled"] / seconds["score"]
        header += ["until settled, minutes", "% of scoring all", "% of all pairs", "% on top of training"]
        row += [f"{seconds['settled'] / 60:.1f}", f"{100 * cost:.0f}", f"{100 * settled.pairs / whole.pairs:.1f}"]
        row += [f"{100 * share * cost:.0f}"]
        marks.append(Mark("until settled over all pairs, seconds", cost, SETTLED, least=False))
    notes = [
        f"an epoch of {whole.tokens:,} tokens: {whole.tokens / seconds['train']:,.0f} a second over the whole command, "
        f"text, tokenizer, trial and checkpoints in it; the way of training that it chose: {json.dumps(whole.engine)}",
        f"{whole.checkpoints} checkpoints of {whole.pairs // whole.checkpoints:,} pairs, {precision}: "
        f"{seconds['score'] / whole.checkpoints:.1f} s each with all that `ontogeny score` does",
    ]
    if error := whole.rounding:
        notes.append(
            f"bfloat16 at the checkpoint that was scored last: on {error['pairs']} pairs a sentence is off by up to "
            f"{error['largest_error']:.2g} nats, and {error['flipped']} are decided otherwise than in float32"
        )
    data = {"threads": threads, "precision": precision, "seconds": seconds, "whole": asdict(whole)}
    data |= {} if settled is None else {"settled": asdict(settled)}
    return Result(f"A run of size {size}, whole", [turns.table(header, [row])], notes, marks, data)

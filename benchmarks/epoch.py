"""One whole run, nothing projected: an epoch of training and its 25 checkpoints scored on all pairs; some of them until settled.

    python -m benchmarks epoch --size M --precision bfloat16 --out benchmarks/results

Two commands of the package, each timed from its start to its end: `ontogeny train`, then `ontogeny score`.  After them `--settled`
checkpoints, spread evenly over the run, are read in this process, each on all pairs and then until settled, as the run would have
read it.  It takes an hour and more: with --work, what has ended is not done again when the same command is given once more.
There is one round, and no other contestant.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import turns
from benchmarks.inputs import SIZES, Size
from benchmarks.options import say
from benchmarks.projection import SETTLED, SHARE
from benchmarks.results import Mark, Result
from ontogeny import disk
from ontogeny.readers import recipe_of
from ontogeny.recipe import Recipe
from ontogeny.records import Checkpoint
from ontogeny.scoring.reading import CheckpointReader, OpenedCheckpoint, ask, open_model
from ontogeny.store import RunFolder
from ontogeny.tokens.pretrained import open_tokenizer
from ontogeny.training.engine import find_device, keep_memory

RECIPE = """
name: {name}
corpus: {{kind: text, path: {text}}}
tokenizer: {{kind: bpe, vocab_size: {vocabulary}}}
model: {{kind: opt, size: {size}}}
training: {{context: 128, batch: 32, epochs: 1, learning_rate: 2e-3, schedule: cosine, warmup: 0.05, device: {device}}}
checkpoints: {{kind: shares, shares: {shares}}}
suites: [{{kind: blimp, path: {suite}}}]
scoring: {{live: false, precision: {precision}, pairs_per_paradigm: {pairs}, device: {device}}}
"""
SHARES = [2.0**-k for k in range(12, 4, -1)] + [k / 16 for k in range(1, 17)]  # and step 0: 25 checkpoints


def options(parser: argparse.ArgumentParser) -> None:
    """The text is ten million words unless told otherwise."""
    parser.set_defaults(text=Path("data/babylm/train_10M"))
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of scoring, as scoring.precision")
    parser.add_argument("--settled", type=int, default=3, help="checkpoints that are read until settled, too")


def run(asked: argparse.Namespace, work: Path) -> list[tuple[str, Result]]:
    """A result for each size."""
    rounded = "" if asked.precision == "float32" else f"-{asked.precision}"
    return [(f"epoch{rounded}-{size}", measure(asked, size, work / f"epoch{rounded}-{size}")) for size in asked.size]


def measure(asked: argparse.Namespace, size: Size, work: Path) -> Result:
    """The stages that have not ended yet, and what they took."""
    folder, known = RunFolder(work / "run"), work / "seconds.json"
    text = recipe(asked, size, folder.name)
    told: dict[str, Any] = disk.read_json(known) if known.exists() else {}
    seconds: dict[str, float] = told["seconds"] if told.get("recipe") == text else {}
    for stage in ("train", "score"):
        if stage not in seconds:
            seconds[stage] = take(stage, text, folder, asked.threads)
            disk.write_json(known, {"recipe": text, "seconds": seconds})
            say(f"{size}: {stage} took {seconds[stage] / 60:.1f} minutes")
    both = settle(folder, work / "settled", asked.settled, asked.threads) if asked.settled else []
    found = result(size, asked.threads, asked.precision, seconds, facts(folder), both)
    found.notes += [f"with {asked.pairs} pairs of each paradigm only: not the shares of the whole suite"] if asked.pairs else []
    return found


def recipe(asked: argparse.Namespace, size: Size, name: str) -> str:
    """Of the run."""
    places = {"text": asked.text.resolve(), "suite": asked.suite.resolve()}
    how = {"precision": asked.precision, "pairs": asked.pairs or "null", "device": asked.device}
    return RECIPE.format(name=name, size=SIZES[size], vocabulary=asked.vocabulary, shares=SHARES, **places, **how)


def take(stage: str, text: str, folder: RunFolder, threads: int) -> float:
    """Seconds of a stage, begun anew."""
    if stage == "score":
        for scores in folder.path.glob("seed-*/scores"):
            shutil.rmtree(scores)
        return command(threads, "score", str(folder.path))
    shutil.rmtree(folder.path, ignore_errors=True)
    written = folder.path.with_suffix(".yaml")
    with disk.atomic(written) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return command(threads, "train", str(written), "--runs", str(folder.path.parent))


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
    pairs: int  # of a checkpoint
    engine: dict[str, Any]
    rounding: dict[str, float]  # what bfloat16 cost at the checkpoint that was read last; empty for float32


def facts(folder: RunFolder) -> Read:
    """Of the first seed and suite: the runs here have one of each."""
    seed, suite = folder.seeds()[0], folder.suites()[0]
    steps, lineage = folder.scored(seed, suite), folder.lineage()
    return Read(
        tokens=int(disk.read_table(folder.losses(seed))["tokens"][-1]),
        checkpoints=len(steps),
        pairs=disk.read_table(folder.scores(seed, suite, steps[-1])).height,
        engine=lineage["engine"],
        rounding=lineage["suites"][suite].get("bfloat16", {}),
    )


@dataclass(frozen=True)
class Both:
    """What a checkpoint cost, read on all pairs and read until settled."""

    step: int
    seconds: tuple[float, float]
    processor: tuple[float, float]  # seconds
    pairs: tuple[int, int]


def settle(folder: RunFolder, place: Path, count: int, threads: int) -> list[Both]:
    """Reads some checkpoints, but not the last, which is always read whole, in a copy of the run at `place`."""
    import torch

    torch.set_num_threads(threads)
    keep_memory()
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder.path, place, ignore=shutil.ignore_patterns("scores"))
    copy = RunFolder(place)
    whole, seed = recipe_of(copy), copy.seeds()[0]
    assert isinstance(whole, Recipe)  # it was trained here
    asked = [ask(suite, whole.scoring.pairs_per_paradigm) for suite in whole.suites]
    checkpoints = copy.checkpoints(seed)[:-1]
    reader = CheckpointReader(copy, whole, asked, find_device(whole.scoring.device), whole.training.context)
    first = checkpoints[0].folder
    reader.plan(asked[0], open_tokenizer(first), first, open_model(first))  # a run makes it once for all checkpoints
    found = []
    for number in np.linspace(0, len(checkpoints) - 1, count + 2).round().astype(int)[1:-1]:
        cost = [read(reader, seed, checkpoints[number], until) for until in ("all", "settled")]
        found.append(Both(checkpoints[number].step, *(tuple(both) for both in zip(*cost, strict=True))))
        say(f"step {found[-1].step:,}: {cost[0][0]:.1f} s for all pairs, {cost[1][0]:.1f} s until settled")
    return found


def read(reader: CheckpointReader, seed: int, checkpoint: Checkpoint, until: str) -> tuple[float, float, int]:
    """Wall clock and processor seconds of a reading from the beginning, and pairs."""
    (asked,), scoring = reader.asked, reader.observation.scoring
    reader.observation = reader.observation.model_copy(update={"scoring": scoring.model_copy(update={"until": until})})
    table = reader.folder.scores(seed, asked.name, checkpoint.step)
    table.unlink(missing_ok=True)
    wall, processor = time.perf_counter(), time.process_time()
    opened = OpenedCheckpoint(checkpoint.folder, reader.device)
    reader.read(seed, checkpoint, opened, [asked], lambda title, sentences: nullcontext(lambda n: None))
    return time.perf_counter() - wall, time.process_time() - processor, disk.read_table(table).height


def result(size: str, threads: int, precision: str, seconds: dict[str, float], run: Read, both: Sequence[Both] = ()) -> Result:
    """Shares of the time of training, and of that of reading all pairs."""
    share = seconds["score"] / seconds["train"]
    header = ["training, minutes", f"scoring {run.checkpoints} checkpoints", "% on top"]
    tables = [turns.table(header, [[f"{seconds['train'] / 60:.1f}", f"{seconds['score'] / 60:.1f}", f"{100 * share:.0f}"]])]
    marks = [Mark(f"scoring {run.checkpoints} checkpoints over training", share, SHARE, least=False)]
    if both:
        header = ["step", "seconds for all pairs", "until settled", "%", "%, processor time", "% of pairs"]
        rows = [[f"{one.step:,}", *(f"{spent:.1f}" for spent in one.seconds), *shares([one])] for one in both]
        together = [f"{sum(one.seconds[i] for one in both):.1f}" for i in (0, 1)]
        tables.append(turns.table(header, [*rows, ["together", *together, *shares(both)]]))
        marks.append(Mark("until settled over all pairs, seconds", over([one.seconds for one in both]), SETTLED, least=False))
    notes = [
        f"an epoch of {run.tokens:,} tokens: {run.tokens / seconds['train']:,.0f} a second over the whole command, "
        f"text, tokenizer, trial and checkpoints in it; the way of training that it chose: {json.dumps(run.engine)}",
        f"{run.checkpoints} checkpoints of {run.pairs:,} pairs, {precision}: "
        f"{seconds['score'] / run.checkpoints:.1f} s each with all that `ontogeny score` does",
    ]
    if error := run.rounding:
        notes.append(
            f"bfloat16 at the checkpoint that was scored last: on {error['pairs']} pairs a sentence is off by up to "
            f"{error['largest_error']:.2g} nats, and {error['flipped']} are decided otherwise than in float32"
        )
    data = {
        "threads": threads,
        "precision": precision,
        "seconds": seconds,
        "run": asdict(run),
        "settled": [asdict(one) for one in both],
    }
    return Result(f"A run of size {size}, whole", tables, notes, marks, data)


def over(costs: Sequence[tuple[float, float]]) -> float:
    """The second of all costs together over the first."""
    return sum(settled for _, settled in costs) / sum(whole for whole, _ in costs)


def shares(both: Sequence[Both]) -> list[str]:
    """Of seconds, of processor seconds, of pairs."""
    return [f"{100 * over([getattr(one, what) for one in both]):.1f}" for what in ("seconds", "processor", "pairs")]

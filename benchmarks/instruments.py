"""What instruments cost at one checkpoint: seconds and memory of each, on a run's own text and suites.

    python -m benchmarks instruments runs/babylm-small --random --treebank en_ewt-ud-dev.conllu
    python -m benchmarks instruments runs/babylm-small --random --with words reading samples priming dependence \
        --treebank en_ewt-ud-dev.conllu --table reading_data.csv

The run's newest checkpoint, or with --random an untrained OPT of 6 layers, width 256 and the same vocabulary.  Each is read twice:
the first time makes what is the same at all checkpoints, and reads the first one where an instrument compares with it; the second
is what one more checkpoint takes, in a list of instruments as a recipe has: what several need (margins of pairs, states of text) is
with the first that asks.  Seconds of the processor, which other work beside does not lengthen, and of the clock.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch

from benchmarks.ways import MEDIUM
from ontogeny import recipe as recipes
from ontogeny.architectures.opt import OPT
from ontogeny.instruments import Instrument, Subject
from ontogeny.laboratory import Run
from ontogeny.scoring.reading import OpenedCheckpoint
from ontogeny.tokens import token_store

INSIDE = ("reach", "depth", "saliency", "copying", "heads", "geometry", "likeness", "knowledge", "calibration", "neurons")
PARSED = ("probes", "syntax", "words", "dependence")  # those that read a treebank
TIMED = ("reading",)  # those that read a table of reading times


def options(parser: argparse.ArgumentParser) -> None:
    """Which run, which instruments, which model."""
    parser.add_argument("run", type=Path)
    parser.add_argument("--with", dest="instruments", nargs="+", help="names of instruments; left out: all that look inside")
    parser.add_argument("--treebank", type=Path, help=f"in CoNLL-U, for {' and '.join(PARSED)}")
    parser.add_argument("--table", type=Path, help=f"of reading times, for {' and '.join(TIMED)}")
    parser.add_argument("--random", action="store_true", help="random weights of the larger size")


def run(asked: argparse.Namespace) -> None:
    """Prints a line an instrument, and what all take together."""
    readings = Run(asked.run).readings
    checkpoint = readings.folder.checkpoints(readings.folder.seeds()[0])[0 if asked.random else -1]
    opened: Any = OpenedCheckpoint(checkpoint.folder, readings.reader.device)
    if asked.random:
        opened = SimpleNamespace(model=random_model(opened.tokenizer), tokenizer=opened.tokenizer, weights="0" * 64)
        opened.like = lambda _: opened  # beside it, as large

    def subject() -> Subject:  # a new one: nothing of a checkpoint is kept
        return Subject(readings.context, readings.folder.seeds()[0], checkpoint, cast(OpenedCheckpoint, opened))

    print(f"{torch.get_num_threads()} threads\n{'instrument':12} {'first s':>8} {'s':>8} {'clock s':>8} {'rows':>6} {'peak MB':>8}")
    shared, together = subject(), 0.0
    for name in asked.instruments or [*INSIDE, *(PARSED if asked.treebank else ())]:
        files = {"treebank": asked.treebank if name in PARSED else None, "table": asked.table if name in TIMED else None}
        given = {option: file for option, file in files.items() if file is not None}
        instrument: Instrument = recipes.instrument({"kind": name} | given)
        (first, _, _), (again, clock, rows) = (measured(instrument, one) for one in (subject(), shared))
        together += again
        print(f"{name:12} {first:8.1f} {again:8.1f} {clock:8.1f} {rows:6,} {peak():8,.0f}", flush=True)
    print(f"{'together':12} {'':8} {together:8.1f}")


def random_model(tokenizer: Any) -> Any:
    """An untrained OPT of 6 layers of width 256."""
    torch.manual_seed(0)
    return (
        OPT(size="opt-1m", options=MEDIUM | {"init_std": 0.1}).build(len(tokenizer), 128, token_store.bos_id(tokenizer), 1).eval()
    )


def measured(instrument: Instrument, subject: Subject) -> tuple[float, float, int]:
    """Seconds of the processor and of the clock, and rows of the table."""
    began, clock = time.process_time(), time.perf_counter()
    table, reason = instrument.table_of(subject)
    if reason:
        print(reason)
    return time.process_time() - began, time.perf_counter() - clock, len(table)


def peak() -> float:
    """The most memory that this process has had so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

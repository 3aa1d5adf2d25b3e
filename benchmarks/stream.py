"""Checkpoints of a run of ours, served on loopback under three families' names and opened in a stream, and what the disk held.

    python -m benchmarks stream runs/babylm-small --suite blimp --suite-path data/blimp/data --count 10

They are served as Pythia (step64), OLMo 2 (stage1-step64-tokens1B, with an ingredient of a second stage) and BabyLM (chck_1M), by
the hub in little of the tests, and opened as anybody's: `ontogeny open OWNER/NAME`.  The high-water mark is of the checkpoints in
the run's folder, looked at whenever the hub is asked for anything and every twentieth of a second.  Scores are held against the
run's own.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.options import say
from ontogeny import disk
from ontogeny.commands.adoption import adopt
from ontogeny.disk import human_size
from ontogeny.display import Display
from ontogeny.laboratory import Run
from ontogeny.records import Checkpoint
from ontogeny.store import RunFolder

SAME = 1e-4  # nats: other threads and batches change the last digits of float32
OURS = ("DONE", "ontogeny.json")  # what no other publishes


def options(parser: argparse.ArgumentParser) -> None:
    """Which run's checkpoints, on which suite."""
    parser.add_argument("run", type=Path)
    parser.add_argument("--suite", default="blimp")
    parser.add_argument("--suite-path", type=Path)
    parser.add_argument("--pairs", type=int, help="of each paradigm; left out: all")
    parser.add_argument("--count", type=int, default=10, help="checkpoints of the run's first seed, spread evenly over its steps")
    parser.add_argument("--work", type=Path, help="folder for the runs that are made; left out: a temporary one")


def run(asked: argparse.Namespace) -> int:
    """Prints a row a family; 1 if more than two checkpoints lay on the disk at once, or a score is another than the run's."""
    own = RunFolder.existing(asked.run)
    every = own.checkpoints(own.seeds()[0])
    steps = np.array([checkpoint.step for checkpoint in every])
    targets = np.linspace(0, steps[-1], asked.count)
    chosen = [every[i] for i in sorted({int(np.abs(steps - target).argmin()) for target in targets})]
    whole = sum(_size(checkpoint.folder) for checkpoint in chosen)
    print(f"{len(chosen)} checkpoints of {asked.run}, {human_size(whole)} together, {human_size(whole / len(chosen))} each\n")
    print("| served as | last name | brought | at once | on the disk at most | seconds | largest difference of a score |")
    print("|---|---|---|---|---|---|---|")
    faults = 0
    with tempfile.TemporaryDirectory() as temporary:
        for family, names in NAMED.items():
            found = _stream(family, names(chosen), chosen, own, asked, asked.work or Path(temporary))
            faults += found.most > 2 or found.difference > SAME
            print(
                f"| {family} | `{found.last}` | {human_size(found.brought)} | {found.most} | {human_size(found.bytes)} | "
                f"{found.seconds:.0f} | {found.difference:.2g} |",
                flush=True,
            )
    return int(bool(faults))


@dataclass
class Streamed:
    """What one family's stream took."""

    last: str
    brought: int = 0  # bytes
    most: int = 0  # checkpoints at once
    bytes: int = 0  # at once
    seconds: float = 0.0
    difference: float = float("nan")  # nats, of any score from the run's own


def _stream(
    family: str, names: list[str], chosen: list[Checkpoint], own: RunFolder, asked: argparse.Namespace, work: Path
) -> Streamed:
    from tests.hub_server import Hub

    found = Streamed(names[-1])
    with Hub() as hub:
        repo = f"someone/{family.lower().replace(' ', '-')}"
        for name, checkpoint in zip(names, chosen, strict=True):
            hub.push(repo, {path.name: path for path in checkpoint.folder.iterdir() if path.name not in OURS}, name)
        hub.push(repo, {"README.md": b"a model"})
        os.environ["HF_ENDPOINT"] = hub.url
        say(f"{family}: {', '.join(names)}")
        settings = [f"scoring.pairs_per_paradigm={asked.pairs}"] if asked.pairs else []
        here = adopt(Path(repo), asked.suite, asked.suite_path, None, settings, work, Display())
        started = time.monotonic()
        with watched(here, found) as look:
            hub.watch = look
            here.score()
        found.seconds, found.brought = time.monotonic() - started, hub.sent
    found.difference = _difference(here, chosen, own, here.folder.suites()[0])
    return found


@contextmanager
def watched(here: Run, found: Streamed) -> Iterator[Callable[[str], None]]:
    """Looks at the checkpoints in a run's folder, at every call of what it yields and every twentieth of a second."""
    ended = threading.Event()

    def look(_: str = "") -> None:
        lying = list(here.folder.path.glob("seed-*/checkpoints/*"))
        found.most = max(found.most, len(lying))
        found.bytes = max(found.bytes, sum(map(_size, lying)))

    def work() -> None:
        while not ended.wait(0.05):
            look()

    threading.Thread(target=work, daemon=True).start()
    try:
        yield look
    finally:
        ended.set()


def _difference(here: Run, chosen: list[Checkpoint], own: RunFolder, suite: str) -> float:
    """Of any log-probability from what the run itself has of the same weights; NaN where it has none."""
    seed, most = own.seeds()[0], float("nan")
    for theirs, ours in zip(here.folder.checkpoints(0), chosen, strict=True):
        path = own.scores(seed, suite, ours.step)
        if not path.exists():
            continue
        keys = ["paradigm", "pair"]
        both = disk.read_table(here.folder.scores(0, suite, theirs.step)).join(disk.read_table(path), on=keys, suffix="_own")
        apart = both.select((pl.col(f"logp_{side}") - pl.col(f"logp_{side}_own")).abs().max() for side in ("good", "bad"))
        most = float(np.fmax(most, max(apart.row(0))))
    return most


def _size(folder: Path) -> int:
    """Bytes of a folder's files; of those that go meanwhile none."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            total += path.stat().st_size if path.exists() else 0
    return total


# --- names --------------------------------------------------------------------------------------------------------


def pythia(chosen: list[Checkpoint]) -> list[str]:
    """step64."""
    return [f"step{checkpoint.step}" for checkpoint in chosen]


def olmo(chosen: list[Checkpoint]) -> list[str]:
    """The last fifth as an ingredient of a second stage, which counts from 0 again."""
    last = chosen[-1 - len(chosen) // 5]
    return [
        f"stage1-step{one.step}-tokens{(one.tokens or 0) // 10**9}B"
        if one.step <= last.step
        else f"stage2-ingredient1-step{one.step - last.step}-tokens{((one.tokens or 0) - (last.tokens or 0)) // 10**9}B"
        for one in chosen
    ]


def babylm(chosen: list[Checkpoint]) -> list[str]:
    """chck_1M; in thousands of words where two would have one name."""
    millions = [f"chck_{(one.words or 0) / 1e6:.0f}M" for one in chosen]
    return millions if len(set(millions)) == len(chosen) else [f"chck_{(one.words or 0) / 1e3:.3f}K" for one in chosen]


NAMED = {"Pythia": pythia, "OLMo 2": olmo, "BabyLM": babylm}

"""How fast the explorer starts and answers: 200 runs in a folder, and one of 67 paradigms at 10,000 checkpoints.

    python -m benchmarks explorer [--runs 200] [--checkpoints 10000]

Seconds of the wall and of the processor, as others may be at work on the machine; a mark is met if either is.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

if TYPE_CHECKING:
    import polars as pl

    from ontogeny.store import RunFolder

START, CLICK = 2.0, 0.2  # seconds: the marks
PARADIGMS, PAIRS = 67, 1000
TIMES = 5
RECIPE = """\
name: long
seeds: {seeds}
corpus: {{kind: micro-english, words: 1000}}
tokenizer: word
model: {{kind: opt, size: opt-1m}}
suites: [{{kind: table, path: "{pairs}"}}]
"""


def options(parser: argparse.ArgumentParser) -> None:
    """How many."""
    parser.add_argument("--runs", type=int, default=200, help="in the folder that it starts on")
    parser.add_argument("--checkpoints", type=int, default=10_000, help="of the run that is clicked through")


def run(asked: argparse.Namespace) -> int:
    """Prints a line a mark; 1 if one was missed."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "runs"
        for number in range(asked.runs):
            made_run(root / f"run-{number:03d}", 30, pairs=PAIRS, paradigms=5)
        missed = not _said("first page of 200 runs", START, *_started(root))
        large = made_run(Path(temporary) / "large" / "long", asked.checkpoints)
        return int(_clicked(large.parent, asked.checkpoints) or missed)


def _said(what: str, mark: float, wall: float, processor: float) -> bool:
    met = min(wall, processor) <= mark
    print(f"{what:44} {wall:6.3f} s, processor {processor:6.3f} s; at most {mark} s: {'met' if met else 'missed'}", flush=True)
    return met


def _started(root: Path) -> tuple[float, float]:
    """From the command to the first page in hand."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "ontogeny", "explore", str(root), "--port", "18999"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as server:
        assert server.stdout is not None
        address = next(found[0] for line in server.stdout if (found := re.search(r"http://\S+", line)))
        page = urlopen(address).read().decode()
        wall = time.perf_counter() - begun
        used = sum(map(float, Path(f"/proc/{server.pid}/stat").read_text().split()[13:15])) / os.sysconf("SC_CLK_TCK")
        server.send_signal(signal.SIGKILL)
    assert page.count("<tr>") > 100
    return wall, used


def _clicked(root: Path, checkpoints: int) -> bool:
    """Every view of the long run that is no errand, again and again once it has been opened."""
    from ontogeny.explorer.server import answer
    from ontogeny.explorer.shelf import RunShelf

    shelf, last = RunShelf(root), checkpoints - 1
    views = {
        "all runs": "",
        "the run: map and verdicts": "runs/long",
        "other thresholds": "runs/long?cover=0.7",
        "a paradigm": "runs/long/paradigm/toy/paradigm_03",
        "its pairs at a checkpoint": f"runs/long/pairs/toy/paradigm_03/0/{last}",
        "a pair's life": "runs/long/pair/toy/paradigm_03/7",
        "a checkpoint": f"runs/long/checkpoint/0/{last}",
    }
    missed = False
    for what, address in views.items():
        path, _, query = address.partition("?")
        taken = []
        for turn in range(TIMES + 1):
            asked = dict(part.split("=") for part in query.split("&") if part)
            wall, processor = time.perf_counter(), time.process_time()
            status, text, _ = answer(shelf, path, asked)
            taken.append((time.perf_counter() - wall, time.process_time() - processor))
            assert status == 200, text[:2000]
            if not turn:
                print(f"{what + ', the first time':44} {taken[0][0]:6.3f} s, processor {taken[0][1]:6.3f} s", flush=True)
        median = [sorted(values)[TIMES // 2] for values in zip(*taken[1:], strict=True)]
        missed |= not _said(what, CLICK, *median)
    return missed


def made_run(
    path: Path, checkpoints: int, pairs: int = PAIRS, paradigms: int = PARADIGMS, seeds: int = 1, read: bool = False
) -> Path:
    """A run as training, scoring and judging leave it; its tables of scores are one file under many names.

    `read`: instruments have read it too, one of a number a checkpoint and one of seven a paradigm.
    """
    import numpy as np
    import polars as pl

    from ontogeny.disk import write_json, write_table
    from ontogeny.laboratory import Run
    from ontogeny.results import score_keys
    from ontogeny.store import RunFolder
    from ontogeny.trajectories import Timeline, judge

    run, steps = RunFolder(path), list(range(checkpoints))
    names, random = [f"paradigm_{number:02d}" for number in range(paradigms)], np.random.default_rng(0)
    write_json(
        path / "lineage.json", {"kind": "trained", "training": {"parameters": 0, "steps": checkpoints, "checkpoints": checkpoints}}
    )
    path.joinpath("recipe.yaml").write_text(RECIPE.format(seeds=list(range(seeds)), pairs=path / "toy.csv"))
    path.joinpath("toy.csv").write_text("paradigm,good,bad\n")
    rows = {"suite": "toy", "phenomenon": "any", "field": "any", "n": pairs, "read": pairs, "words": 1.0, "tokens": 1}
    accuracy = (0.3 + 0.5 * random.random((paradigms, 1)) + 0.02 * random.random((paradigms, checkpoints))).ravel()
    curves = pl.DataFrame({"paradigm": np.repeat(names, checkpoints), "step": np.tile(steps, paradigms), "accuracy": accuracy})
    curves = curves.with_columns(**{name: pl.lit(value) for name, value in rows.items()}, logp_good=-50.0, logp_bad=-51.0)
    curves = curves.join(pl.DataFrame({"seed": list(range(seeds))}), how="cross")
    write_table(run.curves, curves)
    time_ = Timeline(tuple(steps[:: max(1, checkpoints // 40)]), checkpoints, None, None, 1.0, 1.0)
    judged = judge(curves.filter(pl.col("step").is_in(list(time_.steps))), time_)
    write_table(run.verdicts, judged.with_columns(human=pl.lit(None, pl.Float64)))
    losses = pl.DataFrame(
        {
            "step": steps,
            "loss": [2.0] * checkpoints,
            "learning_rate": [1e-3] * checkpoints,
            "tokens": steps,
            "seconds": [0.1] * checkpoints,
        }
    )
    asked = pl.DataFrame({"paradigm": np.repeat(names, pairs)})
    asked = asked.with_columns(pair=pl.int_range(pl.len()).over("paradigm").cast(pl.String))
    about = {"good": "the dogs run here", "bad": "the dogs runs here", "phenomenon": "any", "field": "any", "contrast": "a|b"}
    write_table(run.pairs("toy"), asked.with_columns(**{name: pl.lit(text) for name, text in about.items()}))
    good = random.normal(-50, 3, len(asked))
    scores = asked.with_columns(logp_good=good, logp_bad=good + random.normal(0, 2, len(asked)), tokens_good=4, tokens_bad=4)
    scores = scores.with_columns(pl.col("tokens_good", "tokens_bad").cast(pl.Int32))
    key = score_keys(run, "toy", Run(path).recipe).pop()
    readings = _readings(names) if read else {}
    for seed in range(seeds):
        write_table(run.losses(seed), losses)
        _finished(run, seed, steps)
        _linked(partial(run.scores, seed, "toy"), steps, scores, key)
        for kind, reading in readings.items():
            _linked(partial(run.reading, kind, seed), steps, reading, kind, settings=f'{{"kind": "{kind}"}}', **{"not": ""})
    return path


def _readings(names: list[str]) -> dict[str, pl.DataFrame]:
    """What two instruments would leave of a checkpoint."""
    import polars as pl

    numbers = {"accuracy": 0.7, "confidence": 0.8, "brier": 0.2, "slope": 0.9, "wrong": 1.0, "frequency_gap": 0.1}
    rows = pl.DataFrame({"suite": "toy", "paradigm": ["", *names]})
    calibration = rows.with_columns(n=pl.lit(50, pl.Int64), **{name: pl.lit(value) for name, value in numbers.items()})
    return {"loss": pl.DataFrame({"dev": [2.0]}), "calibration": calibration.select("suite", "paradigm", *numbers, "n")}


def _linked(place: Callable[[int], Path], steps: list[int], table: pl.DataFrame, key: str, **facts: str) -> None:
    """One table at every step."""
    from ontogeny.disk import write_table

    write_table(place(0), table, {"key": key, "weights": "made", **facts})
    for step in steps[1:]:
        os.link(place(0), place(step))


def _finished(run: RunFolder, seed: int, steps: list[int]) -> None:
    """A seed's checkpoints, without anything in their weights."""
    weights = run.seed(seed) / "empty"
    weights.touch()
    done = json.dumps({"weights": "made", "sizes": {"model.safetensors": 0}, "hashes": {}})
    for step in steps:
        folder = run.checkpoint(seed, step)
        folder.mkdir(parents=True)
        folder.joinpath("ontogeny.json").write_text(json.dumps({"step": step}))
        folder.joinpath("DONE").write_text(done)
        os.link(weights, folder / "model.safetensors")

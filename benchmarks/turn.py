"""One turn, in a process of its own: `python -m benchmarks.turn JOB FILE`; what it cost is written to the file as JSON."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.contestants import SCORING, TRAINING
from benchmarks.machine import own_peak
from benchmarks.pace import Enough, Pace
from benchmarks.turns import Facts, Job


def score(job: Job) -> Facts:
    """Scores the folders one after the other: seconds and processor seconds of each, from its folder to its log-probabilities.

    Before the clock starts two pairs are scored, so that everything is imported and every thread is there.  The log-probabilities
    [pairs, 2] of each folder are left as .npy beside the turn's own folder, the path in the facts.
    """
    import numpy as np

    contestant = SCORING[job.contestant]
    scorer_of: Any = getattr(import_module(contestant.module), contestant.door)
    folders = [Path(folder) for folder in job.folders]
    scorer_of(replace(job, pairs=first_pairs(job, 2)))(folders[0])
    scorer = scorer_of(job)
    facts: Facts = {}
    for number, folder in enumerate(folders):
        wall, processor = time.perf_counter(), time.process_time()
        scores, more = scorer(folder)
        costs: Facts = {"seconds": time.perf_counter() - wall, "processor": time.process_time() - processor}
        path = Path(job.scratch).with_name(f"{Path(job.scratch).name}-{number}.npy")
        np.save(path, scores)
        costs |= {"peak": own_peak(), "scores": str(path), **more}
        facts |= costs if number == 0 else {f"{name} again": value for name, value in costs.items()}
    return facts


def first_pairs(job: Job, count: int) -> str:
    """A file of the job's first pairs."""
    path = Path(job.scratch) / "first.json"
    rows = json.loads(Path(job.pairs).read_text(encoding="utf-8"))
    path.write_text(json.dumps(rows[:count]), encoding="utf-8")
    return str(path)


def train(job: Job) -> Facts:
    """Trains until the pace is known: tokens a second after the warm-up, and seconds from the process's start to the first step."""
    pace = Pace(job.warm_up, job.seconds, job.most_steps)
    contestant = TRAINING[job.contestant]
    trainer: Any = import_module(contestant.module).train
    with suppress(Enough):
        trainer(job, contestant.precision, pace)
    return pace.facts(job.spawned) | {"peak": own_peak(), **pace.told}


def main() -> None:
    """Reads the job, does it, writes the facts."""
    import torch

    asked, told = sys.argv[1:]
    job = Job(**json.loads(asked))
    torch.set_num_threads(job.threads)
    facts = {"score": score, "train": train}[job.task](job)
    Path(told).write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main()

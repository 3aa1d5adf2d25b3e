"""Kills workers and coordinators at random while pieces of work are done, and counts what was lost or done twice.

A coordinator hands naps to processes of this machine; another process kills one of them, or at times the coordinator, which is then
started again as a person would.  At the end every piece must be there, and none that was whole done again.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ontogeny.display import QUIET
from ontogeny.work.local import Local
from ontogeny.work.piece import Piece, do

AT_ONCE = 2
NAP = 0.3  # seconds of a piece


def coordinate(folder: Path, count: int) -> None:
    """Has the pieces done that are not there."""
    pieces = [Piece("nap", str(folder), {"seconds": NAP, "out": f"{number}.txt"}) for number in range(count)]
    todo = [piece for piece in pieces if not (folder / piece.inputs["out"]).exists()]
    with Local().opened([(1, None)] * AT_ONCE, QUIET) as submit:
        do(todo, submit, QUIET, "naps")


def children(process: int) -> list[int]:
    """The processes that one has started, on Linux."""
    found = Path(f"/proc/{process}/task/{process}/children")
    try:
        own = [int(word) for thread in found.parents[1].iterdir() for word in (thread / "children").read_text().split()]
    except OSError:
        return []
    return own


def campaign(folder: Path, count: int, kills: int, coordinators: int, seed: int = 0) -> dict[str, Any]:
    """Does the pieces under so many kills, of which some are the coordinator's."""
    rng, killed = random.Random(seed), Counter[str]()
    turns = ["coordinator"] * coordinators + ["worker"] * (kills - coordinators)
    rng.shuffle(turns)
    while len(list(folder.glob("*.txt"))) < count or turns:
        command = [
            sys.executable,
            "-c",
            f"from benchmarks.kills import coordinate, Path; coordinate(Path({str(folder)!r}), {count})",
        ]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as coordinator:
            while coordinator.poll() is None:
                time.sleep(rng.uniform(0.2, 4 * NAP))
                workers = children(coordinator.pid)
                if turns and workers:
                    whom = turns.pop()
                    os.kill(coordinator.pid if whom == "coordinator" else rng.choice(workers), signal.SIGKILL)
                    killed[whom] += 1
        if len(list(folder.glob("*.txt"))) == count:
            break
    lines = [len(file.read_text().splitlines()) for file in folder.glob("*.txt")]
    return {"pieces": count, "kills": dict(killed), "there": len(lines), "done twice": sum(number > 1 for number in lines)}


def options(parser: Any) -> None:
    """Of the command line."""
    parser.add_argument("--count", type=int, default=400, help="pieces [400]")
    parser.add_argument("--kills", type=int, default=100, help="in all [100]")
    parser.add_argument("--coordinators", type=int, default=5, help="of them, of the coordinator [5]")


def run(asked: Any) -> int:
    """Prints what was found; 1 if a piece was lost or done twice."""
    with TemporaryDirectory() as folder:
        found = campaign(Path(folder), asked.count, asked.kills, asked.coordinators)
    print(found)
    return int(found["there"] != found["pieces"] or found["done twice"] > 0)

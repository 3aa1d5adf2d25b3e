"""Kills workers and coordinators at random while pieces of work are done, and counts what was lost or done twice.

    python -m benchmarks kills [--of naps|trainings|ray] [--kills 100 --coordinators 5]

A coordinator hands pieces to processes of this machine; this process kills one of them, or at times the coordinator, which is then
started again as a person would.  Of naps every one must be there at the end, and none that was whole done again.
`trainings` are those of a run of tiny models, whose weights, scores and verdicts must be those of one that nobody disturbed.  With
`ray` a cluster of two nodes loses one of them, and a process.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.scheduling import two_nodes
from ontogeny import disk
from ontogeny.display import QUIET
from ontogeny.work.local import Local
from ontogeny.work.piece import Piece, do
from ontogeny.work.ray_cluster import RayCluster

AT_ONCE = 2
NAP = 0.3  # seconds of a piece
TRAININGS = """\
name: killed
seeds: {seeds}
corpus: {{kind: micro-english, words: 2000}}
dev: {{kind: micro-english, words: 300, seed: 9}}
tokenizer: word
model:
  kind: opt
  size: opt-1m
  options: {{hidden_size: 16, word_embed_proj_dim: 16, num_hidden_layers: 1, num_attention_heads: 2, ffn_dim: 32, dropout: 0.1}}
training:
  {{context: 16, batch: 4, steps: 4000, learning_rate: 1e-2, threads: 1, compile: "off", precision: float32, save_minutes: 0.02}}
checkpoints: {{kind: steps, steps: [1, 10, 100, 500, 1000, 2000, 3000]}}
suites: [{{kind: micro-english, pairs_per_paradigm: 10}}]
verdicts: {{resamples: 20, swaps: 20}}
"""


def coordinate(folder: Path, count: int) -> None:
    """Has the pieces done that are not there."""
    pieces = [Piece("nap", str(folder), {"seconds": NAP, "out": f"{number}.txt"}) for number in range(count)]
    todo = [piece for piece in pieces if not (folder / piece.inputs["out"]).exists()]
    with Local().opened([(1, None)] * AT_ONCE, QUIET) as submit:
        do(todo, submit, QUIET, "naps")


def fill(recipe: Path, root: Path) -> None:
    """Has a run's pieces done that are missing."""
    from ontogeny import recipe as recipes
    from ontogeny.laboratory import Run

    Run.begin(recipes.load(recipe), root).fill_on(Local(), AT_ONCE)


def children(process: int) -> list[int]:
    """The processes that one has started, on Linux."""
    found = Path(f"/proc/{process}/task/{process}/children")
    try:
        own = [int(word) for thread in found.parents[1].iterdir() for word in (thread / "children").read_text().split()]
    except OSError:
        return []
    return own


def campaign(
    call: str, there: Callable[[], bool], kills: int, coordinators: int, longest: float, seed: int = 0
) -> tuple[Counter[str], int]:
    """Makes this call again and again until all is there, under so many kills: whose they were, and how often it was begun.

    `longest`: seconds from one kill to the next at most.
    """
    rng, killed, begun = random.Random(seed), Counter[str](), 0
    turns = ["coordinator"] * coordinators + ["worker"] * (kills - coordinators)
    rng.shuffle(turns)
    command = [sys.executable, "-c", f"from pathlib import Path; from benchmarks import kills; kills.{call}"]
    while not there():
        begun += 1
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as coordinator:
            while coordinator.poll() is None:
                time.sleep(rng.uniform(0.2, longest))
                workers = children(coordinator.pid)
                if turns and workers:
                    whom = turns.pop()
                    os.kill(coordinator.pid if whom == "coordinator" else rng.choice(workers), signal.SIGKILL)
                    killed[whom] += 1
    return killed, begun


def naps(folder: Path, asked: Any) -> dict[str, Any]:
    """Pieces that take a moment."""
    count: int = asked.count

    def there() -> bool:
        return len(list(folder.glob("*.txt"))) == count

    killed, begun = campaign(f"coordinate(Path({str(folder)!r}), {count})", there, asked.kills, asked.coordinators, 4 * NAP)
    return counted(folder, count) | {"kills": dict(killed), "begun": begun}


def nodes(folder: Path, asked: Any) -> dict[str, Any]:
    """Naps on a Ray cluster of two nodes: after a quarter of them one node is taken away, after a half a process that does them."""
    count, ended = min(asked.count, 40), list[float]()
    pieces = [Piece("nap", str(folder), {"seconds": NAP, "out": f"{number}.txt"}) for number in range(count)]
    with two_nodes() as cluster:

        def done() -> None:
            ended.append(time.monotonic())
            if len(ended) == count // 4:
                cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
                cluster.add_node(num_cpus=1)
            if len(ended) == count // 2:
                newest = max(folder.glob("*.txt"), key=lambda file: file.stat().st_mtime)
                with suppress(ProcessLookupError):
                    os.kill(int(newest.read_text().split()[1]), signal.SIGKILL)

        with RayCluster().opened([(1, None)] * AT_ONCE, QUIET) as submit:
            found = do(pieces, submit, QUIET, "naps", done=done)
    return counted(folder, count) | {
        "nodes": 1,
        "processes": 1,
        "troubles": [one["trouble"] for one in found.values() if one["trouble"]],
    }


def counted(folder: Path, count: int) -> dict[str, Any]:
    """Naps that are not there, and those that were done again."""
    lines = [len(file.read_text().splitlines()) for file in folder.glob("*.txt")]
    return {"pieces": count, "lost": count - len(lines), "done twice": sum(number > 1 for number in lines)}


def trainings(folder: Path, asked: Any) -> dict[str, Any]:
    """A run of tiny trainings, beside one that nobody disturbs."""
    recipe, ours, theirs = folder / "killed.yaml", folder / "killed", folder / "quiet"
    recipe.write_text(TRAININGS.format(seeds=list(range(asked.seeds))))
    fill(recipe, theirs)
    call = f"fill(Path({str(recipe)!r}), Path({str(ours)!r}))"
    page = ours / "killed" / "report" / "index.html"
    killed, begun = campaign(call, page.exists, asked.kills, asked.coordinators, asked.longest)
    found, wanted = (results(root / "killed") for root in (ours, theirs))
    wrong = {"lost": len(wanted.keys() - found.keys()), "other": sum(found.get(name) != was for name, was in wanted.items())}
    return {"seeds": asked.seeds, "kills": dict(killed), "begun": begun, "results": len(wanted), **wrong}


def results(run: Path) -> dict[str, str]:
    """Hashes of what a run has found: of each checkpoint's weights, and of the values of each table."""
    from ontogeny import store

    tables = [path for place in ("*", "seed-*/scores/*/*", "seed-*/readings/*/*") for path in run.glob(f"{place}.parquet")]
    found = {str(path.relative_to(run)): disk.content_key(disk.read_table(path).write_json()) for path in tables}
    return found | {str(done.relative_to(run)): store.weights_hash(done.parent) for done in run.rglob("DONE")}


WORK: dict[str, Callable[[Path, Any], dict[str, Any]]] = {"naps": naps, "trainings": trainings, "ray": nodes}


def options(parser: Any) -> None:
    """Of the command line."""
    parser.add_argument("--of", choices=list(WORK), default="naps", help="what is done meanwhile [naps]")
    parser.add_argument("--count", type=int, default=400, help="naps [400]")
    parser.add_argument("--seeds", type=int, default=4, help="trainings [4]")
    parser.add_argument("--longest", type=float, default=20.0, help="seconds from one kill of trainings to the next at most [20]")
    parser.add_argument("--kills", type=int, default=100, help="in all [100]")
    parser.add_argument("--coordinators", type=int, default=5, help="of them, of the coordinator [5]")


def run(asked: Any) -> int:
    """Prints what was found; 1 if a piece was lost, done twice, or came out otherwise."""
    with TemporaryDirectory() as folder:
        found = WORK[asked.of](Path(folder), asked)
    print(found)
    return int(any(found.get(name) for name in ("lost", "done twice", "other")))

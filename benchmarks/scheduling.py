"""What it costs to have pieces of work done: the same naps by each engine, with two at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ontogeny import recipe as recipes
from ontogeny.display import QUIET
from ontogeny.recipe import Kind
from ontogeny.work.piece import Piece, do

AT_ONCE = 2


def local(held: ExitStack) -> Any:
    """Processes of this machine."""
    return recipes.engine(None, "local")


def slurm(held: ExitStack) -> Any:
    """submitit's local executor."""
    return made({"kind": "slurm", "executor": "local", "at_once": AT_ONCE})


def ray(held: ExitStack) -> Any:
    """A Ray cluster of two nodes of one core on this machine."""
    held.enter_context(two_nodes())
    return made({"kind": "ray"})


ENGINES: dict[str, Callable[[ExitStack], Any]] = {"local": local, "ray, two nodes": ray, "submitit, local": slurm}


def made(fields: dict[str, Any]) -> Any:
    """An engine of these fields."""
    from ontogeny import registry

    kind: type[Kind] = registry.load("engine", fields["kind"])
    return kind.model_validate(fields)


@contextmanager
def two_nodes() -> Iterator[Any]:
    """The cluster, joined by this process."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_worker_niceness", "0")  # as the other engines' processes have it; Ray's own is 15

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def measure(count: int, seconds: float, engines: Sequence[str] = tuple(ENGINES)) -> list[dict[str, Any]]:
    """Of each engine: seconds until the first piece is done and until all are, and what a piece costs beyond its nap."""
    rows = []
    for name in engines:
        with TemporaryDirectory() as folder, ExitStack() as held:
            engine = ENGINES[name](held)
            pieces = [Piece("nap", folder, {"seconds": seconds, "out": f"{number}.txt"}) for number in range(count)]
            started, ended = time.perf_counter(), list[float]()

            def done(ended: list[float] = ended) -> None:
                ended.append(time.perf_counter())

            with engine.opened([(1, None)] * AT_ONCE, QUIET) as submit:
                found = do(pieces, submit, QUIET, "naps", done=done)
            assert all(answer["trouble"] is None for answer in found.values())
            whole, first = ended[-1] - started, ended[0] - started
            least = -(-count // AT_ONCE) * seconds
            warm = (ended[-1] - ended[0]) / (count - 1) * AT_ONCE - seconds  # a place's seconds a piece beyond the nap
            told = {"first": first, "seconds": whole, "overhead": warm, "idle": 1 - least / whole}
            rows.append({"engine": name, "pieces": count, "nap": seconds, **told, "processes": len(processes(Path(folder)))})
    return rows


def processes(folder: Path) -> set[str]:
    """Who has done the pieces."""
    return {file.read_text() for file in folder.glob("*.txt")}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """As docs/speed.md has it."""
    heads = ("engine", "pieces", "nap s", "first done s", "all done s", "ms beyond the nap", "idle", "processes")
    lines = [
        f"| {row['engine']} | {row['pieces']} | {row['nap']:g} | {row['first']:.2f} | {row['seconds']:.1f} | "
        f"{1000 * row['overhead']:.0f} | {row['idle']:.1%} | {row['processes']} |"
        for row in rows
    ]
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    return "\n".join([f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *lines, "", load])


def options(parser: Any) -> None:
    """Of the command line."""
    parser.add_argument("--count", type=int, default=200, help="pieces [200]")
    parser.add_argument("--seconds", type=float, default=2.0, help="that each takes [2]")
    parser.add_argument("--engine", action="append", choices=list(ENGINES), help="only this one; may be said again")


def run(asked: Any) -> None:
    """Measures and prints the table."""
    print(table(measure(asked.count, asked.seconds, asked.engine or tuple(ENGINES))))

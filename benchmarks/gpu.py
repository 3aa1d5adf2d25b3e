"""On a GPU: opt-125m's rate of training as a share of what the device's matrix products reach, and all of BLiMP in seconds.

    python -m benchmarks gpu

The peak is measured: products of bfloat16 matrices of 8,192 x 8,192.  The arithmetic of a token is 6 N + 12 L T d, for N parameters
(the tied embeddings once), L layers, T tokens of context and width d: forward and backward, attention included (Chowdhery et al.
2022, appendix B).  Training and scoring are our own turns, as in the other commands.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from benchmarks import inputs, turns
from benchmarks.contestants import OURS
from benchmarks.inputs import Inputs
from benchmarks.options import say
from benchmarks.results import Result
from benchmarks.turns import Job, Turns, spread

SIDE, PRODUCTS = 8192, 50
LAYERS, WIDTH, CONTEXT = 12, 768, 128  # opt-125m, as the recipe trains it


def options(parser: argparse.ArgumentParser) -> None:
    """None of its own: `--size` and `--device` are L and cuda."""


def run(asked: argparse.Namespace, work: Path) -> list[tuple[str, Result]]:
    """One result.  Raises SystemExit where there is no GPU."""
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("python -m benchmarks gpu: torch finds no GPU here")
    peak = matmul_peak()
    given = inputs.of(asked, "L", work)
    return [("gpu", measure(asked, given, work, peak, torch.cuda.get_device_name()))]


def matmul_peak() -> float:
    """Floating-point operations a second of large bfloat16 products."""
    import torch

    one, other = (torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(5):
        one @ other
    event: Any = torch.cuda.Event
    start, end = event(enable_timing=True), event(enable_timing=True)
    start.record()
    for _ in range(PRODUCTS):
        one @ other
    end.record()
    torch.cuda.synchronize()
    return float(2.0 * SIDE**3 * PRODUCTS / (start.elapsed_time(end) / 1000))


def operations(parameters: int) -> float:
    """Of training on one token."""
    return 6.0 * parameters + 12.0 * LAYERS * CONTEXT * WIDTH


def measure(asked: argparse.Namespace, given: Inputs, work: Path, peak: float, name: str) -> Result:
    """Our turns, and what they are of the peak."""

    def take(task: str, number: int) -> turns.Facts:
        folders = tuple(map(str, given.checkpoints if task == "score" else (given.fresh,)))
        files: dict[str, Any] = {"pairs": str(given.pairs), "batches": str(given.batches), "run": str(given.run)}
        return turns.apart(Job(OURS, task, asked.threads, str(work), folders, **files, device="cuda", warm_up=20))

    found = turns.play(dict.fromkeys(("train", "score"), asked.rounds), take, say, "peak", asked.seed)
    return result(found, given, peak, name)


def result(found: Turns, given: Inputs, peak: float, name: str) -> Result:
    """The table of what was measured."""
    rows = [["bfloat16 products, TFLOP/s", f"{peak / 1e12:,.0f}"]]
    if rates := found.of("train", "tokens/s"):
        parameters = int(statistics.median(found.of("train", "parameters")))
        share = operations(parameters) * statistics.median(rates) / peak
        rows += [["opt-125m, tokens/s", spread(rates, 0)], ["share of the products' peak, %", f"{100 * share:.1f}"]]
        rows += [["seconds to the first step", spread(found.of("train", "first step"), 1)]]
    if seconds := found.of("score", "seconds"):
        rows += [[f"{given.facts['pairs']:,} pairs in float32, seconds", spread(seconds, 1)]]
        rows += [["a second checkpoint, seconds", spread(found.of("score", "seconds again"), 1)]]
    data = {"inputs": given.facts, "peak": peak, "rounds": found.rounds}
    return Result(f"On a GPU: {name}", [turns.table(["", "measured"], rows)], ["batches of 32 x 128 tokens"], [], data)

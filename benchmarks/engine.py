"""What a training step costs on this processor: freed memory kept or handed back, float32 or bfloat16.

    python -m benchmarks engine

Each way runs in a process of its own, one thread, forward and backward passes of OPT (2 layers, width 128, vocabulary 4,096) on a
batch of 32 x 128 random tokens, not compiled.  Prints seconds in user mode and in the kernel, page faults, and tokens a second.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from typing import Any

from benchmarks.machine import ROOT

WAYS = ("handed-back float32", "kept float32", "kept bfloat16")
WARM_UP, PASSES, BLOCKS, CONTEXT, VOCABULARY = 2, 8, 32, 128, 4096


def measure(memory: str, precision: str) -> None:
    """Runs one way and prints its line."""
    import torch

    from ontogeny.architectures.opt import OPT
    from ontogeny.training.engine import Engine, keep_memory
    from ontogeny.training.treatment import batch_loss

    torch.set_num_threads(1)
    torch.manual_seed(0)
    if memory == "kept":
        keep_memory()
    engine = Engine(torch.device("cpu"), 1, precision, False)
    model = OPT(size="opt-1m").build(VOCABULARY, CONTEXT, 2, 1)
    for i in range(WARM_UP + PASSES):
        if i == WARM_UP:
            before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        loss: Any = batch_loss(model, torch.randint(4, VOCABULARY, (BLOCKS, CONTEXT + 1)), engine.autocast)
        loss.backward()
        model.zero_grad()
    after, seconds = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - started
    user, kernel = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    faults, rate = after.ru_minflt - before.ru_minflt, PASSES * BLOCKS * CONTEXT / seconds
    print(f"{memory:12} {precision:9} user {user:6.2f} s  kernel {kernel:5.2f} s  faults {faults:9,}  {rate:8,.0f} tokens/s")


def options(parser: argparse.ArgumentParser) -> None:
    """None for people: a way is named by the process that measures it."""
    parser.add_argument("way", nargs="?", choices=WAYS, help=argparse.SUPPRESS)


def run(asked: argparse.Namespace) -> None:
    """Every way in a process of its own."""
    if asked.way:
        measure(*asked.way.split())
        return
    for way in WAYS:
        subprocess.run([sys.executable, "-m", "benchmarks", "engine", way], check=True, cwd=ROOT)

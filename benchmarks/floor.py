"""What bare arithmetic would leave of the seconds of scoring: operations of all of BLiMP over what matrix products reach.

    python -m benchmarks floor --size S M

Operations are those of the trees of prefixes that ours computes: a node's linear layers and its attention within a tree, and a
distribution over the vocabulary for each beginning that a token is read after; two for each multiplication and addition.  The peak
is measured on this machine: products of float32 matrices with the shapes of the model's layers, one thread, the fastest of several.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from benchmarks import inputs, turns
from benchmarks.projection import CHECKPOINTS
from benchmarks.results import Result
from ontogeny.scoring import plan, readout
from ontogeny.scoring.distributions import TILE
from ontogeny.scoring.reading import context_of, open_model
from ontogeny.tokens.pretrained import open_tokenizer
from ontogeny.tokens.token_store import bos_id

ROWS, TRIES, PRODUCTS = 2048, 5, 20


def options(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(asked: argparse.Namespace, work: Path) -> list[tuple[str, Result]]:
    """A result for each size."""
    return [(f"floor-{size}", measure(asked, inputs.of(asked, size, work))) for size in asked.size]


def measure(asked: argparse.Namespace, given: inputs.Inputs) -> Result:
    """Operations, peak, and their quotient."""
    model, tokenizer = open_model(given.checkpoints[0]), open_tokenizer(given.checkpoints[0])
    width, layers, ffn = (int(getattr(model.config, name)) for name in ("hidden_size", "num_hidden_layers", "ffn_dim"))
    todo = plan.make(inputs.as_pairs(given.load_pairs()), tokenizer, bos_id(tokenizer), context_of(model, None))
    forest = todo.sentences.forest(readout.TREE)
    nodes, reads = len(forest.tokens), int(forest.read.sum())
    parts = operations(nodes, reads, width, layers, ffn, len(tokenizer), readout.TREE)
    rates = [products(width, out) for out in (width, ffn, TILE)]
    peak = max(rates) * asked.threads
    row = [f"{nodes:,}", f"{reads:,}", *(f"{part / 1e12:.2f}" for part in parts), f"{sum(parts) / 1e12:.2f}"]
    row += [f"{min(rates) / 1e9:.0f} to {max(rates) / 1e9:.0f}", f"{sum(parts) / peak:.1f}"]
    header = ["nodes", "distributions", "TFLOP: linear layers", "attention", "distributions", "all", "GFLOP/s a thread", "seconds"]
    context, tokens = context_of(model, None), int(given.facts["stream_tokens"])
    epoch = 3 * sum(operations(tokens, tokens, width, layers, ffn, len(tokenizer), context))  # back costs twice
    often = CHECKPOINTS * sum(parts)
    notes = [
        f"seconds: with {asked.threads} threads at the higher rate; exponentials and everything else left out",
        f"{CHECKPOINTS} checkpoints are {often / 1e12:.0f} TFLOP, training on {tokens:,} tokens in blocks of {context} is "
        f"{epoch / 1e12:.0f}: at the same rate of operations scoring takes {100 * often / epoch:.0f} % of the time of training",
    ]
    data = {"inputs": given.facts, "operations": parts, "rates": rates, "epoch": epoch}
    return Result(f"Floor of scoring, size {given.size}", [turns.table(header, [row])], notes, data=data)


def operations(nodes: int, reads: int, width: int, layers: int, ffn: int, vocabulary: int, tree: int) -> tuple[int, int, int]:
    """Of linear layers, of attention over a whole tree, and of distributions."""
    linear = 2 * nodes * layers * (4 * width * width + 2 * width * ffn)
    return linear, 4 * nodes * layers * tree * width, 2 * reads * vocabulary * width


@torch.inference_mode()
def products(width: int, out: int) -> float:
    """Operations a second of [ROWS, width] by [width, out] on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    one, other, into = torch.randn(ROWS, width), torch.randn(out, width), torch.empty(ROWS, out)
    seconds = []
    for _ in range(TRIES):
        began = time.perf_counter()
        for _ in range(PRODUCTS):
            torch.mm(one, other.T, out=into)
        seconds.append((time.perf_counter() - began) / PRODUCTS)
    torch.set_num_threads(threads)
    return 2 * ROWS * width * out / min(seconds)

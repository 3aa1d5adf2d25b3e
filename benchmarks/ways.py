"""What scoring costs on this processor: every way to a model's numbers on the same sentences, in alternation.

    python -m benchmarks ways runs/babylm-small blimp --pairs 4000

The run's newest checkpoint, or with --random a random OPT of 6 layers, width 256 and the same vocabulary; a random sample of the
suite's pairs; one thread.  Prints each way's least seconds in user mode over the rounds, the nodes that the body ran over, the
distributions that were made, and how far the way's log-probabilities are from the plain way's.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch

from ontogeny import disk
from ontogeny.architectures.opt import OPT
from ontogeny.records import Pair
from ontogeny.scoring import plan, readout
from ontogeny.scoring.reading import open_model
from ontogeny.store import RunFolder
from ontogeny.tokens import token_store
from ontogeny.tokens.pretrained import open_tokenizer
from ontogeny.training.engine import keep_memory

BATCH_TOKENS = 2048
MEDIUM = {"num_hidden_layers": 6, "hidden_size": 256, "word_embed_proj_dim": 256, "num_attention_heads": 4, "ffn_dim": 1024}


@torch.inference_mode()
def measure(model: torch.nn.Module, todo: plan.Plan, rounds: int) -> None:
    """Prints a line a way."""
    ways = {str(way): way for way in readout.ways(model)}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found = {}
    for _ in range(rounds + 1):  # the first is to warm up
        for name, way in ways.items():
            began = time.process_time()
            found[name], _ = readout.token_logps(way, todo.sentences, torch.device("cpu"), BATCH_TOKENS)
            seconds[name].append(time.process_time() - began)
    plain = list(ways)[-1]
    for name, way in ways.items():
        forest = todo.sentences.forest(way.tree(todo.sentences.context, BATCH_TOKENS))
        off, nodes = np.abs(found[name] - found[plain]).max(), len(forest.tokens)
        print(f"{name:36} {min(seconds[name][1:]):7.2f} s  {nodes:9,} nodes  {forest.read.sum():9,} read  {off:.1e} off")


def options(parser: argparse.ArgumentParser) -> None:
    """Which run, which suite, how much of it."""
    parser.add_argument("run", type=Path)
    parser.add_argument("suite")
    parser.add_argument("--pairs", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--random", action="store_true", help="random weights of the larger size")


def run(asked: argparse.Namespace) -> None:
    """Opens the run's newest checkpoint and its pairs, and measures."""
    torch.set_num_threads(1)
    keep_memory()
    folder = RunFolder.existing(asked.run)
    checkpoint = folder.checkpoints(folder.seeds()[0])[-1].folder
    tokenizer = open_tokenizer(checkpoint)
    table = disk.read_table(folder.pairs(asked.suite)).drop("contrast")
    pairs = [Pair(**row) for row in table.to_dicts()]
    pairs = random.Random(0).sample(pairs, min(asked.pairs, len(pairs)))
    torch.manual_seed(0)
    model = OPT(size="opt-1m", options=MEDIUM).build(len(tokenizer), 128, 2, 1).eval() if asked.random else open_model(checkpoint)
    measure(model, plan.make(pairs, tokenizer, token_store.bos_id(tokenizer), 128), asked.rounds)

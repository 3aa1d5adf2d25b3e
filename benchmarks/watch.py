"""What a Watch costs: a GPT-2 of transformers' Trainer on a text, with one beside it and without, in turns.

    python -m benchmarks watch --text FOLDER --blimp FOLDER [--steps 600] [--rounds 1]

Each turn is a fresh process with one thread.  Says the wall clock and the processor's seconds of the training process itself, what
the Watch says that training waited for it, and whether the losses are the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WAYS = ("none", "beside")
CONTEXT, BATCH, VOCABULARY = 128, 16, 4096


def options(parser: argparse.ArgumentParser) -> None:
    """Which text and suite, and how long."""
    parser.add_argument("--text", required=True, help="a folder of text, such as train_1M")
    parser.add_argument("--blimp", required=True, help="BLiMP's folder")
    parser.add_argument("--steps", type=int, default=600, help="of training")
    parser.add_argument("--pairs", type=int, default=20, help="of each paradigm that a checkpoint is read on")
    parser.add_argument("--rounds", type=int, default=1, help="turns of each way")
    parser.add_argument("--work", default="", help="keep the watched runs in this folder")


def run(asked: argparse.Namespace) -> None:
    """Prints a line a turn, then what the Watch added."""
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as temporary:
        for number in range(asked.rounds):
            for way in WAYS[:: 1 if number % 2 else -1]:
                words = [way, asked.text, asked.blimp, asked.steps, asked.pairs, asked.work or temporary, f"watched-{number}"]
                command = [sys.executable, "-m", "benchmarks.watch", *map(str, words)]
                said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
                found[way].append(json.loads(said))
                print(f"{way:6}", {name: value for name, value in found[way][-1].items() if name != "losses"}, flush=True)
    for what in ("wall", "processor"):
        best = {way: min(turn[what] for turn in turns) for way, turns in found.items()}
        print(f"{what}: {best['none']:.1f} s without, {best['beside']:.1f} s with, {best['beside'] / best['none'] - 1:+.1%}")
    same = all(turn["losses"] == found["none"][0]["losses"] for turns in found.values() for turn in turns)
    print("losses:", "the same, bit for bit" if same else "they differ")


def train(way: str, text: str, blimp: str, steps: int, pairs: int, work: str, name: str) -> dict[str, Any]:
    """One turn."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

    import ontogeny as og
    from ontogeny.corpora.text import Text
    from ontogeny.tokens.trained import BPE

    torch.set_num_threads(1)
    torch.manual_seed(0)
    lines = list(Text(path=Path(text)).documents())
    tokenizer = BPE(vocab_size=VOCABULARY).make(lines)
    stream = torch.tensor([one for line in lines for one in tokenizer(line.text)["input_ids"]])
    blocks = stream[: len(stream) // CONTEXT * CONTEXT].view(-1, CONTEXT)
    size = {"n_embd": 192, "n_layer": 4, "n_head": 6, "vocab_size": len(tokenizer), "n_positions": CONTEXT}
    model = GPT2LMHeadModel(GPT2Config(**size, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.bos_token_id))
    how = {"max_steps": steps, "per_device_train_batch_size": BATCH, "learning_rate": 1e-3, "warmup_steps": steps // 20}
    arguments = TrainingArguments(work, use_cpu=True, report_to=[], save_strategy="no", logging_steps=10, disable_tqdm=True, **how)
    settings = [f"scoring.pairs_per_paradigm={pairs}"]
    watches = [og.Watch("blimp", name, suite_path=blimp, root=work, settings=settings)] if way != "none" else []
    clock = Clock()
    rows = [{"input_ids": block, "labels": block} for block in blocks]
    trainer = Trainer(model, arguments, train_dataset=rows, processing_class=tokenizer, callbacks=[clock.begin(), *watches])
    trainer.add_callback(clock.end()) if not watches else trainer.callback_handler.callbacks.insert(0, clock.end())
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    waited = {} if not watches else og.open(Path(work) / name).folder.lineage()["watched"]["seeds"]["42"]["waited"]
    return {**clock.seconds, "waited": waited or 0.0, "losses": losses}


class Clock:
    """The seconds between a training's beginning and its end, before a Watch writes its page."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def begin(self) -> Any:
        """A callback that starts it."""
        return self._callback("on_train_begin", -1)

    def end(self) -> Any:
        """A callback that stops it."""
        return self._callback("on_train_end", 1)

    def _callback(self, when: str, sign: int) -> Any:
        from transformers import TrainerCallback

        def mark(*_: Any, **__: Any) -> None:
            for name, now in (("wall", time.monotonic()), ("processor", time.process_time())):
                self.seconds[name] = round(self.seconds.get(name, 0.0) + sign * now, 2)

        callback = TrainerCallback()
        setattr(callback, when, mark)
        return callback


if __name__ == "__main__":
    way, text, blimp, steps, pairs, work, name = sys.argv[1:]
    print(json.dumps(train(way, text, blimp, int(steps), int(pairs), work, name)))

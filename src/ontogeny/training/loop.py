"""The training loop, on one screen.  It yields at checkpoints; whoever drives it decides what reads them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ontogeny.recipe import Training
from ontogeny.records import OntogenyError
from ontogeny.tokens.token_store import TokenStore
from ontogeny.training import order
from ontogeny.training.engine import Engine
from ontogeny.training.schedule import learning_rate
from ontogeny.training.state import State


@dataclass(frozen=True, slots=True)
class Moment:
    """Training stands still after `step` optimiser steps, at a checkpoint, or because the state should be saved."""

    step: int
    checkpoint: bool
    tokens: int  # tokens predicted so far
    words: float  # whitespace words seen so far


def train(
    state: State, text: TokenStore, training: Training, engine: Engine, seed: int, steps: int, checkpoints: set[int]
) -> Iterator[Moment]:
    """Trains `state.model` to `steps`, in place, from wherever it stands; yields at each checkpoint and now and then to be saved.

    The loss is the mean over a batch's tokens, in nats.  Raises OntogenyError if it is no longer a number.
    """
    blocks, saved = text.blocks(training.context), time.monotonic()
    loss_of = engine.compiled(batch_loss)
    for step in range(state.step, steps + 1):
        # once in a while: hand the model over to whoever reads or saves it
        due = time.monotonic() - saved >= 60 * training.save_minutes
        if step in checkpoints or due:
            yield Moment(step, step in checkpoints, step * training.batch * training.context, state.words)
            saved = time.monotonic()
        if step == steps:
            return

        # one training step; its blocks and its dropout are functions of (seed, step) alone
        started = time.perf_counter()
        state.optimiser_step(learning_rate(training, step, steps))
        torch.manual_seed(seed * 1_000_003 + step)
        indices = order.batch(seed, step, training.batch, blocks, training.order == "shuffled")
        loss = 0.0
        for part in torch.from_numpy(text.block(indices, training.context)).chunk(training.accumulation):
            share = len(part) / training.batch
            tokens = part.to(engine.device, non_blocking=True)  # [blocks, context + 1]
            part_loss = share * loss_of(state.model, tokens, engine.autocast)
            part_loss.backward()
            loss += part_loss.item()
        norm = state.clip_and_update(training.clip)
        if loss != loss:
            raise OntogenyError(f"the loss is not a number at step {step + 1}; a smaller training.learning_rate may help")
        state.record(loss, norm, text.words_in(indices, training.context), time.perf_counter() - started)


def batch_loss(model: Any, tokens: Tensor, autocast: Callable[[], AbstractContextManager[Any]]) -> Tensor:
    """Mean negative log-probability, nats per token, of tokens [blocks, 1:] given those before; log-softmax in float32."""
    with autocast():
        logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
    return F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())


@torch.inference_mode()
def dev_loss(model: Any, text: TokenStore, training: Training, device: torch.device) -> float:
    """Mean nats per token, in float32, over at most `dev_tokens` tokens in whole blocks spread evenly over the held-out text.

    Raises OntogenyError if the text is shorter than one block.
    """
    import numpy as np

    blocks = text.blocks(training.context)
    wanted = min(blocks, max(1, training.dev_tokens // training.context))
    if not blocks:
        raise OntogenyError(f"the held-out text has {len(text)} tokens, less than one block of {training.context}")
    chosen = np.unique(np.linspace(0, blocks - 1, wanted).astype(np.int64))
    model.eval()
    total = 0.0
    for part in np.array_split(chosen, -(-len(chosen) // 32)):
        tokens = torch.from_numpy(text.block(part, training.context)).to(device)
        logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
        total += F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten(), reduction="sum").item()
    model.train()
    return total / (len(chosen) * training.context)

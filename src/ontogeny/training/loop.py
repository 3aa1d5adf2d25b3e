"""The training loop, on one screen.  It yields at checkpoints; whoever drives it decides what reads them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ontogeny.recipe import Training
from ontogeny.records import OntogenyError
from ontogeny.tokens.rows import Rows, targets
from ontogeny.training import order
from ontogeny.training.engine import Engine
from ontogeny.training.parallel import ALONE, Ranks
from ontogeny.training.schedule import learning_rate
from ontogeny.training.state import TrainingState
from ontogeny.training.treatment import Loss, Treatment, batch_loss

ROWS = 32  # of held-out text, in one forward pass


@dataclass(frozen=True, slots=True)
class Moment:
    """Training stands still after `step` optimiser steps, at a checkpoint, or because the state should be saved."""

    step: int
    checkpoint: bool
    tokens: int  # tokens predicted so far
    words: float  # whitespace words seen so far


def train(
    state: TrainingState,
    treatment: Treatment,
    training: Training,
    engine: Engine,
    seed: int,
    steps: int,
    checkpoints: set[int],
    ranks: Ranks = ALONE,
) -> Iterator[Moment]:
    """Trains `state.model` to `steps`, in place, from wherever it stands; yields at each checkpoint and now and then to be saved.

    The loss is the mean over a batch's targets, in nats; the processes of `ranks` share a batch's rows.  Raises OntogenyError if it
    is no longer a number.
    """
    saved = time.monotonic()
    loss_of = engine.compiled(treatment.loss)
    for step in range(state.step, steps + 1):
        # once in a while: hand the model over to whoever reads or saves it
        due = time.monotonic() - saved >= 60 * training.save_minutes
        if step in checkpoints or due:
            yield Moment(step, step in checkpoints, state.tokens, state.words)
            saved = time.monotonic()
        if step == steps:
            return

        # one training step; its rows and its dropout are functions of (seed, step) alone
        started = time.perf_counter()
        treatment.before(state, step, steps)
        state.optimiser_step(treatment.rate(learning_rate(training, step, steps), step, steps))
        torch.manual_seed(ranks.draw(seed * 1_000_003 + step))
        rows = treatment.rows(step, steps)
        indices = order.batch(seed, step, training.batch, len(rows), training.order == "shuffled")
        batch = rows.take(indices)
        counted, loss = targets(batch), 0.0
        sums, parts = ranks.sums(state.model), torch.from_numpy(ranks.share(batch)).chunk(ranks.parts(training.accumulation))
        for number, part in enumerate(parts, 1):
            tokens = part.to(engine.device, non_blocking=True)  # [rows, context + 1]
            part_loss = loss_of(state.model, tokens, engine.autocast) / counted
            if number == len(parts):
                sums.last()
            part_loss.backward()
            loss += part_loss.item()
        loss = sums.finish(loss)
        norm = state.clip_and_update(training.clip, loss)
        treatment.after(state, step, steps)
        if loss != loss:
            raise OntogenyError(f"the loss is not a number at step {step + 1}; a smaller training.learning_rate may help")
        state.record(loss, norm, counted, rows.words(indices), time.perf_counter() - started)


@torch.inference_mode()
def dev_loss(model: Any, text: Rows, training: Training, device: torch.device, loss: Loss = batch_loss) -> float:
    """Mean nats per token, in float32, over about `dev_tokens` tokens in whole rows spread evenly over the held-out text.

    Raises OntogenyError if the text is shorter than one row.
    """
    wanted = min(len(text), max(1, training.dev_tokens // training.context))
    if not len(text):
        raise OntogenyError(f"the held-out text is shorter than one block of {training.context} tokens")
    chosen = np.unique(np.linspace(0, len(text) - 1, wanted).astype(np.int64))
    model.eval()
    total, counted = 0.0, 0
    for part in np.array_split(chosen, -(-len(chosen) // ROWS)):
        rows = text.take(part)
        total += loss(model, torch.from_numpy(rows).to(device), nullcontext).item()
        counted += targets(rows)
    model.train()
    return total / counted

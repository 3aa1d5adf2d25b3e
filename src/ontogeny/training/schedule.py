"""At which steps a checkpoint is kept, and how the learning rate moves."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ontogeny.recipe import MOST_STEPS, Schedule, Training
from ontogeny.records import OntogenyError

MOST_CHECKPOINTS = 100_000


def total_steps(training: Training, blocks: int) -> int:
    """Optimiser steps of a run over a stream of `blocks` blocks.  Raises OntogenyError if that is none, or beyond MOST_STEPS."""
    wanted = training.steps or training.epochs * blocks / training.batch
    if wanted > MOST_STEPS:
        raise OntogenyError(f"training.epochs is {training.epochs:g}: {wanted:.3g} steps, more than {MOST_STEPS:,}")
    steps = math.floor(wanted)
    if steps < 1:
        raise OntogenyError(
            f"the training text has {blocks} blocks of {training.context} tokens, fewer than one batch of {training.batch}; "
            "make training.batch or training.context smaller, or set training.steps"
        )
    return steps


def warmup_steps(training: Training, steps: int) -> int:
    """Steps of linear warm-up: a share of all steps if below 1, else a number of steps."""
    return round(training.warmup * steps) if training.warmup < 1 else int(training.warmup)


def checkpoint_steps(schedule: Schedule, steps: int, words_per_step: float, name: str = "checkpoints") -> list[int]:
    """Steps of the checkpoints, in order; 0 and the last are always among them.  `name`: the schedule's, in errors.

    Raises OntogenyError for a step past the last, for more than MOST_CHECKPOINTS, and for words that are not known.
    """
    if schedule.kind == "words" and not words_per_step:
        raise OntogenyError(f"{name} goes by words, and how many words these checkpoints have seen is not known")
    if schedule.kind == "default" and (many := min(1 / schedule.share, steps)) > MOST_CHECKPOINTS:
        raise OntogenyError(f"{name}.share is {schedule.share:g}: {many:,.0f} checkpoints, more than {MOST_CHECKPOINTS:,}")
    chosen = {
        "default": lambda: _default(schedule.share, steps),
        "words": lambda: _words(words_per_step, steps),
        "steps": lambda: list(schedule.steps),
        "shares": lambda: [round(share * steps) for share in schedule.shares],
    }[schedule.kind]()
    beyond = [step for step in chosen if not 0 <= step <= steps]
    if beyond:
        raise OntogenyError(f"{name}.steps has {beyond[0]}, but training ends at step {steps}")
    return sorted({0, *chosen, steps})


def nearest(schedule: Schedule, kept: Sequence[int], words_per_step: float, name: str) -> set[int]:
    """Of the checkpoints that are `kept`, the nearest to each step of a schedule; of two the earlier.  Raises as above."""
    wanted = checkpoint_steps(schedule, max(kept), words_per_step, name)
    return {min(kept, key=lambda step: (abs(step - one), step)) for one in wanted}


def _default(share: float, steps: int) -> list[int]:
    """Powers of two until the first multiple of `share` of the steps, then every such multiple."""
    first = share * steps
    return [2**k for k in range(steps.bit_length()) if 2**k < first] + multiples(first, steps)


def multiples(apart: float, steps: int) -> list[int]:
    """The steps nearest to each multiple of a distance, up to `steps`; each step once where the distance is less than one."""
    return [round(k * apart) for k in range(1, int(steps / apart) + 1)] if apart >= 1 else list(range(1, steps + 1))


def _words(words_per_step: float, steps: int) -> list[int]:
    """The step nearest to each mark of BabyLM 2025: every 1M words to 10M, every 10M to 100M, every 100M to 1B."""
    million = 1_000_000
    marks = [*range(1, 10), *range(10, 100, 10), *range(100, 1001, 100)]
    nearest = [round(mark * million / words_per_step) for mark in marks]
    return [step for step in nearest if 0 < step <= steps]


def learning_rate(training: Training, step: int, steps: int) -> float:
    """Learning rate of optimiser step `step` (from 0): linear warm-up that reaches the peak at its last step, then the schedule."""
    warmup = warmup_steps(training, steps)
    if step < warmup:
        return training.learning_rate * (step + 1) / warmup
    if training.schedule == "inverse-sqrt":  # Vaswani et al. 2017, section 5.3
        return training.learning_rate * math.sqrt(max(1, warmup) / (step + 1))
    done = (step - warmup) / max(1, steps - warmup)
    shape = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[training.schedule]
    floor = 1.0 if training.schedule == "constant" else training.final_share
    return training.learning_rate * (floor + (1 - floor) * shape)

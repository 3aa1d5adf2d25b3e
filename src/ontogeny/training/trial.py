"""A few steps of each way to train, on copies of the model, before a training: precision, compilation, the loss in place or not.

Which is fastest depends on processor and model, and no rule knows it.  What is found is kept in the lineage, and the run goes on
with it, so that its losses stay the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch

from ontogeny.recipe import Training
from ontogeny.training.engine import Engine, bfloat16_pays, can_compile, operations
from ontogeny.training.loop import train
from ontogeny.training.state import TrainingState
from ontogeny.training.treatment import Treatment, batch_loss

ROUNDS = {"cpu": 3, "cuda": 10}  # steps of each way, in turn; the first warms up or compiles
SHARE = 0.02  # of the training's time that a trial may take
COMPILE_SECONDS = 20.0  # a guess, for models of a few layers on one core
GAIN = 1.03  # how much faster another way must be: less is chance on a machine that does other things too
PAYS_AFTER = {"cpu": 2e13, "cuda": 1e16}  # floating-point operations: minutes of training

Build = Callable[[], Any]
"""A freshly initialised network, as `Treatment.model` takes it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One way and its speed."""

    engine: Engine
    first: float  # seconds to the end of the first step, with all that is made ready in it
    step: float  # seconds of a later step: of the fastest, as other work on the machine can only slow one down
    tokens: int  # predicted in a step
    trouble: str = ""  # why it cannot be taken

    @property
    def rate(self) -> float:
        """Tokens a second after the first step."""
        return self.tokens / self.step

    def whole(self, steps: int) -> float:
        """Seconds of a training of so many steps."""
        return float("inf") if self.trouble else self.first + (steps - 1) * self.step

    def facts(self) -> dict[str, Any]:
        """Plain values for the lineage."""
        if self.trouble:
            return {"way": str(self.engine), "trouble": self.trouble}
        return {"way": str(self.engine), "first": self.first, "step": self.step, "tokens_per_second": self.rate}

    def __str__(self) -> str:
        if self.trouble:
            return f"{self.engine}: failed"
        ready = f" after {self.first:.0f} s" if self.engine.compile else ""
        return f"{self.engine} {self.rate:,.0f} tokens/s{ready}"


@dataclass(frozen=True, slots=True)
class Trial:
    """What was tried, if anything was, and what came of it."""

    engine: Engine
    tried: tuple[Measured, ...] = ()
    seconds: float = 0.0
    none: str = ""  # why nothing was tried

    def facts(self) -> dict[str, Any]:
        """Plain values for the lineage."""
        if self.none:
            return {"none": self.none}
        return {"chosen": str(self.engine), "seconds": self.seconds, "tried": [way.facts() for way in self.tried]}

    def __str__(self) -> str:
        if self.none:
            return f"no trial of ways to train: {self.none}"
        return f"trial ({self.seconds:.0f} s): {'; '.join(map(str, self.tried))}; chosen: {self.engine}"


def choose(build: Build, treatment: Treatment, training: Training, default: Engine, parameters: int, steps: int) -> Trial:
    """The fastest way for a training of `steps` steps, among those the recipe leaves open; `default` unless another is much faster.

    Compiled ways are tried if there is time for it, in the precision that is faster without.  Leaves torch's generators and its
    number of threads as they were.
    """
    started, ways = time.perf_counter(), open_ways(training, default, treatment)
    without, compiled = ([way for way in ways if way.compile is on] for on in (False, True))
    if reason := not_worth_it(training, default, parameters, steps, len(ways), len(without or compiled)):
        return Trial(default, none=reason)
    tried = race(without, build, treatment, training, steps)
    if tried:
        best = min(tried, key=lambda way: way.whole(steps))
        compiled = [way for way in compiled if way.precision == best.engine.precision]
        if training.trial == "auto" and len(compiled) * COMPILE_SECONDS > SHARE * best.whole(steps):
            compiled = []
    tried += race(compiled, build, treatment, training, steps)
    return Trial(fastest(tried, default, steps), tuple(tried), time.perf_counter() - started)


def not_worth_it(training: Training, default: Engine, parameters: int, steps: int, ways: int, first: int) -> str:
    """Why `ways` ways, of which `first` are tried in any case, are not worth a trial; empty if they are."""
    kind = default.device.type
    tries = first * ROUNDS[kind]
    if training.trial == "off":
        return "training.trial is off"
    if ways < 2:
        return "the recipe leaves nothing open"
    if steps < ROUNDS[kind]:
        return f"{ROUNDS[kind]} steps of each way are more than the training has"
    if training.trial == "on":
        return ""
    if operations(training, parameters, steps) < PAYS_AFTER[kind]:
        return "the training is too short to gain by one"
    if tries > SHARE * steps:
        return f"{tries} steps would be more than {SHARE:.0%} of the training's {steps:,}"
    return ""


def fastest(tried: Sequence[Measured], default: Engine, steps: int) -> Engine:
    """The way with the shortest training; `default` where nothing is faster by GAIN, or it was not tried for lack of time."""
    best = min(tried, key=lambda way: way.whole(steps))
    own = next((way for way in tried if way.engine == default), None)
    if own is None or own.whole(steps) <= GAIN * best.whole(steps):
        return default
    return best.engine


def open_ways(training: Training, default: Engine, treatment: Treatment) -> list[Engine]:
    """Every way that recipe, machine and objective leave open."""
    precisions = [default.precision]
    if training.precision == "auto" and bfloat16_pays(default.device):
        precisions = ["float32", "bfloat16"]
    compiles = [default.compile]
    if training.compile == "auto" and can_compile(default.device):
        compiles = [False, True]
    places = [default.in_place]
    if training.in_place == "auto" and treatment.loss is batch_loss:
        places = [False, True]
    chosen = product(precisions, compiles, places)
    return [replace(default, precision=precision, compile=on, in_place=place) for precision, on, place in chosen]


def race(ways: Sequence[Engine], build: Build, treatment: Treatment, training: Training, steps: int) -> list[Measured]:
    """Trains a copy of the model in each way, a step of each in turn, so that a busy moment of the machine meets all of them."""
    if not ways:
        return []
    device, threads, rounds = ways[0].device, torch.get_num_threads(), ROUNDS[ways[0].device.type]
    clocks, troubles = {way: list[float]() for way in ways}, dict[Engine, str]()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        ways[0].start()
        runs = {way: first_steps(way, build, treatment, training, steps, rounds) for way in ways}
        for _, way in product(range(rounds), ways):
            try:
                if way not in troubles:
                    clocks[way].append(next(runs[way]))
            except Exception as error:  # compilers fail in many ways, and none of them is a reason not to train
                troubles[way] = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        del runs
    torch.set_num_threads(threads)
    if any(way.compile for way in ways):
        torch._dynamo.reset()  # the training compiles anew, as it would have without a trial
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    return [measured(way, clocks[way], training, troubles.get(way, "")) for way in ways]


def measured(engine: Engine, clock: Sequence[float], training: Training, trouble: str = "") -> Measured:
    """From the seconds of each of a way's first steps."""
    first, step = (0.0, 0.0) if trouble else (clock[0], min(clock[1:]))
    return Measured(engine, first, step, training.batch * training.context, trouble)


def first_steps(engine: Engine, build: Build, treatment: Treatment, training: Training, steps: int, count: int) -> Iterator[float]:
    """The first `count` steps of a training of `steps` steps, as `train` does them, without changes of the weights in its course.

    Yields the seconds of each.  The first counts from nothing: model, optimiser and, where the engine compiles, compilation.
    """
    started = time.perf_counter()
    torch.manual_seed(0)
    model = treatment.model(build()).to(engine.device)
    plain = replace(treatment, changes=())
    state = TrainingState(model, training)
    for moment in train(state, plain, training, engine, 0, steps, set(range(count + 1))):
        if moment.step:
            yield time.perf_counter() - started if moment.step == 1 else state.history[-1][-1]

"""This package, through the code that a run goes through."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.pace import Pace
from benchmarks.turns import Facts, Job
from ontogeny import recipe as recipes
from ontogeny import store
from ontogeny.laboratory import Run
from ontogeny.recipe import Scoring
from ontogeny.records import Pair
from ontogeny.scoring import pairs as scores
from ontogeny.scoring import plan, readout
from ontogeny.scoring.reading import context_of, open_model
from ontogeny.tokens.pretrained import open_tokenizer
from ontogeny.tokens.token_store import bos_id
from ontogeny.training.engine import find_device, keep_memory
from ontogeny.training.session import train_seed


def scorer(job: Job) -> Callable[[Path], tuple[NDArray[np.float64], Facts]]:
    """The suite is planned with the first folder's tokenizer and kept for the others, as a run does."""
    pairs = [Pair(*row) for row in json.loads(Path(job.pairs).read_text(encoding="utf-8"))]
    device, batch_tokens = find_device(job.device), Scoring().batch_tokens
    todo: plan.Plan | None = None
    keep_memory()

    def score(folder: Path) -> tuple[NDArray[np.float64], Facts]:
        nonlocal todo
        began = time.perf_counter()
        store.weights_hash(folder)
        model = open_model(folder).to(device)
        if todo is None:
            tokenizer = open_tokenizer(folder)
            first = bos_id(tokenizer) if job.bos else None
            todo = plan.make(pairs, tokenizer, first, context_of(model, None), job.leading_space)
        with clocked(model) as inside:
            scored = scores.read(model, todo, device, batch_tokens, precision=job.precision)
        seconds = time.perf_counter() - began
        if todo.too_long:
            raise RuntimeError(f"{len(todo.too_long)} pairs are longer than the model's context: nothing to compare")
        shares = {f"share outside the {name}": 1 - clock.spent / seconds for name, clock in inside.items()}
        facts: Facts = {name: scored.facts[name] for name in ("way", "bfloat16") if name in scored.facts}
        return scored.frame.select("logp_good", "logp_bad").to_numpy(), {**facts, **shares}

    return score


class Clock:
    """Seconds between the outermost `enter` and its `leave`."""

    def __init__(self, cuda: bool):
        self.cuda, self.depth, self.began, self.spent = cuda, 0, 0.0, 0.0

    def now(self) -> float:
        """After all that the device was asked to do."""
        if self.cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    def enter(self, *call: Any) -> None:
        """As a forward_pre_hook."""
        self.began = self.began if self.depth else self.now()
        self.depth += 1

    def leave(self, *call: Any) -> None:
        """As a forward_hook."""
        self.depth -= 1
        self.spent += 0.0 if self.depth else self.now() - self.began


@contextmanager
def clocked(model: Any) -> Iterator[dict[str, Clock]]:
    """Time in the model's own modules, and in passes: modules, log-softmax and picking out the tokens' probabilities."""
    cuda = next(model.parameters()).is_cuda
    clocks = {"modules": Clock(cuda), "passes": Clock(cuda)}
    body, head = getattr(model, model.base_model_prefix, model), model.get_output_embeddings()
    modules = [module for module in (model, body, head) if module is not None]
    hooks = [module.register_forward_pre_hook(clock.enter) for module in modules for clock in clocks.values()]
    hooks += [module.register_forward_hook(clock.leave) for module in modules for clock in clocks.values()]
    plain = readout.Readout.logps

    def logps(way: readout.Readout, *call: Any) -> Any:
        clocks["passes"].enter()
        found = plain(way, *call)
        clocks["passes"].leave()
        return found

    readout.Readout.logps = logps  # type: ignore
    try:
        yield clocks
    finally:
        readout.Readout.logps = plain  # type: ignore[method-assign]
        for hook in hooks:
            hook.remove()


def train(job: Job, precision: str, pace: Pace) -> None:
    """A run of its own around text that was tokenised before, until the pace is known; `precision` is the recipe's own choice."""
    asked = Path(job.run)
    recipe = recipes.load(asked / "recipe.yaml", [f"training.threads={job.threads}", f"training.device={job.device}"])
    pace.tokens = recipe.training.batch * recipe.training.context
    for part in ("tokenizer", "tokens"):
        shutil.copytree(asked / part, Path(job.scratch) / recipe.name / part)
    run = Run.begin(recipe, job.scratch)
    plan = run.training_plan()
    engine = plan.engine
    pace.told["engine"] = f"{engine.precision}, {'compiled' if engine.compile else 'not compiled'}"
    pace.told["parameters"] = plan.parameters
    for _ in train_seed(run.folder, recipe, run.text, run.treatment(0), plan, 0, lambda step, loss: pace.step()):
        pass

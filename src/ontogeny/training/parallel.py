"""Several processes that train one model, as torchrun starts them: who is who, and what they add up.

Each process takes its rows of every batch, gradients are added up over all of them while the backward pass goes on, and each makes
the same update: the losses are those of one process, to rounding.  The first process does everything else.  It alone reads the
recipe, writes and reports, and it tells the others what to train.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib import import_module
from typing import Any

import torch
from numpy.typing import NDArray
from torch import distributed as dist

from ontogeny.recipe import Recipe
from ontogeny.records import OntogenyError
from ontogeny.training.engine import Engine

# While the first process reads checkpoints the others wait for it; torchrun ends them all if one dies.
PATIENCE = timedelta(days=30)
BUCKET = 25 * 2**20  # bytes of gradients that are added up at once


@dataclass(frozen=True, slots=True)
class Ranks:
    """One of the processes that train together."""

    rank: int = 0
    size: int = 1
    place: int = 0  # among those on this machine
    beside: int = 1  # how many there are on this machine

    def engine(self, whole: Engine) -> Engine:
        """This process's part of the machine: a GPU of its own, or its share of the threads.

        Raises OntogenyError if there are fewer GPUs than processes.
        """
        if self.size == 1:
            return whole
        if whole.device.type != "cuda":
            return replace(whole, threads=max(1, whole.threads // self.beside))
        if self.place >= torch.cuda.device_count():
            raise OntogenyError(
                f"{self.beside} processes train on this machine, each on a GPU of its own, and it has {torch.cuda.device_count()}; "
                "give torchrun a smaller --nproc_per_node, or set training.device to cpu"
            )
        return replace(whole, device=torch.device("cuda", self.place))

    def check(self, recipe: Recipe) -> None:
        """Raises OntogenyError if a batch cannot be shared evenly, or not as one process would have it."""
        batch = recipe.training.batch
        drawing = [f"a model of kind {recipe.model.kind}"] if hasattr(recipe.model, "loss") else []
        drawing += [f"the intervention {part.kind}" for part in recipe.interventions if getattr(part, "draws", False)]
        if self.size > 1 and drawing:
            raise OntogenyError(
                f"{drawing[0]} draws something for each batch, such as what it hides, and {self.size} processes would draw "
                "otherwise than one; train it with one process"
            )
        if batch % self.size:
            divisors = [n for n in range(1, batch + 1) if batch % n == 0]
            raise OntogenyError(
                f"training.batch is {batch} rows, which {self.size} processes cannot share evenly; make it "
                f"{self.size * (batch // self.size + 1)}, or start one of {divisors} processes"
            )

    def share(self, rows: NDArray[Any]) -> NDArray[Any]:
        """This process's rows of a batch: the first process has the first ones."""
        each = len(rows) // self.size
        return rows[self.rank * each : (self.rank + 1) * each]

    def parts(self, accumulation: int) -> int:
        """Parts that its rows are split into, so that no part is larger than one process's would be."""
        return -(-accumulation // self.size)

    def draw(self, seed: int) -> int:
        """A seed for what this process draws: another for each, the first one's as if it were alone."""
        return seed + self.rank * 2_654_435_769  # torch's generator on a CPU takes the last 32 bits of a seed alone

    def sums(self, model: Any) -> Sums:
        """What adds up one step's gradients over all processes."""
        return Sums([p for p in model.parameters() if p.requires_grad] if self.size > 1 else [])

    @torch.no_grad()
    def agree(self, model: Any, step: int) -> None:
        """Waits until all are ready to go on from `step`, and gives them the first one's weights.

        Raises OntogenyError if they stand at different steps, which is so where they do not see the same folder.
        """
        if self.size == 1:
            return
        steps: list[Any] = [None] * self.size
        dist.all_gather_object(steps, step)
        if len(set(steps)) > 1:
            raise OntogenyError(f"the processes would go on from different steps, {steps}: all of them must see the run's folder")
        for parameter in model.parameters():
            dist.broadcast(parameter, 0)

    def tell(self, order: tuple[str, int] | None) -> None:
        """Tells all others, which wait in `told`, the run's folder and the seed that is trained next; None: it is over."""
        if self.size > 1:
            dist.broadcast_object_list([order], 0)

    def told(self) -> tuple[str, int] | None:
        """Waits for what the first process tells."""
        heard: list[Any] = [None]
        dist.broadcast_object_list(heard, 0)
        return heard[0]  # type: ignore[no-any-return]


class Sums:
    """One step's gradients added up over all processes, in place: each bucket as soon as the last backward pass has made it."""

    def __init__(self, parameters: Sequence[Any]):
        self.parameters = parameters  # none: this process is alone
        self.buckets = _buckets(parameters)
        self.sent: list[tuple[Any, Any]] = []  # what to wait for, and the bucket's gradients in a row, a copy
        self._hooks: list[Any] = []

    def last(self) -> None:
        """The backward pass that follows is the step's last one: buckets are added up while it goes on, in an order all share."""
        waiting = [len(bucket) for bucket in self.buckets]
        place = {parameter: number for number, bucket in enumerate(self.buckets) for parameter in bucket}

        def made(parameter: Any) -> None:
            waiting[place[parameter]] -= 1
            while len(self.sent) < len(self.buckets) and not waiting[len(self.sent)]:
                self._send()

        self._hooks = [parameter.register_post_accumulate_grad_hook(made) for parameter in self.parameters]

    @torch.no_grad()
    def finish(self, loss: float) -> float:
        """Waits for all of them, and returns the sum of the losses.  A parameter that had no gradient in any process has none."""
        if not self.parameters:
            return loss
        for hook in self._hooks:
            hook.remove()
        had = [parameter.grad is not None for bucket in self.buckets for parameter in bucket]
        while len(self.sent) < len(self.buckets):
            self._send()
        told = torch.tensor([loss, *had], dtype=torch.float64, device=self.parameters[0].device)
        dist.all_reduce(told)
        found = iter(told.tolist())
        loss = next(found)
        for bucket, (work, flat) in zip(self.buckets, self.sent, strict=True):
            work.wait()
            for parameter, part in zip(bucket, torch.split(flat, [p.numel() for p in bucket]), strict=True):
                parameter.grad = part.view_as(parameter) if next(found) else None
        return loss

    @torch.no_grad()
    def _send(self) -> None:
        bucket = self.buckets[len(self.sent)]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in bucket])
        self.sent.append((dist.all_reduce(flat, async_op=True), flat))


def _buckets(parameters: Sequence[Any]) -> list[list[Any]]:
    """Parameters of one type together, the last first, as a backward pass makes their gradients; up to BUCKET bytes each."""
    found: list[list[Any]] = []
    room = 0
    for parameter in reversed(parameters):
        size = parameter.numel() * parameter.element_size()
        if not found or size > room or found[-1][0].dtype != parameter.dtype:
            found.append([])
            room = BUCKET
        found[-1].append(parameter)
        room -= size
    return found


ALONE = Ranks()


def here() -> Ranks:
    """This process among those that train together; alone unless `together` began."""
    if not (dist.is_available() and dist.is_initialized()):
        return ALONE
    size = dist.get_world_size()
    return Ranks(
        dist.get_rank(), size, int(os.environ.get("LOCAL_RANK", dist.get_rank())), int(os.environ.get("LOCAL_WORLD_SIZE", size))
    )


@contextmanager
def together() -> Iterator[Ranks]:
    """Joins the processes that torchrun's environment names; at its end, if it is a good one, the first tells the others."""
    # Its functions keep the group of the time of their import as a default, for good: one made later would never be taken down,
    # and a thread of it that still works as the interpreter ends aborts the process.
    import_module("torch.distributed.nn.functional")
    gpu = torch.cuda.is_available() and dist.is_nccl_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=PATIENCE)
    ranks = here()
    if gpu and ranks.place < torch.cuda.device_count():
        torch.cuda.set_device(ranks.place)
    try:
        yield ranks
    except SystemExit as end:  # how a command line ends, also well
        if not end.code:
            _part(ranks)
        raise
    _part(ranks)


def _part(ranks: Ranks) -> None:
    if ranks.rank == 0:
        ranks.tell(None)
    dist.destroy_process_group()

"""How a training is treated: what it reads when, what it minimises, and what is done to the weights on the way.

The plain treatment reads one stream, minimises the mean negative log-probability of the next token, and does nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ontogeny.tokens.rows import NOT_COUNTED, Rows

if TYPE_CHECKING:
    from ontogeny.training.state import TrainingState

IN_PLACE_BYTES = 2**23  # of logits at a time, so that a processor's cache holds them from one pass to the next

Autocast = Callable[[], AbstractContextManager[Any]]
Loss = Callable[[Any, Tensor, Autocast], Tensor]
"""(model, tokens [rows, context + 1], autocast) -> nats, summed over the targets tokens[:, 1:] that count."""


def batch_loss(model: Any, tokens: Tensor, autocast: Autocast) -> Tensor:
    """Negative log-probability in nats of tokens [rows, 1:] given those before, summed; log-softmax in float32."""
    logits = logits_of(model, tokens, autocast)
    return F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten(), ignore_index=NOT_COUNTED, reduction="sum")


def logits_of(model: Any, tokens: Tensor, autocast: Autocast) -> Tensor:
    """What the model says [rows, context, vocabulary] of tokens [rows, 1:], in the precision of the forward pass."""
    with autocast():
        logits: Tensor = model(input_ids=inputs_of(tokens), use_cache=False).logits
    return logits


def nats_of(logits: Tensor, tokens: Tensor) -> Tensor:
    """Nats of each target tokens[:, 1:], row by row [rows * context], 0 where it does not count; log-softmax in float32."""
    targets = tokens[:, 1:].flatten()
    return F.cross_entropy(logits.flatten(0, 1).float(), targets, ignore_index=NOT_COUNTED, reduction="none")


def in_place_loss(logits_of: Callable[..., Tensor]) -> Loss:
    """`batch_loss` that writes the logits' gradient over them: no tensor of their size is made but the logits.

    Where there is no gradient to write it is `batch_loss`.  torch refuses it with a RuntimeError, in the backward pass, for a model
    that needs the logits themselves for its own gradient.
    """

    def loss(model: Any, tokens: Tensor, autocast: Autocast) -> Tensor:
        logits, targets = logits_of(model, tokens, autocast).flatten(0, 1).float(), tokens[:, 1:].flatten()
        if logits.requires_grad and logits.is_contiguous():
            return _CrossEntropyInPlace.apply(logits, targets)  # type: ignore[no-any-return, no-untyped-call]
        return F.cross_entropy(logits, targets, ignore_index=NOT_COUNTED, reduction="sum")

    return loss


class _CrossEntropyInPlace(torch.autograd.Function):
    """Nats of targets [rows], summed, given logits [rows, vocabulary], which become their gradient: softmax, - 1 at the target."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        written = logits.detach()  # the same memory and the same count of versions, by which torch knows that it was written to
        rows = IN_PLACE_BYTES // (4 * logits.shape[1]) + 1 if logits.device.type == "cpu" else len(logits)
        total = written.new_zeros(())
        for part, target in zip(torch.split(written, rows), torch.split(targets, rows), strict=True):
            counts, own = (target != NOT_COUNTED)[:, None], target.clamp(min=0)[:, None]
            part -= part.amax(-1, keepdim=True)
            said = part.gather(-1, own)
            norm = part.exp_().sum(-1, keepdim=True)
            total += torch.where(counts, norm.log() - said, 0.0).sum()
            part *= counts / norm
            part.scatter_add_(-1, own, -counts.to(part.dtype))
        ctx.save_for_backward(written)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (written,) = ctx.saved_tensors
        return written.mul_(gradient), None


def inputs_of(tokens: Tensor) -> Tensor:
    """Input ids [rows, context].  Past a row's end stands any token: a causal model's predictions before it do not change."""
    return tokens[:, :-1].clamp(min=0)


class Change:
    """Something done to a model in the course of training.  Each method does nothing unless a kind of change says what.

    What it decides at random is a function of (seed, step), so that a training that goes on after a kill stays the same.
    """

    def before(self, state: TrainingState, step: int, steps: int) -> None:
        """Before optimiser step `step` (from 0) of `steps`."""

    def after(self, state: TrainingState, step: int, steps: int) -> None:
        """After it; `state.step` still counts the steps before it."""

    def rows(self, rows: Rows, step: int, steps: int) -> Rows:
        """What the step reads from, given what the periods and the changes before this one say."""
        return rows

    def rate(self, rate: float, step: int, steps: int) -> float:
        """The learning rate of the step, given what the schedule and the changes before this one say."""
        return rate

    def kept(self, state: TrainingState) -> AbstractContextManager[None]:
        """Inside it `state.model` holds what a checkpoint keeps."""
        return nullcontext()

    def tensors(self) -> dict[str, Tensor]:
        """What it needs, besides step and seed, to go on after a kill."""
        return {}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Takes back what `tensors` gave."""

    def facts(self) -> dict[str, int]:
        """What a checkpoint says of it so far, beside tokens and words."""
        return {}


class Period(NamedTuple):
    """A stretch of training that reads one stream."""

    until: float  # share of the optimiser steps at which it ends
    rows: Rows


def _as_it_is(model: Any) -> Any:
    return model


@dataclass(frozen=True, slots=True)
class Treatment:
    """What a training reads and how it is treated."""

    periods: tuple[Period, ...]  # in order; the last ends at 1
    loss: Loss = batch_loss
    model: Callable[[Any], Any] = _as_it_is  # the module that is trained, given the freshly initialised network
    changes: tuple[Change, ...] = ()

    def rows(self, step: int, steps: int) -> Rows:
        """What optimiser step `step` (from 0) reads from."""
        rows = next(period.rows for period in self.periods if step / steps < period.until or period is self.periods[-1])
        for change in self.changes:
            rows = change.rows(rows, step, steps)
        return rows

    def before(self, state: TrainingState, step: int, steps: int) -> None:
        """Lets each change do what it does before a step, and a loss that changes in the course of training know where it is."""
        if at := getattr(self.loss, "at", None):
            at(step, steps)
        for change in self.changes:
            change.before(state, step, steps)

    def after(self, state: TrainingState, step: int, steps: int) -> None:
        """Lets each change do what it does after a step."""
        for change in self.changes:
            change.after(state, step, steps)

    def rate(self, rate: float, step: int, steps: int) -> float:
        """The learning rate of a step, given the schedule's."""
        for change in self.changes:
            rate = change.rate(rate, step, steps)
        return rate

    @contextmanager
    def kept(self, state: TrainingState) -> Iterator[None]:
        """Inside it `state.model` holds what a checkpoint keeps."""
        with ExitStack() as stack:
            for change in self.changes:
                stack.enter_context(change.kept(state))
            yield

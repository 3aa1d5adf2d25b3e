"""Losses that are made place by place, so that several objectives can follow one another in one training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from ontogeny.training.treatment import Autocast


class Said(NamedTuple):
    """What a network says of a batch."""

    model: Any
    tokens: Tensor  # [rows, context + 1]
    logits: Tensor  # [rows, context, vocabulary], in the precision of the forward pass
    plain: Tensor  # [rows * context] nats of the targets tokens[:, 1:], 0 where one does not count
    autocast: Autocast


class PlaceLoss:
    """A loss that takes each place's nats, as the one before it left them, and leaves others.

    A kind says what it changes, of what is read or of the nats; all else is the plain loss.
    """

    def at(self, step: int, steps: int) -> None:
        """Before optimiser step `step` (from 0) of `steps`."""

    def reads(self, inputs: Tensor) -> Tensor:
        """What the network reads [rows, context] in place of these inputs."""
        return inputs

    def nats(self, nats: Tensor, said: Said) -> Tensor:
        """What is minimised [rows * context] in place of these nats."""
        return nats

    def __call__(self, model: Any, tokens: Tensor, autocast: Autocast) -> Tensor:
        """Nats summed over the targets tokens[:, 1:] that count."""
        return in_turn((self,), model, tokens, autocast)


class InTurn(PlaceLoss):
    """Several of them, one after the other, of one forward pass."""

    def __init__(self, parts: Sequence[PlaceLoss]):
        self.parts = tuple(parts)

    def at(self, step: int, steps: int) -> None:
        """Lets each know where training is."""
        for part in self.parts:
            part.at(step, steps)

    def __call__(self, model: Any, tokens: Tensor, autocast: Autocast) -> Tensor:
        """Nats summed over the targets tokens[:, 1:] that count."""
        return in_turn(self.parts, model, tokens, autocast)


def in_turn(parts: Sequence[PlaceLoss], model: Any, tokens: Tensor, autocast: Autocast) -> Tensor:
    """What all parts have left of a batch's nats, summed."""
    from ontogeny.training.treatment import inputs_of, nats_of

    inputs = inputs_of(tokens)
    for part in parts:
        inputs = part.reads(inputs)
    with autocast():
        logits = model(input_ids=inputs, use_cache=False).logits
    nats = nats_of(logits, tokens)
    said = Said(model, tokens, logits, nats, autocast)
    for part in parts:
        nats = part.nats(nats, said)
    return nats.sum()

"""What a model that reads from left to right keeps of the tokens so far, so that it can go on from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

Parts = tuple[Tensor, ...]


@dataclass
class RecurrentState:
    """Of each layer its tensors [rows, ...], which no model writes into: it puts others in their place, or into another."""

    parts: dict[int, Parts] = field(default_factory=dict)
    seen: int = 0  # tokens of each row, padding among them

    def select(self, rows: Tensor) -> RecurrentState:
        """Some rows, in this order, as often as they are named."""
        return RecurrentState(
            {layer: tuple(part.index_select(0, rows) for part in parts) for layer, parts in self.parts.items()}, self.seen
        )

    def reorder_cache(self, rows: Tensor) -> None:
        """The same in place: what transformers' beam search calls."""
        self.parts = self.select(rows).parts

    def get_seq_length(self) -> int:
        """Tokens so far, as transformers asks for them."""
        return self.seen


def join(states: Sequence[RecurrentState]) -> RecurrentState:
    """One state with the rows of several, one after the other."""
    if len(states) == 1:
        return states[0]
    parts = {}
    for layer in states[0].parts:
        columns = zip(*(state.parts[layer] for state in states), strict=True)
        parts[layer] = tuple(torch.cat(column) for column in columns)
    return RecurrentState(parts, max(state.seen for state in states))

"""Beginnings that sentences share, for models that read from left to right: each is read once and its state handed on.

A tree is cut into segments, the chains of nodes between two branchings.  Segments of one length are read side by side, each from
the state at the end of the segment above it: those that branch level by level, a level being the number of branchings above, and
all others together at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ontogeny.architectures.models.state import RecurrentState
from ontogeny.scoring.forest import Integers

NODES = 32768  # of a tree: enough for wide passes, and few enough states to keep
TOKENS = 2048  # of a pass: a state of its own costs each segment something, and a pass each layer
Carry = Callable[
    [torch.Tensor, RecurrentState | None, bool], tuple[torch.Tensor, RecurrentState]
]  # ids [B, T], before, keep -> [B, T, width], after


@dataclass(frozen=True, slots=True)
class Segments:
    """Chains of nodes [S] in depth-first order; a segment's nodes stand side by side."""

    first: Integers  # its first node
    length: Integers
    above: Integers  # the segment whose state it begins with, -1 for none
    level: Integers
    branches: np.ndarray[Any, np.dtype[np.bool_]]  # whether another begins with its state

    def groups(self) -> Iterator[Integers]:
        """Segments that are read together, of one length and at most so many TOKENS: each after the one above it, and last those
        that none begins with, whatever their level.  Roots are by themselves."""
        for level in range(int(self.level.max()) + 1):
            yield from self._alike(np.flatnonzero((self.level == level) & self.branches))
        for roots in (True, False):
            yield from self._alike(np.flatnonzero(((self.level == 0) == roots) & ~self.branches))

    def _alike(self, there: Integers) -> Iterator[Integers]:
        for length in np.unique(self.length[there]):
            some = there[self.length[there] == length]
            yield from np.array_split(some, min(len(some), -(-len(some) * int(length) // TOKENS)))


def cut(depth: Integers) -> Segments:
    """Segments of nodes in depth-first order from their depths [N]; a node of depth 0 is a root."""
    parent, path = np.full(len(depth), -1), list[int]()
    for node, deep in enumerate(depth.tolist()):
        parent[node] = path[deep - 1] if deep else -1
        path[deep:] = [node]
    children = np.bincount(parent[parent >= 0], minlength=len(depth))
    begins = (parent < 0) | (children[parent] > 1)
    first = np.flatnonzero(begins)
    length = np.diff(np.append(first, len(depth)))
    segment = np.cumsum(begins) - 1
    above = np.where(parent[first] < 0, -1, segment[parent[first]])
    level = np.zeros(len(first), dtype=np.int64)
    for i, over in enumerate(above.tolist()):
        level[i] = level[over] + 1 if over >= 0 else 0
    return Segments(first, length, above, level, children[first + length - 1] > 0)


def walk(carry: Carry, tokens: torch.Tensor, depth: Integers) -> torch.Tensor:
    """States [N, width] of nodes with these tokens [N] and depths [N], in depth-first order."""
    segments, found = cut(depth), None
    shelf = Shelf(int(segments.branches.sum()))
    place = np.cumsum(segments.branches) - 1  # of a segment's state on the shelf
    for group in segments.groups():
        keep, above = bool(segments.branches[group[0]]), segments.above[group]
        nodes = torch.from_numpy(segments.first[group][:, None] + np.arange(segments.length[group[0]])).to(tokens.device)
        before = None if above[0] < 0 else shelf.state.select(torch.from_numpy(place[above]).to(tokens.device))
        states, after = carry(tokens[nodes], before, keep)
        if keep:
            shelf.put(torch.from_numpy(place[group]).to(tokens.device), after)
        found = states.new_empty(len(tokens), states.shape[-1]) if found is None else found
        found[nodes] = states
    assert found is not None
    return found


class Shelf:
    """States [rows, ...] that are filled in as they come."""

    def __init__(self, rows: int):
        self.rows, self.state = rows, RecurrentState()

    def put(self, rows: torch.Tensor, state: RecurrentState) -> None:
        """Puts a state's rows into these."""
        for layer, parts in state.parts.items():
            if layer not in self.state.parts:
                self.state.parts[layer] = tuple(part.new_empty(self.rows, *part.shape[1:]) for part in parts)
            for there, part in zip(self.state.parts[layer], parts, strict=True):
                there[rows] = part


def carrier(model: Any) -> Carry | None:
    """How a model goes on from a state; None for one that does not, or does not gain by it."""
    from ontogeny.architectures.models import causal, mamba

    body = getattr(model, getattr(model, "base_model_prefix", ""), None)
    if isinstance(body, causal.Body):
        return body.carry if body.shares else None
    return mamba.carrier(body)


def by_walking(carry: Carry) -> Callable[[dict[str, torch.Tensor]], torch.Tensor]:
    """States [B, N, width] of trees from their tokens and depths [B, N]."""

    def states(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        tokens, depth = inputs["input_ids"], inputs["position_ids"].numpy()
        return walk(carry, tokens.flatten(), depth.ravel()).view(*tokens.shape, -1)

    return states

"""Log-probabilities of the tokens asked for, from last hidden states and the output embeddings.

A distribution over the vocabulary costs width times vocabulary multiplications and as many exponentials as there are tokens, and
nothing of it is kept but one sum.  So on a processor the logits of `ROWS` states and `TILE` tokens are made at a time, in a buffer
that stays in the cache, and only their sums are kept:

    log p(x) = l_x - log sum_v exp(l_v) = (b_x - c - log2 sum_v 2^(b_v - c)) / log2 e     with b = l log2 e and any c

c is 0 where the logits asked for are near it, else the logit of a token that is asked for after the same state: the sum is then
1 / p of that token.  Where it overflows or vanishes, the largest logit is c, as in a log-softmax.

Where a reader is `rounded`, the products under a sum are made in bfloat16, which has eight bits for a logit.  What all logits after
a state have in common, often a hundred nats and more, would take them all: it is the state's product with the mean of the output
embeddings, and is left out before rounding and put back after.  Exponentials and sums are float32 all the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch.nn.functional import linear

ROWS = 2048  # states, and
TILE = 256  # tokens: two megabytes of logits, shared by all cores; a quarter of the states takes a fifth more time
WHOLE = 256  # states whose logits are made at once over the whole vocabulary
NEAR = 64.0  # bits: sums that lie between 2^-64 and 2^128 lose no digit of a float32
PER_NAT = math.log2(math.e)  # bits: a processor's exp2 takes two thirds of its exp

Reader = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""From states [M, width] and, for every token asked for, its state [E] (ascending, each of the M there) and id [E]: log p [E]."""


def of_head(head: Callable[[torch.Tensor], torch.Tensor]) -> Reader:
    """The fastest reader of a model's output embeddings that is known to be right for them."""
    if type(head) is torch.nn.Linear and head.weight.dtype == torch.float32 and head.weight.device.type == "cpu":
        return Tiles(head.weight, head.bias)
    return Whole(head)


def rounded(reader: Reader) -> Reader:
    """The same with products of tiles in bfloat16; readers without tiles stay as they are."""
    if not isinstance(reader, Tiles):
        return reader
    mean = reader.weight.mean(0)
    return replace(reader, rounded=(reader.weight - mean).bfloat16(), mean=mean)


def leading(reader: Reader) -> Reader:
    """The same head, read for how far each token asked for leads the likeliest other one, in nats: above 0 where greedy decoding
    writes it."""
    if isinstance(reader, Tiles):
        return Whole(partial(linear, weight=reader.weight, bias=reader.bias), _lead)
    assert isinstance(reader, Whole)
    return Whole(reader.head, _lead)


def _logp(logits: torch.Tensor, at: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    """Of logits [., vocabulary] log p of the tokens asked for [E], each in its row `at` [E]."""
    return logits.log_softmax(-1)[at, token]


def _lead(logits: torch.Tensor, at: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    """The same less that of the likeliest other token."""
    (best, second), which = (part.T[:, at] for part in logits.topk(2))  # [2, E] each
    return logits[at, token] - torch.where(which[0] == token, second, best)


@dataclass(frozen=True, slots=True)
class Whole:
    """By all logits of a state at once: right for any head, and on any device."""

    head: Callable[[torch.Tensor], torch.Tensor]  # [., width] to logits [., vocabulary]
    read: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor] = _logp  # what of them

    def __call__(self, states: torch.Tensor, state: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """As a `Reader` does, in float32 or better whatever the logits are in."""
        found = torch.empty(len(token), device=states.device)
        for rows, edges in _parts(len(states), state, WHOLE):
            found[edges] = self.read(self.head(states[rows]).float(), state[edges] - rows.start, token[edges])
        return found.double()


@dataclass(frozen=True, slots=True)
class Tiles:
    """By tiles of states and tokens, on a processor."""

    weight: torch.Tensor  # [vocabulary, width] float32
    bias: torch.Tensor | None  # [vocabulary]
    rounded: torch.Tensor | None = None  # [vocabulary, width] bfloat16, for sums: `weight` less its `mean`
    mean: torch.Tensor | None = None  # [width]

    def __call__(self, states: torch.Tensor, state: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """As a `Reader` does."""
        found = torch.empty(len(token), dtype=torch.float64)
        buffer = torch.empty(min(ROWS, len(states)) * TILE)
        product = buffer if self.rounded is None else torch.empty_like(buffer, dtype=self.rounded.dtype)
        for rows, edges in _parts(len(states), state, ROWS):
            bits, owner = states[rows] * PER_NAT, state[edges] - rows.start
            asked = self._asked(bits, owner, token[edges])
            first = torch.searchsorted(owner, torch.arange(len(bits)))
            shared = torch.zeros(len(bits)) if self.mean is None else bits @ self.mean
            whole = self._whole(bits, asked[first], shared.double(), buffer, product)
            found[edges] = (asked - whole[owner]) / PER_NAT
        return found if self.rounded is None else found.clamp_(max=0.0)

    def _asked(self, bits: torch.Tensor, owner: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """The logit, in bits, of each token after its state [E]."""
        found = (bits.index_select(0, owner) * self.weight.index_select(0, token)).sum(-1)
        return (found if self.bias is None else found + self.bias[token] * PER_NAT).double()

    def _whole(
        self, bits: torch.Tensor, known: torch.Tensor, shared: torch.Tensor, buffer: torch.Tensor, product: torch.Tensor
    ) -> torch.Tensor:
        """log2 of the sum over the vocabulary after each state [M], with one of its logits `known`, and what is left out of all
        logits before rounding, both in bits [M]."""
        weight = self.weight if self.rounded is None else self.rounded
        known = known - shared
        sums, off, factors = torch.zeros(len(bits)), known.float()[:, None], bits.to(weight.dtype)
        far = not bool(known.abs().max() < NEAR)
        for tile in range(0, len(weight), TILE):
            tokens = weight[tile : tile + TILE]
            logits, made = (space[: len(bits) * len(tokens)].view(len(bits), len(tokens)) for space in (buffer, product))
            torch.mm(factors, tokens.T, out=made)
            if made.dtype != logits.dtype:
                logits.copy_(made)
            if self.bias is not None:
                logits.add_(self.bias[tile : tile + TILE], alpha=PER_NAT)
            if far:
                logits.sub_(off)
            sums += logits.exp2_().sum(-1)
        found = sums.double().log2() + (off[:, 0] if far else 0.0) + shared
        lost = (~((sums > 2.0**-NEAR) & (sums < torch.inf))).nonzero()[:, 0]
        for part in lost.split(WHOLE):
            found[part] = torch.logsumexp(linear(bits[part] / PER_NAT, self.weight, self.bias), -1).double() * PER_NAT
        return found


def _parts(states: int, state: torch.Tensor, most: int) -> Iterator[tuple[slice, slice]]:
    """At most so many states at a time, parts of one size but for one state, and the tokens asked for after them."""
    count = -(-states // most)
    bounds = [states * part // count for part in range(count + 1)] if count else []
    edges = torch.searchsorted(state, torch.tensor(bounds, device=state.device)).tolist() if bounds else []
    for part in range(count):
        yield slice(bounds[part], bounds[part + 1]), slice(edges[part], edges[part + 1])

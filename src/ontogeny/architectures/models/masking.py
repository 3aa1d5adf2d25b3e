"""The masked language modelling loss (Devlin et al. 2019, section 3.1, task 1), and rows that see both sides beside causal ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NOT_COUNTED = -100  # a place without a token, and what torch's cross_entropy leaves out


def masked_loss(
    model: Any, tokens: Tensor, autocast: Callable[[], AbstractContextManager[Any]], share: float, mask: float = 0.8
) -> Tensor:
    """Mean nats per hidden token of tokens [rows, :-1], times the targets tokens[:, 1:] that count; log-softmax in float32.

    share, mask: as in `hide`
    """
    ids = tokens[:, :-1]
    draw = None if model.training else torch.Generator(ids.device).manual_seed(0)  # a reading depends on weights and text alone
    seen, wanted = hide(ids, share, model.config, draw, mask)
    with autocast():
        logits = model(input_ids=seen, attention_mask=(ids != NOT_COUNTED).long()).logits
    total = F.cross_entropy(logits.flatten(0, 1).float(), wanted.flatten(), ignore_index=NOT_COUNTED, reduction="sum")
    hidden, counted = (wanted != NOT_COUNTED).sum(), (tokens[:, 1:] != NOT_COUNTED).sum()
    return total * counted / hidden.clamp(min=1)


def hide(
    ids: Tensor, share: float | Tensor, config: Any, draw: torch.Generator | None = None, mask: float = 0.8, span: int = 1
) -> tuple[Tensor, Tensor]:
    """What the model sees, and what it is to predict where (elsewhere NOT_COUNTED), both [rows, T].

    Each token but BOS is hidden with probability `share`; of the hidden ones so many become the `mask`, half of the others any
    token of the vocabulary, and half stay: 80, 10 and 10 %.  Tokens of a span, which has 1 to `span`, share their fate.  `draw` is
    a generator; None is torch's global one.
    """
    real = (ids != NOT_COUNTED) & (ids != (-1 if config.bos_token_id is None else config.bos_token_id))
    of = _spans(ids, span, draw) if span > 1 else None

    def drawn() -> Tensor:
        each = torch.rand(ids.shape, generator=draw, device=ids.device)
        return each if of is None else each.gather(1, of)

    hidden = real & (drawn() < share)
    fate = drawn()
    others = torch.randint(config.mask_token_id, ids.shape, generator=draw, device=ids.device)  # the mask's row is the last
    seen = torch.where(hidden & (fate < mask), config.mask_token_id, ids.clamp(min=0))
    seen = torch.where(hidden & (fate >= (1 + mask) / 2), others, seen)
    return seen, torch.where(hidden, ids, NOT_COUNTED)


def _spans(ids: Tensor, most: int, draw: torch.Generator | None) -> Tensor:
    """Which span each token belongs to [rows, T]: one after the other, of 1 to `most` tokens, each length as often as another."""
    ends = torch.randint(1, most + 1, ids.shape, generator=draw, device=ids.device).cumsum(1)
    return torch.searchsorted(ends, torch.arange(ids.shape[1], device=ids.device).expand_as(ids).contiguous(), right=True)


def shifted(network: Any, seen: Tensor, real: Tensor, both: Tensor) -> Tensor:
    """Logits [rows, T, vocabulary] of the token after each, in rows that see all that is `real` [rows, T] if `both` [rows], else
    what came before."""
    place = torch.arange(seen.shape[1], device=seen.device)
    sees = (place[:, None] >= place) | (both[:, None, None] & real[:, None])
    logits: Tensor = network(input_ids=seen, position_ids=place[None], attention_mask=sees[:, None], use_cache=False).logits
    return logits


class ShiftedForMaskedLM(nn.Module):
    """A network of the next token that was trained to fill in too, read so: each token from both sides, said one place earlier."""

    def __init__(self, network: Any):
        super().__init__()
        self.network, self.config = network, network.config

    def get_input_embeddings(self) -> nn.Module:
        """The network's."""
        return self.network.get_input_embeddings()  # type: ignore[no-any-return]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        """Logits [rows, T, vocabulary] of the token at each place but the first, of which it says nothing (nan)."""
        real = attention_mask.bool()
        logits = shifted(self.network, input_ids, real, real[:, 0])
        return SimpleNamespace(logits=F.pad(logits[:, :-1], (0, 0, 1, 0), value=torch.nan))


def sees_both_sides(network: Any) -> bool:
    """True for a network whose predictions change with later tokens where a mask lets them, and only there."""
    rows = torch.tensor([[0, 0, 0], [0, 0, network.config.mask_token_id]], device=network.device).repeat(2, 1)
    both = torch.tensor([False, False, True, True], device=network.device)
    training = network.training
    try:
        with torch.no_grad():
            first = shifted(network.eval(), rows, rows >= 0, both)[:, 0]
    except Exception:  # of many kinds: one for each way in which a network does not know such a mask
        return False
    finally:
        network.train(training)
    causal, full = (first[::2] - first[1::2]).abs().amax(-1).tolist()
    return bool(causal < full / 100)  # rounding aside, nothing leaks

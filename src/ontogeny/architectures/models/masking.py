"""The masked language modelling loss (Devlin et al. 2019, section 3.1, task 1)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
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


def hide(ids: Tensor, share: float, config: Any, draw: torch.Generator | None = None, mask: float = 0.8) -> tuple[Tensor, Tensor]:
    """What the model sees, and what it is to predict where (elsewhere NOT_COUNTED), both [rows, T].

    Each token but BOS is hidden with probability `share`; of the hidden ones so many become the `mask`, half of the others any
    token of the vocabulary, and half stay: 80, 10 and 10 %.  `draw` is a generator; None is torch's global one.
    """
    real = (ids != NOT_COUNTED) & (ids != (-1 if config.bos_token_id is None else config.bos_token_id))
    hidden = real & (torch.rand(ids.shape, generator=draw, device=ids.device) < share)
    fate = torch.rand(ids.shape, generator=draw, device=ids.device)
    others = torch.randint(config.mask_token_id, ids.shape, generator=draw, device=ids.device)  # the mask's row is the last
    seen = torch.where(hidden & (fate < mask), config.mask_token_id, ids.clamp(min=0))
    seen = torch.where(hidden & (fate >= (1 + mask) / 2), others, seen)
    return seen, torch.where(hidden, ids, NOT_COUNTED)

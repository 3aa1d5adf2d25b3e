"""transformers' Mamba with its selective scan (Gu & Dao 2023, algorithm 2) made for processors without CUDA kernels.

The weights, the config and the saved folder are transformers' own, and so are the numbers; only the time is not: the reference
implementation there goes through autograd step by step.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.models.mamba.modeling_mamba import MambaMixer

from ontogeny.architectures.models.convolution import convolved
from ontogeny.architectures.models.scan import selective_scan
from ontogeny.architectures.models.state import RecurrentState


class Mixer(MambaMixer):  # type: ignore[misc]
    """The same layer, a whole sequence at a time."""

    def forward(self, hidden_states: Tensor, cache_params: Any = None, attention_mask: Tensor | None = None, **told: Any) -> Tensor:
        """States [B, T, width]; with a cache or a mask of transformers', its own way.

        A RecurrentState is gone on from, and gets what is to be kept: the convolution's window [B, kernel - 1, inner] and
        h [B, N, inner].
        """
        state = cache_params if isinstance(cache_params, RecurrentState) else None
        if attention_mask is not None or (cache_params is not None and state is None):
            return super().forward(hidden_states, cache_params=cache_params, attention_mask=attention_mask, **told)  # type: ignore[no-any-return]
        window, before = state.parts.get(self.layer_idx, (None, None)) if state is not None else (None, None)
        x, gate = self.in_proj(hidden_states).chunk(2, dim=-1)  # [B, T, inner]
        x, window = convolved(x, self.conv1d, window)
        x = self.act(x)
        ranks = [self.time_step_rank, self.ssm_state_size, self.ssm_state_size]
        step, into, out = self.x_proj(x).split(ranks, dim=-1)
        step = F.softplus(step @ self.dt_proj.weight.T + self.dt_proj.bias)
        with torch.autocast(x.device.type, enabled=False):
            y, after = selective_scan(x.float(), step.float(), -self.A_log.float().exp(), into.float(), out.float(), before)
            y = (y + x * self.D) * F.silu(gate)
        if state is not None:
            state.seen += hidden_states.shape[1] if self.layer_idx == 0 else 0
            state.parts[self.layer_idx] = (window, after)
        return self.out_proj(y.to(hidden_states.dtype))  # type: ignore[no-any-return]


def quicken(model: Any) -> Any:
    """The same model, in place: a Mamba with faster layers, unless CUDA kernels for it are installed; any other as it is."""
    ours = getattr(model.config, "model_type", None) == "mamba" and hasattr(model, "backbone")
    if ours and find_spec("mamba_ssm") is None:
        for layer in model.backbone.layers:
            if type(layer.mixer) is MambaMixer:
                layer.mixer.__class__ = Mixer
    return model


def carrier(body: Any) -> Callable[[Tensor, RecurrentState | None, bool], tuple[Tensor, RecurrentState]] | None:
    """How the body of a quickened Mamba goes on from a RecurrentState; None for any other module."""
    if not all(isinstance(getattr(layer, "mixer", None), Mixer) for layer in getattr(body, "layers", [None])):
        return None

    def carry(ids: Tensor, before: RecurrentState | None, keep: bool) -> tuple[Tensor, RecurrentState]:
        state = RecurrentState(dict(before.parts), before.seen) if before is not None else RecurrentState()
        return body(ids, cache_params=state, use_cache=False).last_hidden_state, state

    return carry

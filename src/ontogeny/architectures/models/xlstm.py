"""xLSTM (Beck et al. 2024): blocks with a matrix memory, mLSTM, and at chosen places blocks with a scalar memory, sLSTM.

transformers has the xLSTM of Beck et al. 2025, which has no sLSTM; so this is the first paper's, its section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig
from transformers import initialization as init

from ontogeny.architectures.models.causal import Body, CausalLM
from ontogeny.architectures.models.convolution import convolved
from ontogeny.architectures.models.state import Parts, RecurrentState


class XLSTMConfig(PreTrainedConfig):  # type: ignore[misc]
    """Sizes of an xLSTM; `slstm_at` lists the blocks, from 0, that are sLSTM."""

    model_type = "ontogeny-xlstm"

    def __init__(
        self,
        vocab_size: int = 8192,
        hidden_size: int = 128,
        num_hidden_layers: int = 4,
        num_heads: int = 4,
        slstm_at: Sequence[int] = (1,),
        conv_kernel: int = 4,
        qkv_block: int = 4,
        dropout: float = 0.0,
        initializer_range: float = 0.02,
        tie_word_embeddings: bool = True,
        **kwargs: Any,
    ):
        for width, name, part in ((hidden_size, "num_heads", num_heads), (2 * hidden_size, "qkv_block", qkv_block)):
            if width % part:
                raise ValueError(f"a width of {width} is not divisible into {name} {part}")
        if beyond := [place for place in slstm_at if not 0 <= place < num_hidden_layers]:
            raise ValueError(f"slstm_at has {beyond[0]}, but blocks are 0 to {num_hidden_layers - 1}")
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_heads = num_heads
        self.slstm_at = list(slstm_at)
        self.conv_kernel = conv_kernel
        self.qkv_block = qkv_block  # width of the blocks on the diagonal of the projections to query, key and value
        self.dropout = dropout  # of what each block adds
        self.initializer_range = initializer_range
        tied = {"tie_word_embeddings": tie_word_embeddings}
        super().__init__(**tied, **kwargs)


class BlockDiagonal(nn.Module):
    """A linear map that is block-diagonal: `blocks` maps side by side."""

    def __init__(self, blocks: int, width: int, out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(blocks, width // blocks, out // blocks))

    def forward(self, x: Tensor) -> Tensor:
        """[..., out] from [..., width]."""
        cut = torch.unflatten(x, -1, (len(self.weight), -1))
        return torch.einsum("...hi,hij->...hj", cut, self.weight).flatten(-2)


class CausalConv(nn.Module):
    """Each channel convolved with itself over the positions up to it, then SiLU."""

    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.conv = nn.Conv1d(width, width, kernel, groups=width, padding=kernel - 1)

    def forward(self, x: Tensor, window: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """[B, T, width] from [B, T, width], and the window [B, kernel - 1, width] of what came last, to go on from."""
        found, window = convolved(x, self.conv, window)
        return F.silu(found), window


class HeadNorm(nn.Module):
    """Each head's outputs brought to mean 0 and variance 1, then scaled by channel."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, heads: Tensor) -> Tensor:
        """[B, T, width] from [B, T, heads, width of a head]."""
        return F.layer_norm(heads, heads.shape[-1:]).flatten(-2) * self.weight


def matrix_memory(q: Tensor, k: Tensor, v: Tensor, into: Tensor, forget: Tensor, before: Parts | None = None) -> Tensor:
    """mLSTM in its parallel form (Beck et al. 2024, section 2.3): [B, H, T, D] from q, k, v [B, H, T, D], gates [B, H, T].

    `into` is the input gate's logarithm, `forget` the forget gate before its sigmoid, `before` the memory of what came before.
    """
    kept = F.logsigmoid(forget).cumsum(-1)
    log_d = kept.unsqueeze(-1) - kept.unsqueeze(-2) + into.unsqueeze(-2)  # [B, H, to, from]
    ahead = torch.ones(log_d.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
    log_d = log_d.masked_fill(ahead, float("-inf"))
    most = log_d.amax(-1, keepdim=True)
    q = q * q.shape[-1] ** -0.5
    if before is not None:
        matrix, norm_before, scale = before
        old = (kept + scale.unsqueeze(-1)).unsqueeze(-1)  # [B, H, T, 1]
        most = torch.maximum(most, old)
        old = torch.exp(old - most)
    weights = (q @ k.transpose(-1, -2)) * torch.exp(log_d - most)
    found, norm = weights @ v, weights.sum(-1, keepdim=True)
    if before is not None:
        found, norm = found + old * (q @ matrix), norm + old * (q @ norm_before.unsqueeze(-1))
    return found / torch.maximum(norm.abs(), torch.exp(-most))  # type: ignore[no-any-return]


def matrix_memory_after(k: Tensor, v: Tensor, into: Tensor, forget: Tensor, before: Parts | None = None) -> Parts:
    """The memory after the last token: a matrix [B, H, D, D] and a normaliser [B, H, D], both over exp(scale), scale [B, H]."""
    kept = F.logsigmoid(forget).cumsum(-1)
    log_d = kept[..., -1:] - kept + into  # [B, H, from]
    scale = log_d.amax(-1)
    if before is not None:
        scale = torch.maximum(scale, kept[..., -1] + before[2])
    added = k * torch.exp(log_d - scale.unsqueeze(-1)).unsqueeze(-1)
    matrix, norm = added.transpose(-1, -2) @ v, added.sum(-2)
    if before is not None:
        old = torch.exp(kept[..., -1] + before[2] - scale).unsqueeze(-1)
        matrix, norm = matrix + old.unsqueeze(-1) * before[0], norm + old * before[1]
    return matrix, norm, scale


class MatrixBlock(nn.Module):
    """mLSTM between a projection to twice the width and one back, gated."""

    def __init__(self, config: XLSTMConfig):
        super().__init__()
        inner, self.heads = 2 * config.hidden_size, config.num_heads
        self.norm = nn.LayerNorm(config.hidden_size, bias=False)
        self.up = nn.Linear(config.hidden_size, 2 * inner, bias=False)
        self.conv = CausalConv(inner, config.conv_kernel)
        self.query, self.key, self.value = (BlockDiagonal(inner // config.qkv_block, inner, inner) for _ in range(3))
        self.gates = nn.Linear(3 * inner, 2 * self.heads)
        self.head_norm = HeadNorm(inner)
        self.skip = nn.Parameter(torch.ones(inner))
        self.down = nn.Linear(inner, config.hidden_size, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, before: Parts | None, keep: bool) -> tuple[Tensor, Parts]:
        """[B, T, width] from [B, T, width], and, to `keep`, the convolution's window and the memory."""
        inner, gate = self.up(self.norm(x)).chunk(2, dim=-1)
        seen, window = self.conv(inner, before and before[0])
        q, k, v = self.query(seen), self.key(seen), self.value(inner)
        into, forget = self.gates(torch.cat([q, k, v], dim=-1)).float().transpose(1, 2).chunk(2, dim=1)
        q, k, v = (torch.unflatten(part.float(), -1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        with torch.autocast(x.device.type, enabled=False):  # its exponentials need float32
            memory = matrix_memory(q, k, v, into, forget, before and before[1:])
            after = (window, *matrix_memory_after(k, v, into, forget, before and before[1:])) if keep else ()
        found = self.head_norm(memory.transpose(1, 2)) + self.skip * seen
        return x + self.dropout(self.down(found * F.silu(gate))), after


@torch.compiler.disable  # type: ignore[untyped-decorator]  # it would be unrolled, a step at a time
def scalar_memory(inputs: Tensor, recurrent: Tensor, before: Parts | None = None) -> tuple[Tensor, Parts]:
    """sLSTM (Beck et al. 2024, section 2.2): hidden states [B, T, H, D] from what its gates get of the input, and its memory.

    `inputs` is [B, T, H, 4 D], input gate, forget gate, cell, output gate; `recurrent` [H, D, 4 D] adds to it from the last hidden
    state.  The forget gate is a sigmoid, the input gate an exponential.  The memory is hidden state, cell and normaliser, the last
    two over exp(scale), and the scale, each [B, H, D]; `before` is that of what came before.
    """
    batch, length, heads, width = inputs.shape
    if before is None:
        nothing = inputs.new_zeros(batch, heads, width // 4)
        before = (nothing, nothing, nothing, torch.full_like(nothing, float("-inf")))
    hidden, cell, norm, scale = before
    outputs = []
    for t in range(length):
        raw = inputs[:, t] + torch.einsum("bhi,hij->bhj", hidden, recurrent)
        into, forget, new, out = raw.chunk(4, dim=-1)
        kept = F.logsigmoid(forget) + scale
        scale = torch.maximum(kept, into)
        kept, added = torch.exp(kept - scale), torch.exp(into - scale)
        cell = kept * cell + added * torch.tanh(new)
        norm = kept * norm + added
        hidden = torch.sigmoid(out) * cell / norm
        outputs.append(hidden)
    return torch.stack(outputs, dim=1), (hidden, cell, norm, scale)


class ScalarBlock(nn.Module):
    """sLSTM, whose heads have recurrent weights of their own, and a gated feed-forward."""

    def __init__(self, config: XLSTMConfig):
        super().__init__()
        width, self.heads = config.hidden_size, config.num_heads
        head, feed = width // self.heads, -(-4 * width // 24) * 8  # 4/3 of the width, rounded up to 8
        self.norm = nn.LayerNorm(width, bias=False)
        self.conv = CausalConv(width, config.conv_kernel)
        self.into, self.forget, self.cell, self.out = (BlockDiagonal(self.heads, width, width) for _ in range(4))
        self.recurrent = nn.Parameter(torch.empty(self.heads, head, 4 * head))
        self.bias = nn.Parameter(torch.empty(self.heads, 4 * head))
        self.head_norm = HeadNorm(width)
        self.feed_norm = nn.LayerNorm(width, bias=False)
        self.feed_up = nn.Linear(width, 2 * feed, bias=False)
        self.feed_down = nn.Linear(feed, width, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, before: Parts | None, keep: bool) -> tuple[Tensor, Parts]:
        """[B, T, width] from [B, T, width], and, to `keep`, the convolution's window and the memory."""
        normed = self.norm(x)
        seen, window = self.conv(normed, before and before[0])
        parts = (self.into(seen), self.forget(seen), self.cell(normed), self.out(normed))
        inputs = torch.cat([torch.unflatten(part, -1, (self.heads, -1)) for part in parts], dim=-1) + self.bias
        with torch.autocast(x.device.type, enabled=False):  # its exponentials need float32
            memory, after = scalar_memory(inputs.float(), self.recurrent.float(), before and before[1:])
        x = x + self.dropout(self.head_norm(memory))
        gate, value = self.feed_up(self.feed_norm(x)).chunk(2, dim=-1)
        return x + self.dropout(self.feed_down(F.gelu(gate) * value)), (window, *after)


def _begin(module: nn.Module, std: float) -> None:
    """Small normal matrices; forget gates that keep .95 to .998 (sigmoid of 3 to 6), spread over heads or channels."""
    if isinstance(module, BlockDiagonal):
        init.normal_(module.weight, std=module.weight.shape[1] ** -0.5)
    if isinstance(module, MatrixBlock):
        init.ones_(module.skip)
        init.zeros_(module.gates.weight)
        spread = torch.linspace(3, 6, module.heads, device=module.gates.bias.device)
        init.copy_(module.gates.bias, torch.cat([torch.zeros_like(spread), spread]))
    if isinstance(module, ScalarBlock):
        heads, width = module.bias.shape
        head = width // 4
        init.normal_(module.recurrent, std=std)
        init.zeros_(module.bias)
        init.copy_(module.bias[:, head : 2 * head], torch.linspace(3, 6, head, device=module.bias.device).expand(heads, head))
    if isinstance(module, HeadNorm):
        init.ones_(module.weight)


class XLSTMModel(Body):
    """Embeddings, blocks and a last norm."""

    config_class = XLSTMConfig

    def __init__(self, config: XLSTMConfig):
        super().__init__(config, config.hidden_size)
        kinds = (ScalarBlock if place in config.slstm_at else MatrixBlock for place in range(config.num_hidden_layers))
        self.blocks = nn.ModuleList(kind(config) for kind in kinds)
        self.norm = nn.LayerNorm(config.hidden_size, bias=False)
        self.post_init()

    def states(self, embedded: Tensor, before: RecurrentState | None = None, after: RecurrentState | None = None) -> Tensor:
        """[B, T, width] from [B, T, width]; a row begins with empty memories.  Kept are each block's window and memory."""
        for place, block in enumerate(self.blocks):
            embedded, kept = block(embedded, before.parts[place] if before is not None else None, after is not None)
            if after is not None:
                after.parts[place] = kept
        return self.norm(embedded)  # type: ignore[no-any-return]

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        _begin(module, self.config.initializer_range)


class XLSTMForCausalLM(CausalLM):
    """An xLSTM that predicts the next token."""

    config_class = XLSTMConfig
    body = XLSTMModel

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        _begin(module, self.config.initializer_range)

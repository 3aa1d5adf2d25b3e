"""StructFormer (Shen et al. 2021, arXiv 2012.00857): a parser's soft dependency tree says which tokens a transformer's tokens see.

The parser, convolutions over the embeddings, gives each token i a height h_i and each two neighbours j, j + 1 a distance d_j
(section 4.1).  Token i's constituent reaches from l to r with

    p(l | i) p(r | i),   p(l | i) = sigma((h_i - max d_l ... d_i-1) / m1) - sigma((h_i - max d_l-1 ... d_i-1) / m1),  r alike

its parent there is j with p(j | l, r) = exp(h_j / m2) / sum over k in l ... r of exp(h_k / m2), and so

    p_D(j | i) = sum over l, r of p(l | i) p(r | i) p(j | l, r),   p_D(i | i) = 0        (section 4.2)

A head sees token j with the weight sigma(q_i k_j / sqrt(width)) (w p_D(j | i) + (1 - w) p_D(i | j)), w of its own: no softmax
(section 4.3).  There are no positions: what order does, it does in the parser.  Distances are lowered by the least amount that lets
every constituent but the whole reach beyond itself, as in the authors' code.

Where this departs from it: that amount is each row's own, where theirs is the batch's largest, so that no score depends on what is
scored beside it.  p_D is summed in T^2 and three products of matrices, not in T^4.

**Causal.**  Convolutions see what came before, and a token i sees the p_D of the text that ends with it: its constituent's right
edge is i.  Whether an earlier j hangs on i, p_D(i | j) in that text, is asked with the left edges that j had when it was read.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPast

from ontogeny.architectures.models.causal import Body, CausalLM
from ontogeny.architectures.models.state import RecurrentState

FAR = 1e9  # a distance that no constituent reaches across
STEEPEST = 40.0  # of h / m2: its exponential and the sums of these fit into float32


class StructFormerConfig(PreTrainedConfig):  # type: ignore[misc]
    """Sizes of a StructFormer; `causal` where tokens see what came before alone."""

    model_type = "ontogeny-structformer"

    def __init__(
        self,
        vocab_size: int = 8192,
        hidden_size: int = 128,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 2,
        intermediate_size: int = 256,
        num_parser_layers: int = 3,
        conv_kernel: int = 9,
        causal: bool = False,
        dropout: float = 0.0,
        initializer_range: float = 0.02,
        mask_token_id: int | None = None,
        tie_word_embeddings: bool = True,
        **kwargs: Any,
    ):
        if hidden_size % num_attention_heads:
            raise ValueError(f"a width of {hidden_size} is not divisible into num_attention_heads {num_attention_heads}")
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.num_parser_layers = num_parser_layers
        self.conv_kernel = conv_kernel  # tokens that one of the parser's convolutions sees
        self.causal = causal
        self.dropout = dropout  # of what each layer adds, and of the last norm's output
        self.initializer_range = initializer_range
        self.mask_token_id = mask_token_id
        tied = {"tie_word_embeddings": tie_word_embeddings}
        super().__init__(**tied, **kwargs)


class Related(NamedTuple):
    """How far token i sees j: as its parent, and as its child, [B, i, j] each."""

    parent: Tensor
    child: Tensor


def highest(values: Tensor) -> Tensor:
    """[B, a, b]: the largest of values [B, T] from a to b; -FAR where b < a."""
    length = values.shape[-1]
    below = torch.ones(length, length, dtype=torch.bool, device=values.device).tril(-1)
    return values[:, None].expand(-1, length, -1).masked_fill(below, -FAR).cummax(-1).values


def margins(distance: Tensor, height: Tensor) -> Tensor:
    """[B, T]: by how much distances are too large in the text that ends with each token for all its parts to reach further."""
    most, left = highest(height), F.pad(distance[:, :-1], (1, 0), value=FAR)[:, :, None]

    def too_far(nearest: Tensor) -> Tensor:
        return F.relu(nearest - most).masked_fill(nearest >= FAR / 2, 0.0).triu().amax(1)

    inside, at_end = too_far(torch.minimum(left, distance[:, None])), too_far(left.expand_as(most))
    return torch.maximum(F.pad(inside[:, :-1], (1, 0)).cummax(-1).values, at_end)


class SoftTree(NamedTuple):
    """What both forms of p_D are made of; of float32."""

    left: Tensor  # p(l | i) [B, i, l]
    within: Tensor  # sigma of reaching as far as r [B, i, r], 0 to the left
    shares: Tensor  # 1 / sum over k in l ... r of exp(h_k / m2) [B, l, r], 0 where r < l
    weight: Tensor  # exp(h / m2) [B, T]

    @classmethod
    def of(cls, distance: Tensor, height: Tensor, steep: Tensor, causal: bool, shown: Tensor | None) -> SoftTree:
        """steep: 1 / m1 and 1 / m2; shown [B, T]: False for padding.  The last distance is never looked at."""
        distance = F.pad(distance[:, :-1], (0, 1), value=FAR)
        weight = (steep[1] * height).clamp(-STEEPEST, STEEPEST).exp()
        if shown is not None:
            distance = distance.masked_fill(~(shown & F.pad(shown[:, 1:], (0, 1))), FAR)
            height, weight = height.masked_fill(~shown, -FAR), weight * shown
        between = F.pad(highest(distance)[..., :-1], (1, 0), value=-FAR)  # [B, a, b]: of d_a ... d_b-1
        lower = margins(distance, height)[:, None] if causal else margins(distance, height)[:, None, -1:]  # by the last token
        to_left = torch.sigmoid(steep[0] * (height[:, :, None] - between.mT + lower.mT)).tril()
        within = torch.sigmoid(steep[0] * (height[:, :, None] - between + lower)).triu()
        sums = weight[:, None].expand_as(between).triu().cumsum(-1)
        return cls((to_left - F.pad(to_left[..., :-1], (1, 0))).tril(), within, sums.clamp(min=1e-18).reciprocal().triu(), weight)

    def parents(self) -> Tensor:
        """p_D(j | i) [B, i, j] of the whole text."""
        right = (self.within - F.pad(self.within[..., 1:], (0, 1))).triu()
        before = (self.left * (right @ self.shares.mT)).cumsum(-1).tril(-1)
        after = (right * (self.left @ self.shares)).flip(-1).cumsum(-1).flip(-1).triu(1)
        return (before + after) * self.weight[:, None]

    def so_far(self) -> Related:
        """p_D of the text that ends with i, its parent and its children."""
        parent = (self.left * self.shares.mT).cumsum(-1).tril(-1) * self.weight[:, None]
        child = (self.within * (self.left @ self.shares)).mT.tril(-1) * self.weight[:, :, None]
        return Related(parent, child)


class Parser(nn.Module):
    """Distances and heights from embeddings (section 4.1)."""

    def __init__(self, config: StructFormerConfig):
        super().__init__()
        width, self.kernel, self.causal = config.hidden_size, config.conv_kernel, config.causal
        self.layers = nn.ModuleList(nn.Conv1d(width, width, config.conv_kernel) for _ in range(config.num_parser_layers))
        self.pair, self.distance = nn.Conv1d(width, width, 2), nn.Linear(width, 1)
        self.single, self.height = nn.Linear(width, width), nn.Linear(width, 1)
        self.log_steep = nn.Parameter(torch.zeros(2))  # of 1 / m1 and 1 / m2

    def forward(self, embedded: Tensor, shown: Tensor | None = None) -> SoftTree:
        """From embeddings [B, T, width]; shown [B, T]: False for padding."""
        before = self.kernel - 1 if self.causal else self.kernel // 2
        for layer in self.layers:
            if shown is not None:
                embedded = embedded * shown[..., None]
            embedded = _bounded(_convolved(layer, embedded, before, self.kernel - 1 - before))
        distance = self.distance(_bounded(_convolved(self.pair, embedded, 0, 1)))[..., 0]
        height = self.height(_bounded(self.single(embedded)))[..., 0]
        return SoftTree.of(distance.float(), height.float(), self.log_steep.exp(), self.causal, shown)


def _convolved(layer: nn.Module, x: Tensor, before: int, after: int) -> Tensor:
    return layer(F.pad(x.mT, (before, after))).mT  # type: ignore[no-any-return]


def _bounded(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:]).tanh()


class ConstrainedLayer(nn.Module):
    """Attention along the tree and a feed-forward network, each after a norm."""

    def __init__(self, config: StructFormerConfig):
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.relations = nn.Parameter(torch.zeros(self.heads, 2))  # parent and child, before their softmax
        self.attention_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, config.intermediate_size), nn.Linear(config.intermediate_size, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, related: Tensor) -> Tensor:
        """[B, T, width] from [B, T, width]; related [B, 2, T, T]: parents, children."""
        q, k, v = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = torch.einsum("hr,brij->bhij", self.relations.softmax(-1), related)
        gate = torch.sigmoid(q @ k.mT * q.shape[-1] ** -0.5)
        x = x + self.dropout(self.out(((gate * seen).to(v.dtype) @ v).transpose(1, 2).flatten(2)))
        return x + self.dropout(self.down(self.dropout(F.leaky_relu(self.up(self.norm(x))))))  # type: ignore[no-any-return]


class StructFormerModel(Body):
    """Embeddings, parser, layers and a last norm."""

    config_class = StructFormerConfig

    def __init__(self, config: StructFormerConfig):
        super().__init__(config, config.hidden_size)
        self.parser = Parser(config)
        self.layers = nn.ModuleList(ConstrainedLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.post_init()

    def edges(self, embedded: Tensor, shown: Tensor | None = None) -> SoftTree:
        """What the parser says, in float32 whatever the rest is in."""
        with torch.autocast(embedded.device.type, enabled=False):
            return self.parser(embedded.float(), shown)  # type: ignore[no-any-return]

    def encoded(self, embedded: Tensor, shown: Tensor | None = None) -> Tensor:
        """States [B, T, width] from embeddings [B, T, width]; shown [B, T]: False for padding."""
        edges = self.edges(embedded, shown)
        parents = None if self.config.causal else edges.parents()
        related = torch.stack(edges.so_far() if parents is None else Related(parents, parents.mT), 1)
        for layer in self.layers:
            embedded = layer(embedded, related)
        return self.dropout(self.norm(embedded))  # type: ignore[no-any-return]

    def states(self, embedded: Tensor, before: RecurrentState | None = None, after: RecurrentState | None = None) -> Tensor:
        """Of a causal one.  Kept are the embeddings so far: each further token may change what those before it hang on."""
        new = embedded.shape[1]
        if before is not None:
            embedded = torch.cat([before.parts[0][0], embedded], 1)
        if after is not None:
            after.parts[0] = (embedded,)
        return self.encoded(embedded)[:, -new:]

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, *told: Any, **named: Any) -> BaseModelOutputWithPast:
        """The last hidden states.  A masked model follows any padding."""
        if self.config.causal:
            return super().forward(input_ids, attention_mask, *told, **named)
        shown = None if attention_mask is None or bool(attention_mask.all()) else attention_mask.bool()
        return BaseModelOutputWithPast(last_hidden_state=self.encoded(self.embeddings(input_ids), shown))

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        _begin(module)


class StructFormerForCausalLM(CausalLM):
    """A causal StructFormer that predicts the next token."""

    config_class = StructFormerConfig
    body = StructFormerModel

    def parents(self, input_ids: Tensor) -> Tensor:
        """p_D(j | i) [B, i, j] of whole texts [B, T]."""
        return self.model.edges(self.model.embeddings(input_ids)).parents()  # type: ignore[no-any-return]

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        _begin(module)


class StructFormerForMaskedLM(StructFormerForCausalLM):
    """A StructFormer that fills in masked tokens, as published; it generates nothing."""


def _begin(module: nn.Module) -> None:
    """The parser begins as torch's own layers do, wide enough for some structure; heads between parents and children."""
    if isinstance(module, Parser):
        for part in module.modules():
            if isinstance(part, nn.Conv1d | nn.Linear):
                init.kaiming_uniform_(part.weight, a=5**0.5)
                init.zeros_(part.bias)
        init.zeros_(module.log_steep)
    if isinstance(module, ConstrainedLayer):
        init.normal_(module.relations, std=0.1)

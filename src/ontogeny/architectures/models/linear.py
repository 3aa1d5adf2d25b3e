"""A model that is linear in its input: logits at a position are a bias and a sum of linear maps of the tokens up to it.

full        logits[t] = b[t] + sum over s <= t of W[t, s] e(x_s),  a matrix [vocabulary, width] for each pair of positions
            (the linear model of Mészáros et al. 2024, as a causal map)
channels    logits[t] = H (b[t] + sum over s <= t of w[t, s] * e(x_s)),  a number for each pair of positions and each channel of the
            embedding, and one head H: what is left of it where a large vocabulary forbids the first

It has no nonlinearity before the softmax, so the effects of tokens add up and none depends on another.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers import initialization as init

from ontogeny.architectures.models.causal import Body, CausalLM
from ontogeny.architectures.models.state import RecurrentState

MIXINGS = ("channels", "full")


class LinearConfig(PreTrainedConfig):  # type: ignore[misc]
    """Sizes of a linear language model."""

    model_type = "ontogeny-linear"

    def __init__(
        self,
        vocab_size: int = 8192,
        hidden_size: int = 64,
        max_position_embeddings: int = 128,
        mixing: str = "channels",
        bias: bool = True,
        initializer_range: float = 0.02,
        tie_word_embeddings: bool = True,
        **kwargs: Any,
    ):
        if mixing not in MIXINGS:
            raise ValueError(f"mixing is {mixing!r}; it is one of {', '.join(MIXINGS)}")
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.max_position_embeddings = max_position_embeddings
        self.mixing = mixing
        self.bias = bias
        self.initializer_range = initializer_range
        tied = {"tie_word_embeddings": tie_word_embeddings and mixing == "channels"}  # full has no head to tie
        super().__init__(**tied, **kwargs)


class Channels(nn.Module):
    """Positions mixed in each channel of the embedding by itself."""

    def __init__(self, config: LinearConfig):
        super().__init__()
        length, width = config.max_position_embeddings, config.hidden_size
        self.weight = nn.Parameter(torch.empty(width, length, length))  # [channel, to, from], the lower triangle
        self.bias = nn.Parameter(torch.zeros(length, width)) if config.bias else None

    def forward(self, embedded: Tensor, start: int = 0) -> Tensor:
        """States [B, T - start, width] of the places from `start` on, from embeddings [B, T, width]."""
        length = embedded.shape[1]
        weight = self.weight[:, start:length, :length].tril(start)
        mixed = (weight @ embedded.permute(2, 1, 0)).permute(2, 1, 0)  # [width, T - start, T] @ [width, T, B]
        return mixed if self.bias is None else mixed + self.bias[start:length]


class Full(nn.Module):
    """A matrix from embedding to logits for each pair of positions, those up to a position side by side."""

    def __init__(self, config: LinearConfig):
        super().__init__()
        self.length = config.max_position_embeddings
        pairs = self.length * (self.length + 1) // 2
        self.weight = nn.Parameter(torch.empty(pairs, config.hidden_size, config.vocab_size))  # by `to`, then by `from`
        self.bias = nn.Parameter(torch.zeros(self.length, config.vocab_size)) if config.bias else None

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # it would be unrolled, a position at a time
    def forward(self, embedded: Tensor, start: int = 0) -> Tensor:
        """Logits [B, T - start, vocabulary] of the places from `start` on, from embeddings [B, T, width]."""
        length = embedded.shape[1]
        to = torch.split(self.weight[: length * (length + 1) // 2], list(range(1, length + 1)))
        logits = torch.stack([embedded[:, : t + 1].flatten(1) @ to[t].flatten(0, 1) for t in range(start, length)], dim=1)
        return logits if self.bias is None else logits + self.bias[start:length]


class LinearModel(Body):
    """Embeddings and the mixing of positions."""

    config_class = LinearConfig
    one_length = True

    def __init__(self, config: LinearConfig):
        super().__init__(config, config.hidden_size)
        self.mix = Full(config) if config.mixing == "full" else Channels(config)
        self.post_init()

    def states(self, embedded: Tensor, before: RecurrentState | None = None, after: RecurrentState | None = None) -> Tensor:
        """States, or logits where there is no head.  Kept are the embeddings so far.

        Raises ValueError beyond the last position.
        """
        start = 0
        if before is not None:
            start, embedded = before.seen, torch.cat([before.parts[0][0], embedded], dim=1)
        if embedded.shape[1] > self.config.max_position_embeddings:
            raise ValueError(
                f"{embedded.shape[1]} tokens are more than this model's {self.config.max_position_embeddings} positions: "
                "it has no weights for them"
            )
        if after is not None:
            after.parts[0] = (embedded,)
        return self.mix(embedded, start)  # type: ignore[no-any-return]

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        _begin(module)


class LinearForCausalLM(CausalLM):
    """A linear map that predicts the next token."""

    config_class = LinearConfig
    body = LinearModel

    def __init__(self, config: LinearConfig):
        super().__init__(config)
        if config.mixing == "full":
            self.lm_head = nn.Identity()

    def get_output_embeddings(self) -> nn.Module | None:  # type: ignore[override]
        """The head; none where positions are mapped to logits."""
        return None if self.config.mixing == "full" else self.lm_head

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        _begin(module)


def _begin(module: nn.Module) -> None:
    """Each position begins with a small sum over all up to it, whatever their number."""
    if isinstance(module, Channels):
        init.normal_(module.weight, std=module.weight.shape[-1] ** -0.5)
    if isinstance(module, Full):
        init.normal_(module.weight, std=(module.length * module.weight.shape[1]) ** -0.5)
    if isinstance(module, Channels | Full) and module.bias is not None:
        init.zeros_(module.bias)

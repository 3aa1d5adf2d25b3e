"""StructFormer (Shen et al. 2021) in named sizes: a transformer whose attention follows a tree that it induces."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from ontogeny.architectures.sized import Sized, Sizes

if TYPE_CHECKING:
    from torch import Tensor

Size = Literal["structformer-1m", "structformer-2m", "structformer-7m"]


def _narrow(width: int, layers: int, parser: int, kernel: int) -> dict[str, Any]:
    # Heads of 64; a feed-forward of twice the width, where others have four times, pays for the parser.
    return {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64,
        "intermediate_size": 2 * width,
        "num_parser_layers": parser,
        "conv_kernel": kernel,
    }


# Parameters are for a vocabulary of 8,192.
SIZES: Sizes = {
    "structformer-1m": _narrow(128, 2, 2, 3),  # 1.5M
    "structformer-2m": _narrow(128, 4, 3, 5),  # 1.9M
    "structformer-7m": _narrow(256, 6, 4, 5),  # 6.8M
}


class CausalStructFormer(Sized):
    """A StructFormer whose parser and tokens see what came before alone."""

    kind: Literal["structformer-causal"] = "structformer-causal"
    size: Size = "structformer-2m"
    """A named size."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Laid over the size: hidden_size, num_hidden_layers, num_parser_layers, conv_kernel, intermediate_size, dropout ..."""

    sizes: ClassVar[Sizes] = SIZES
    positions: ClassVar[str | None] = None

    def classes(self) -> tuple[type[Any], type[Any]]:
        """Ours."""
        from ontogeny.architectures.models.structformer import StructFormerConfig, StructFormerForCausalLM

        return StructFormerConfig, StructFormerForCausalLM

    def settings(self, config: type[Any], vocabulary: int, context: int, bos: int | None, pad: int | None) -> dict[str, Any]:
        """As every architecture's; it is the kind that says which way it looks."""
        return {**super().settings(config, vocabulary, context, bos, pad), "causal": True}


class StructFormer(Sized):
    """A transformer that sees both sides of a token along a dependency tree that a parser in it makes."""

    kind: Literal["structformer"] = "structformer"
    size: Size = "structformer-2m"
    """A named size."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Laid over the size: hidden_size, num_hidden_layers, num_parser_layers, conv_kernel, intermediate_size, dropout ..."""
    masked: float = Field(0.3, gt=0, lt=1)
    """Share of tokens that training hides, all of them behind the mask."""

    sizes: ClassVar[Sizes] = SIZES
    positions: ClassVar[str | None] = None

    def classes(self) -> tuple[type[Any], type[Any]]:
        """Ours."""
        from ontogeny.architectures.models.structformer import StructFormerConfig, StructFormerForMaskedLM

        return StructFormerConfig, StructFormerForMaskedLM

    def rows(self, vocabulary: int) -> int:
        """One more than the tokenizer has: the mask."""
        return vocabulary + 1

    def settings(self, config: type[Any], vocabulary: int, context: int, bos: int | None, pad: int | None) -> dict[str, Any]:
        """As every architecture's, with the mask's row; it is the kind that says which way it looks."""
        own = {"mask_token_id": vocabulary, "causal": False}
        return {**super().settings(config, vocabulary, context, bos, pad), **own}

    def loss(self, model: Any, tokens: Tensor, autocast: Callable[[], AbstractContextManager[Any]]) -> Tensor:
        """Mean nats per hidden token of tokens [rows, :-1], times the targets that count in them, as BERT's."""
        from ontogeny.architectures.models.masking import masked_loss

        return masked_loss(model, tokens, autocast, self.masked, mask=1.0)

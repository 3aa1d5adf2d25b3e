"""The LSTM language model (Hochreiter & Schmidhuber 1997; as a language model, Zaremba et al. 2014): embeddings, layers, head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers import initialization as init

from ontogeny.architectures.models.causal import Body, CausalLM, tied_to_width
from ontogeny.architectures.models.state import RecurrentState


class LSTMConfig(PreTrainedConfig):  # type: ignore[misc]
    """Sizes of an LSTM language model; `embedding_size` left out is `hidden_size`."""

    model_type = "ontogeny-lstm"

    def __init__(
        self,
        vocab_size: int = 8192,
        hidden_size: int = 128,
        embedding_size: int | None = None,
        num_hidden_layers: int = 2,
        dropout: float = 0.0,
        layer_dropout: float = 0.0,
        forget_bias: float = 1.0,
        head_bias: bool = False,
        initializer_range: float = 0.4,
        tie_word_embeddings: bool = True,
        **kwargs: Any,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.embedding_size = embedding_size or hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.dropout = dropout  # of the last layer's output
        self.layer_dropout = layer_dropout  # of the other layers' outputs
        self.forget_bias = forget_bias  # what the forget gates begin with (Jozefowicz et al. 2015: 1)
        self.head_bias = head_bias
        self.initializer_range = initializer_range  # of embeddings: at .02 three layers pass on nothing of a token for 800 steps
        tied = {"tie_word_embeddings": tie_word_embeddings}
        super().__init__(**tied, **kwargs)


class LSTMModel(Body):
    """Embeddings and layers."""

    config_class = LSTMConfig
    shares = True

    def __init__(self, config: LSTMConfig):
        tied_to_width(config, config.embedding_size, config.hidden_size)
        super().__init__(config, config.embedding_size)
        between = config.layer_dropout if config.num_hidden_layers > 1 else 0.0
        self.lstm = nn.LSTM(config.embedding_size, config.hidden_size, config.num_hidden_layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(config.dropout)
        self.post_init()

    def states(self, embedded: Tensor, before: RecurrentState | None = None, after: RecurrentState | None = None) -> Tensor:
        """The last layer's outputs [B, T, hidden]; a text begins with zeros.  Kept are hidden states, cells [B, layers, hidden]."""
        if embedded.device.type == "cpu":  # where autocast's bfloat16 has no LSTM to call on most processors
            with torch.autocast("cpu", enabled=False):
                return self._run(embedded.float(), before, after)
        return self._run(embedded, before, after)

    def _run(self, embedded: Tensor, before: RecurrentState | None, after: RecurrentState | None) -> Tensor:
        begin = tuple(part.transpose(0, 1).contiguous() for part in before.parts[0]) if before is not None else None
        states, end = self.lstm(embedded, begin)
        if after is not None:
            after.parts[0] = tuple(part.transpose(0, 1) for part in end)
        return self.dropout(states)  # type: ignore[no-any-return]

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        _open_forget_gates(module, self.config)


class LSTMForCausalLM(CausalLM):
    """An LSTM that predicts the next token."""

    config_class = LSTMConfig
    body = LSTMModel

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        _open_forget_gates(module, self.config)


def _open_forget_gates(module: nn.Module, config: LSTMConfig) -> None:
    """torch lays the gates side by side as input, forget, cell, output, and adds two biases: one of them carries it."""
    if isinstance(module, nn.LSTM):
        for name, bias in module.named_parameters():
            if name.startswith("bias_ih"):
                width = module.hidden_size
                init.constant_(bias[width : 2 * width], config.forget_bias)

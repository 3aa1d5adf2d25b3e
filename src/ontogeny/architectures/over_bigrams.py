"""A network as a residual over a frozen bigram model: a product of two experts (Hinton 2002), only one of which learns.

    log p(w | x_1 ... x_t) = log p2(w | x_t) + z_w(x_1 ... x_t) - log sum over v of p2(v | x_t) exp z_v

z are the network's logits.  The history of a bigram is the token that a prediction is made at, so sentences that share their
beginnings (`scoring/forest.py`) are read as they are.  The network's head begins at zero, so that at step 0 the two together are
the bigram model; a head that is zero cannot be the embeddings too, so it is untied from them.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, PreTrainedConfig, PreTrainedModel

from ontogeny.architectures.models.mamba import quicken
from ontogeny.records import OntogenyError

NEVER = -1e4  # nats: log p2 of rows that no token of the tokenizer has; exp of it is 0 in float32
LONGEST = ("max_position_embeddings", "n_positions", "n_ctx")  # configs' words for the longest sequence


class Bigrams(nn.Module):
    """log p2 of every token after every token, by the continuations that were seen and a back-off for all others.

    A seen continuation w of h has its own log p2(w | h); any other has backoff[h] + unigram[w].
    """

    starts: Tensor  # int64 [vocabulary + 1]: where each history's continuations begin
    tokens: Tensor  # int32 [entries], ascending within a history
    logp: Tensor  # float32 [entries], nats
    backoff: Tensor  # float32 [vocabulary], nats
    unigram: Tensor  # float32 [vocabulary], nats

    def __init__(self, vocabulary: int, entries: int):
        """Zeros, to be loaded."""
        super().__init__()
        self.register_buffer("starts", torch.zeros(vocabulary + 1, dtype=torch.int64))
        self.register_buffer("tokens", torch.zeros(entries, dtype=torch.int32))
        self.register_buffer("logp", torch.zeros(entries))
        self.register_buffer("backoff", torch.zeros(vocabulary))
        self.register_buffer("unigram", torch.zeros(vocabulary))

    def widened(self, rows: int) -> Bigrams:
        """The same with `rows` rows, for a network whose vocabulary was rounded up: what is added never occurs."""
        more = rows - len(self.unigram)
        wide = Bigrams(rows, len(self.tokens))
        wide.load_state_dict(
            {
                "starts": torch.cat([self.starts, self.starts[-1:].expand(more)]),
                "tokens": self.tokens,
                "logp": self.logp,
                "backoff": torch.cat([self.backoff, torch.zeros(more)]),
                "unigram": torch.cat([self.unigram, torch.full((more,), NEVER)]),
            }
        )
        return wide

    def histories(self) -> Tensor:
        """The history of each entry, int64 [entries]."""
        return torch.repeat_interleave(self.starts.diff())

    @torch.no_grad()
    def of(self, history: Tensor, token: Tensor) -> Tensor:
        """log p2 [N] of each token [N] after its history [N], without a row of the vocabulary for any."""
        keys = self.histories() * len(self.unigram) + self.tokens  # ascending
        wanted = history * len(self.unigram) + token
        place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
        return torch.where(keys[place] == wanted, self.logp[place], self.backoff[history] + self.unigram[token])

    @torch.compiler.disable  # type: ignore[untyped-decorator] # how many rows and entries it makes depends on the batch
    @torch.no_grad()
    def forward(self, tokens: Tensor) -> Tensor:
        """log p2 [..., vocabulary] of what follows each of the tokens [...]; each distinct token's row is made once."""
        history, which = torch.unique(tokens, return_inverse=True)  # type: ignore[no-untyped-call]
        rows = self.backoff[history, None] + self.unigram
        first = self.starts[history]
        many = self.starts[history + 1] - first
        at = torch.repeat_interleave(many)  # the row that each entry belongs to
        entry = torch.arange(len(at), device=at.device) + (first - many.cumsum(0) + many)[at]
        rows[at, self.tokens[entry].long()] = self.logp[entry]
        return rows[which]


class OverBigramsConfig(PreTrainedConfig):  # type: ignore[misc]
    """The network's own config, and how many bigrams were seen."""

    model_type = "ontogeny-over-bigrams"

    def __init__(self, network: dict[str, Any] | None = None, entries: int = 0, **kwargs: Any):
        self.network = network or {"model_type": "opt"}
        self.entries = entries
        inner = self.inner()
        self.vocab_size = inner.vocab_size
        if longest := next((int(found) for name in LONGEST if (found := getattr(inner, name, None))), None):
            self.max_position_embeddings = longest
        special = {name: getattr(inner, name, None) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        super().__init__(**{**special, **kwargs, "tie_word_embeddings": False})

    def inner(self) -> PreTrainedConfig:
        """The network's config."""
        fields = dict(self.network)
        return AutoConfig.for_model(fields.pop("model_type"), **fields)

    def get_text_config(self, *args: Any, **kwargs: Any) -> PreTrainedConfig:
        """The network's config, which says how large the caches of `generate` are."""
        return self.inner()


class OverBigrams(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """A frozen bigram model and a network over it.  `network` alone is a causal language model too."""

    config_class = OverBigramsConfig
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: OverBigramsConfig):
        super().__init__(config)
        self.bigrams = Bigrams(config.vocab_size, config.entries)
        self.network = quicken(AutoModelForCausalLM.from_config(config.inner()))
        self.post_init()

    def forward(self, input_ids: Tensor, labels: Tensor | None = None, **told: Any) -> Any:
        """Logits [B, T, vocabulary] of the two together, with whatever else the network gives."""
        found = self.network(input_ids=input_ids, **told)
        found.logits = self.bigrams(input_ids) + found.logits
        if labels is not None:
            found.loss = self.loss_function(logits=found.logits, labels=labels, vocab_size=self.config.vocab_size)
        return found

    def get_input_embeddings(self) -> nn.Module:
        """The network's embeddings."""
        return self.network.get_input_embeddings()  # type: ignore[no-any-return]

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Puts others in their place."""
        self.network.set_input_embeddings(value)

    def get_output_embeddings(self) -> None:
        """None: logits are not a head's alone."""


def over(network: Any, bigrams: Bigrams) -> OverBigrams:
    """The network, with its weights but for the head, which is untied and zero, over these bigrams.

    Raises OntogenyError for a network without a head.
    """
    if network.get_output_embeddings() is None:
        raise OntogenyError(
            f"over-bigrams begins with a head that is zero, and {type(network).__name__} has none; take an architecture with "
            "output embeddings"
        )
    config = deepcopy(network.config)
    config.tie_word_embeddings = False
    model = OverBigrams(OverBigramsConfig(network=config.to_dict(), entries=len(bigrams.tokens)))
    model.network.load_state_dict(network.state_dict())
    model.bigrams.load_state_dict(bigrams.widened(config.vocab_size).state_dict())
    for parameter in model.network.get_output_embeddings().parameters():
        nn.init.zeros_(parameter)
    return model


class WithoutTilt(OverBigrams):
    """A network without what weights of targets have moved: q / weight, renormalised (intervention down-weight).

    With weights (1 - p2)^gamma the best that a network can say is q ~ weight x p; taken out again, p is left.
    """

    def __init__(self, network: Any, bigrams: Bigrams, gamma: float):
        PreTrainedModel.__init__(self, OverBigramsConfig(network=network.config.to_dict(), entries=len(bigrams.tokens)))
        self.network, self.bigrams, self.gamma = network, bigrams.widened(network.config.vocab_size), gamma

    def forward(self, input_ids: Tensor, labels: Tensor | None = None, **told: Any) -> Any:
        """Logits [B, T, vocabulary] of the network, less the weights' logarithms."""
        found = self.network(input_ids=input_ids, **told)
        found.logits = found.logits - self.gamma * torch.log(-torch.expm1(self.bigrams(input_ids).clamp(max=-1e-6)))
        return found


def keep_tilt(path: Path, bigrams: Bigrams, gamma: float) -> None:
    """Writes the weights that a training has, for `untilted` to take out."""
    save_file({**bigrams.state_dict(), "gamma": torch.tensor(gamma)}, path)


def untilted(network: Any, path: Path) -> WithoutTilt:
    """A network without the tilt that `keep_tilt` wrote.  Raises OntogenyError where a training kept none."""
    if not path.exists():
        raise OntogenyError(f"{path} is not there: the suite untilted is for a recipe whose intervention is down-weight")
    kept = load_file(path)
    gamma = float(kept.pop("gamma"))
    table = Bigrams(len(kept["unigram"]), len(kept["tokens"]))
    table.load_state_dict(kept)
    return WithoutTilt(network, table.to(network.device), gamma)


AutoConfig.register(OverBigramsConfig.model_type, OverBigramsConfig, exist_ok=True)
AutoModelForCausalLM.register(OverBigramsConfig, OverBigrams, exist_ok=True)

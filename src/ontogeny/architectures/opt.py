"""OPT (Zhang et al. 2022) as transformers has it, in named sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ontogeny import registry
from ontogeny.recipe import Kind
from ontogeny.records import OntogenyError

if TYPE_CHECKING:
    from transformers import OPTForCausalLM

Size = Literal["opt-1m", "opt-2m", "opt-7m", "opt-20m", "opt-125m"]


def _narrow(width: int, layers: int) -> dict[str, Any]:
    # Heads of 64 as in opt-125m.  No dropout: a model this small does not overfit in the few epochs it is trained for.
    return {
        "hidden_size": width,
        "word_embed_proj_dim": width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64,
        "ffn_dim": 4 * width,
        "dropout": 0.0,
    }


# Parameters are for a vocabulary of 8,192 and a context of 128, but for opt-125m.
SIZES: dict[str, dict[str, Any]] = {
    "opt-1m": _narrow(128, 2),  # 1.5M
    "opt-2m": _narrow(128, 4),  # 1.9M
    "opt-7m": _narrow(256, 6),  # 6.9M
    "opt-20m": _narrow(384, 8),  # 17.4M
    "opt-125m": {
        "hidden_size": 768,
        "word_embed_proj_dim": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "ffn_dim": 3072,
        "dropout": 0.1,
        "max_position_embeddings": 2048,
    },  # 125.2M with Meta's 50,272 rows of vocabulary: the config of facebook/opt-125m
}


class OPT(Kind):
    """A causal transformer with learned positions, pre-norm, ReLU and tied embeddings."""

    kind: Literal["opt"] = "opt"
    size: Size = "opt-2m"
    """A named size."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Any field of transformers' OPTConfig, laid over the size."""

    def build(self, vocabulary: int, context: int, bos: int | None, pad: int | None) -> OPTForCausalLM:
        """A fresh model, initialised from torch's global generator.

        Raises OntogenyError for an option that OPTConfig lacks, or a vocabulary that does not fit the tokenizer's.
        """
        from transformers import OPTConfig, OPTForCausalLM

        known = [name for name in OPTConfig().to_dict() if not name.startswith("_")]
        for name in self.options:
            if name not in known:
                raise OntogenyError(f"model.options.{name} is no field of OPTConfig; {registry.nearest(name, known)}")
        ours = {"vocab_size": vocabulary, "max_position_embeddings": context}
        special = {"bos_token_id": bos, "eos_token_id": bos, "pad_token_id": pad}
        settings = {**ours, **special, **SIZES[self.size], **self.options}
        check_vocabulary(settings["vocab_size"], vocabulary)
        if settings["max_position_embeddings"] < context:
            raise OntogenyError(
                f"model.options.max_position_embeddings is {settings['max_position_embeddings']}, "
                f"but training.context is {context} tokens; make the first at least as large"
            )
        try:
            return OPTForCausalLM(OPTConfig(**settings))
        except Exception as error:  # of many kinds: one for each way in which options do not go together
            said = str(error).strip().splitlines()[-1].strip()
            raise OntogenyError(f"model.options cannot be built ({type(error).__name__}: {said})") from error


def check_vocabulary(rows: int, vocabulary: int) -> None:
    """Raises OntogenyError unless the model has a row for each token and no more than the rounding to 64 that is customary."""
    most = -(-vocabulary // 64) * 64
    if not vocabulary <= rows <= most:
        raise OntogenyError(
            f"the model's vocabulary is {rows:,} rows, but the tokenizer has {vocabulary:,} tokens: "
            f"model.options.vocab_size must lie between {vocabulary} and {most} (or be left out)"
        )

"""Log-probabilities of sentences under a causal language model, exactly as the definitions have them.

LL(s) = sum over j of log p(x_j | BOS, x_<j): BOS is always there and never scored, EOS and padding never are.  Log-softmax and
sums are float32 or better whatever the model's dtype.
"""

from __future__ import annotations

from typing import Any

import torch

from ontogeny.records import OntogenyError
from ontogeny.scoring.readout import Progress, Readout, choose, token_logps
from ontogeny.scoring.sentences import Logps, Sentences


@torch.inference_mode()
def choose_way(model: Any, sentences: Sentences, device: torch.device) -> Readout:
    """How a model's numbers are found, for these sentences or any part of them.

    Raises OntogenyError if the model has no row for one of their tokens, or if it looks ahead.
    """
    check(model, sentences, device)
    return choose(model, sentences, device)


@torch.inference_mode()
def read_by(
    way: Readout, sentences: Sentences, device: torch.device, batch_tokens: int = 2048, progress: Progress = lambda sentences: None
) -> Logps:
    """The sentences' tokens in the way that `choose_way` has chosen for them, or for more.

    Facts: the way; the most tokens that a pass had where memory was short.
    """
    logps, most = token_logps(way, sentences, device, batch_tokens, progress)
    return logps, {"way": str(way)} | ({"batch_tokens": most} if most < batch_tokens else {})


@torch.inference_mode()
def check(model: Any, sentences: Sentences, device: torch.device) -> None:
    """Raises OntogenyError if a model cannot score the sentences: too few rows in its vocabulary, or no causal language model."""
    if named_masked(type(model).__name__):
        raise OntogenyError(
            f"{type(model).__name__} is a masked language model: it has pseudo-log-likelihoods (ontogeny.scoring.masked) and no "
            "log-probabilities from left to right"
        )
    largest = max(map(max, sentences))
    embeddings = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    rows = getattr(embeddings, "num_embeddings", None)
    if rows is not None and largest >= rows:
        raise OntogenyError(
            f"the tokenizer gives token {largest:,}, but the model's vocabulary has {rows:,} rows: they do not belong together"
        )
    sentence = next((ids for ids in sentences if len(ids) > 2), None)
    if sentence is None:
        return
    whole = torch.tensor([sentence[:-1]], device=device)  # the last is no input, and may have no position
    ahead, alone = (model(input_ids=ids, use_cache=False).logits[0, 0].float() for ids in (whole, whole[:, :1]))
    if torch.isfinite(ahead).all() and not torch.allclose(ahead, alone, rtol=1e-3, atol=1e-3):
        raise OntogenyError("the model's first prediction changes with the tokens after it: it is no causal language model")


def named_masked(name: str) -> bool:
    """True for the class name of a masked language model."""
    return name.endswith("ForMaskedLM")

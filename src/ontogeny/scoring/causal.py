"""Sentence log-probabilities under a causal language model, exactly as the definitions have them.

LL(s) = sum over j of log p(x_j | BOS, x_<j): BOS is always there and never scored, EOS and padding never are.  Log-softmax and
sums are float32 or better whatever the model's dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from ontogeny.records import OntogenyError
from ontogeny.scoring.plan import Batch, Plan

# (tokens [S, T], nodes [N]) -> states [N, width], and states -> logits [N, vocabulary]
Readout = tuple[Callable[[torch.Tensor, torch.Tensor], torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]
ROWS = 256  # distributions made at a time: few enough to stay in the processor's cache, a quarter faster than all at once
Progress = Callable[[int], None]  # called with the number of sentences that were just scored


@torch.inference_mode()
def score(
    model: Any, plan: Plan, device: torch.device, batch_tokens: int = 2048, progress: Progress = lambda sentences: None
) -> pl.DataFrame:
    """Scores every pair of the plan.

    Returns one row a pair: paradigm, pair, logp_good, logp_bad (nats, float64), tokens_good, tokens_bad (scored tokens),
    critical_good, critical_bad (the log-probability of the tokens where the two differ, after their common prefix and before their
    common suffix).  Raises OntogenyError if a log-probability is not a number, if the model has no row for a token of the plan, or
    if it looks ahead.
    """
    check(model, plan, device)
    readout = _readout(model, plan, device)
    logps: list[NDArray[np.float64]] = [np.zeros(0)] * len(plan.sentences)
    for batch in plan.batches(batch_tokens):
        for sentence, row in zip(batch.sentences, token_logps(readout, batch, device), strict=True):
            logps[sentence] = row
        progress(len(batch.sentences))
    return frame_of(plan, logps)


@torch.inference_mode()
def check(model: Any, plan: Plan, device: torch.device) -> None:
    """Raises OntogenyError if a model cannot score the plan: too few rows in its vocabulary, or no causal language model."""
    largest = max(map(max, plan.sentences))
    embeddings = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    rows = getattr(embeddings, "num_embeddings", None)
    if rows is not None and largest >= rows:
        raise OntogenyError(
            f"the tokenizer gives token {largest:,}, but the model's vocabulary has {rows:,} rows: they do not belong together"
        )
    sentence = next((s for s in plan.sentences if len(s) > 2), None)
    if sentence is None:
        return
    whole = torch.tensor([sentence], device=device)
    ahead, alone = (model(input_ids=ids, use_cache=False).logits[0, 0].float() for ids in (whole, whole[:, :1]))
    if torch.isfinite(ahead).all() and not torch.allclose(ahead, alone, rtol=1e-3, atol=1e-3):
        raise OntogenyError("the model's first prediction changes with the tokens after it: it is no causal language model")


def token_logps(readout: Readout, batch: Batch, device: torch.device) -> NDArray[np.float64]:
    """log p of every token [S, T] of a batch, in nats."""
    body, head = readout
    states = body(torch.from_numpy(batch.tokens).to(device), torch.from_numpy(batch.nodes).to(device))  # [N, width]
    order = np.argsort(batch.edge_node, axis=None, kind="stable")  # edges by the node they leave
    node, token = batch.edge_node.ravel()[order], batch.edge_token.ravel()[order]
    logps = np.empty(len(order))
    for first in range(0, len(states), ROWS):
        rows = slice(*np.searchsorted(node, (first, first + ROWS)))
        logits = head(states[first : first + ROWS]).float()  # [ROWS, vocabulary]
        ours = torch.from_numpy(node[rows] - first).to(device), torch.from_numpy(token[rows]).to(device)
        logps[order[rows]] = (logits[ours] - torch.logsumexp(logits, dim=-1)[ours[0]]).double().cpu().numpy()
    if not np.isfinite(logps).all():
        raise OntogenyError("the model gives a log-probability that is not a finite number; its weights may be broken")
    return logps.reshape(batch.edge_node.shape)


def _readout(model: Any, plan: Plan, device: torch.device) -> Readout:
    """The cheap way to a model's logits at chosen nodes if it gives the model's own numbers, else the plain way.

    Cheap: the output embeddings applied to the last hidden states of the nodes alone.  Some models scale or cap their logits after
    that, or have no such parts; one small batch tells.
    """

    def plain(tokens: torch.Tensor, nodes: torch.Tensor) -> torch.Tensor:
        return model(input_ids=tokens, use_cache=False).logits.flatten(0, 1)[nodes]  # type: ignore[no-any-return]

    def cheap(tokens: torch.Tensor, nodes: torch.Tensor) -> torch.Tensor:
        body = getattr(model, model.base_model_prefix)
        return body(input_ids=tokens, use_cache=False).last_hidden_state.flatten(0, 1)[nodes]  # type: ignore[no-any-return]

    trial = next(plan.batches(16))
    tokens, nodes = torch.from_numpy(trial.tokens).to(device), torch.from_numpy(trial.nodes).to(device)
    try:
        head = model.get_output_embeddings()
        same = torch.allclose(head(cheap(tokens, nodes)), plain(tokens, nodes), rtol=1e-4, atol=1e-4)
    except (AttributeError, TypeError, RuntimeError):
        same = False
    return (cheap, head) if same else (plain, torch.nn.Identity())


def frame_of(plan: Plan, logps: list[NDArray[np.float64]]) -> pl.DataFrame:
    """The table of scores from the log-probabilities [tokens] of each of the plan's sentences."""
    sums = np.array([row.sum() for row in logps])
    lengths = np.array([len(row) for row in logps])
    critical = [
        _critical(plan.sentences[g], plan.sentences[b], logps[g], logps[b]) for g, b in zip(plan.good, plan.bad, strict=True)
    ]
    return pl.DataFrame(
        {
            "paradigm": [pair.paradigm for pair in plan.pairs],
            "pair": [pair.pair for pair in plan.pairs],
            "logp_good": sums[plan.good],
            "logp_bad": sums[plan.bad],
            "tokens_good": lengths[plan.good].astype(np.int32),
            "tokens_bad": lengths[plan.bad].astype(np.int32),
            "critical_good": [good for good, _ in critical],
            "critical_bad": [bad for _, bad in critical],
        }
    )


def _critical(
    good: tuple[int, ...], bad: tuple[int, ...], logp_good: NDArray[np.float64], logp_bad: NDArray[np.float64]
) -> tuple[float, float]:
    """Sums over the tokens where two sentences differ.  Row j of `logp` belongs to token j + 1."""
    shortest = min(len(good), len(bad))
    start = next((i for i in range(shortest) if good[i] != bad[i]), shortest)
    end = next((i for i in range(shortest - start) if good[-1 - i] != bad[-1 - i]), shortest - start)
    return (
        float(logp_good[max(0, start - 1) : len(logp_good) - end].sum()),
        float(logp_bad[max(0, start - 1) : len(logp_bad) - end].sum()),
    )

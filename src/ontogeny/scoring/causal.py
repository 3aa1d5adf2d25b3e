"""Sentence log-probabilities under a causal language model, exactly as the definitions have them.

LL(s) = sum over j of log p(x_j | BOS, x_<j): BOS is always there and never scored, EOS and padding never are.  Log-softmax and
sums are float32 or better whatever the model's dtype.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from ontogeny.records import OntogenyError
from ontogeny.scoring.forest import Integers, ranges
from ontogeny.scoring.plan import Plan
from ontogeny.scoring.readout import Progress as Progress
from ontogeny.scoring.readout import Readout, choose, in_bfloat16, token_logps

SAMPLE = 200  # pairs that the error of bfloat16 is measured on


@dataclass(frozen=True, slots=True)
class Scored:
    """Every pair's scores, and how they were made."""

    frame: pl.DataFrame
    facts: dict[str, Any]  # for the lineage: the way; the most tokens a pass had where memory was short; the error of bfloat16


def score(
    model: Any,
    plan: Plan,
    device: torch.device,
    batch_tokens: int = 2048,
    progress: Progress = lambda sentences: None,
    precision: str = "float32",
) -> pl.DataFrame:
    """The table of `read`, without the facts."""
    return read(model, plan, device, batch_tokens, progress, precision).frame


def read(
    model: Any,
    plan: Plan,
    device: torch.device,
    batch_tokens: int = 2048,
    progress: Progress = lambda sentences: None,
    precision: str = "float32",
) -> Scored:
    """Scores every pair of the plan.

    The frame has one row a pair: paradigm, pair, logp_good, logp_bad (nats, float64), tokens_good, tokens_bad (scored tokens),
    critical_good, critical_bad (the log-probability of the tokens where the two differ, after their common prefix and before their
    common suffix).  Raises OntogenyError as `choose_way` does, and if a log-probability is not a number.
    """
    device = torch.device(device)
    return read_by(choose_way(model, plan, device, precision), plan, device, batch_tokens, progress)


@torch.inference_mode()
def choose_way(model: Any, plan: Plan, device: torch.device, precision: str = "float32") -> tuple[Readout, dict[str, Any]]:
    """How a model's numbers are found, for this plan or any part of it, and the facts about it.

    Raises OntogenyError if the model has no row for a token of the plan, or if it looks ahead.
    """
    check(model, plan, device)
    way = choose(model, plan, device)
    facts: dict[str, Any] = {"way": str(way)}
    if precision == "bfloat16":
        exact, way = way, in_bfloat16(way, device)
        facts["bfloat16"] = rounding(exact, way, plan, device)
    return way, facts


@torch.inference_mode()
def read_by(
    chosen: tuple[Readout, dict[str, Any]],
    plan: Plan,
    device: torch.device,
    batch_tokens: int,
    progress: Progress = lambda sentences: None,
) -> Scored:
    """Scores every pair of a plan in the way that `choose_way` has chosen for it, or for a larger one."""
    way, facts = chosen
    logps, most = token_logps(way, plan, device, batch_tokens, progress)
    return Scored(frame_of(plan, logps), facts | ({"batch_tokens": most} if most < batch_tokens else {}))


@torch.inference_mode()
def check(model: Any, plan: Plan, device: torch.device) -> None:
    """Raises OntogenyError if a model cannot score the plan: too few rows in its vocabulary, or no causal language model."""
    if named_masked(type(model).__name__):
        raise OntogenyError(
            f"{type(model).__name__} is a masked language model: it has pseudo-log-likelihoods (ontogeny.scoring.masked) and no "
            "log-probabilities from left to right"
        )
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


def named_masked(name: str) -> bool:
    """True for the class name of a masked language model."""
    return name.endswith("ForMaskedLM")


def rounding(exact: Readout, rounded: Readout, plan: Plan, device: torch.device) -> dict[str, float]:
    """What a way of less precision costs on a sample: pairs, the largest error of a sentence (nats), and decisions flipped."""
    sample = plan.part(np.unique(np.linspace(0, len(plan.pairs) - 1, SAMPLE, dtype=np.int64)))
    one, other = (frame_of(sample, token_logps(way, sample, device)[0]) for way in (exact, rounded))
    error = max(float(np.abs((one[side] - other[side]).to_numpy()).max()) for side in ("logp_good", "logp_bad"))
    decided = [np.sign((frame["logp_good"] - frame["logp_bad"]).to_numpy()) for frame in (one, other)]
    return {"pairs": len(sample.pairs), "largest_error": error, "flipped": int((decided[0] != decided[1]).sum())}


def frame_of(plan: Plan, logps: NDArray[np.float64]) -> pl.DataFrame:
    """The table of scores from the log-probabilities of all scored tokens of the plan's sentences, laid end to end."""
    sums = _sums(logps, plan.starts, plan.starts + plan.lengths)
    return pl.DataFrame(
        {
            "paradigm": [pair.paradigm for pair in plan.pairs],
            "pair": [pair.pair for pair in plan.pairs],
            "logp_good": sums[plan.good],
            "logp_bad": sums[plan.bad],
            "tokens_good": plan.lengths[plan.good].astype(np.int32),
            "tokens_bad": plan.lengths[plan.bad].astype(np.int32),
            "critical_good": _critical(plan, logps, plan.good),
            "critical_bad": _critical(plan, logps, plan.bad),
        }
    )


def _critical(plan: Plan, logps: NDArray[np.float64], side: Integers) -> NDArray[np.float64]:
    """Sums over the tokens where two sentences differ.  The first token of a sentence is not among its scored ones."""
    before, after = plan.critical
    return _sums(logps, plan.starts[side] + np.maximum(before - 1, 0), plan.starts[side] + plan.lengths[side] - after)


def _sums(values: NDArray[np.float64], starts: Integers, ends: Integers) -> NDArray[np.float64]:
    """Sums from each start up to its end; 0 where there is nothing between."""
    at, owner = ranges(starts, np.maximum(starts, ends))
    return np.bincount(owner, values[at], minlength=len(starts)).astype(np.float64)

"""The scores of pairs: what the log-probabilities of their sentences' tokens add up to, by a network of either kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from ontogeny.records import OntogenyError
from ontogeny.scoring import causal, masked
from ontogeny.scoring.distributions import leading
from ontogeny.scoring.forest import Integers, ranges
from ontogeny.scoring.options import sides
from ontogeny.scoring.plan import NONE, Plan
from ontogeny.scoring.readout import Progress, Readout, in_bfloat16, token_logps
from ontogeny.scoring.sentences import PART, Floats

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

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
    """Scores every pair of the plan by a causal model.

    The frame has one row a pair: paradigm, pair, logp_good, logp_bad (nats, float64), tokens_good, tokens_bad (scored tokens),
    critical_good, critical_bad (the log-probability of the tokens where the two differ, after their common prefix and before their
    common suffix).  Where any item has more options there are logp_bad_2, tokens_bad_2 ..., null where one has fewer, and what is
    critical is to the first wrong one.  Of an item with predictions, good and bad are the two sides of the one that holds least, in
    all columns.  Of a text that is to be written, bad is the same text with the token that leads least exchanged for the likeliest
    other one there, what follows it being as it was.  Raises OntogenyError as `choose_way` does, and if a log-probability is no
    number.
    """
    device = torch.device(device)
    return read_by(choose_way(model, plan, device, precision), plan, device, batch_tokens, progress)


@torch.inference_mode()
def choose_way(model: Any, plan: Plan, device: torch.device, precision: str = "float32") -> tuple[Readout, dict[str, Any]]:
    """How a causal model's numbers are found, for this plan or any part of it, and what less `precision` costs.

    Raises OntogenyError as `causal.choose_way` does.
    """
    way = causal.choose_way(model, plan.sentences, device)
    if precision != "bfloat16":
        return way, {}
    rounded = in_bfloat16(way, device)
    return rounded, {"bfloat16": rounding(way, rounded, plan, device)}


def read_by(
    chosen: tuple[Readout, dict[str, Any]],
    plan: Plan,
    device: torch.device,
    batch_tokens: int,
    progress: Progress = lambda sentences: None,
) -> Scored:
    """Scores every pair of a plan in the way that `choose_way` has chosen for it, or for a larger one."""
    way, cost = chosen
    logps, facts = causal.read_by(way, plan.sentences, device, batch_tokens, progress)
    return Scored(frame_of(plan, logps, _leads(way, plan, device, batch_tokens)), facts | cost)


@torch.inference_mode()
def _leads(way: Readout, plan: Plan, device: torch.device, batch_tokens: int) -> Floats | None:
    """By how many nats each scored token leads the likeliest other one there; None where no pair asks for that."""
    if not any(pair.written for pair in plan.pairs):
        return None
    return token_logps(replace(way, read=leading(way.read)), plan.sentences, device, batch_tokens)[0]


def read_masked(
    model: Any,
    plan: Plan,
    tokenizer: PreTrainedTokenizerBase,
    device: torch.device,
    bos: bool = True,
    batch_tokens: int = 2048,
    progress: Progress = lambda sentences: None,
    metric: str = "within-word",
) -> Scored:
    """The same of a masked model: sums of pseudo-log-probabilities.

    Raises OntogenyError as `masked.read` does, and for a text that is to be written.
    """
    if pair := next((pair for pair in plan.pairs if pair.written), None):
        raise OntogenyError(
            f"item {pair.pair} of {pair.paradigm} is right if the model would write its text, and {type(model).__name__} is a "
            "masked language model, which writes none from left to right; leave the suite out"
        )
    logps, facts = masked.read(model, plan.sentences, tokenizer, device, bos, batch_tokens, progress, metric)
    return Scored(frame_of(plan, logps), facts)


def rounding(exact: Readout, rounded: Readout, plan: Plan, device: torch.device) -> dict[str, float]:
    """What a way of less precision costs on a sample: pairs, the largest error of a sentence (nats), and decisions flipped."""
    sample = plan.part(np.unique(np.linspace(0, len(plan.pairs) - 1, SAMPLE, dtype=np.int64)))
    one, other = (read_by((way, {}), sample, device, 2048).frame for way in (exact, rounded))
    logps = [f"logp_{side}" for side in sides(sample.shown)]
    error = max(float(np.abs((one[name] - other[name]).to_numpy()).max()) for name in logps)
    decided = [frame.select((pl.col("logp_good") - pl.max_horizontal(logps[1:])).sign()).to_series() for frame in (one, other)]
    return {"pairs": len(sample.pairs), "largest_error": error, "flipped": int((decided[0] != decided[1]).sum())}


def frame_of(plan: Plan, logps: Floats, leads: Floats | None = None) -> pl.DataFrame:
    """The table of scores from the log-probabilities of all scored tokens of the plan's sentences, laid end to end; and by how much
    each leads the likeliest other one there, where texts are to be written."""
    asked = plan.sentences
    sums = _sums(logps, asked.starts, asked.starts + asked.lengths)
    options, critical = plan.options.T, [_critical(plan, logps, side) for side in (plan.good, plan.bad)]
    values = {"logp": list(sums[options]), "tokens": list(asked.lengths[options].astype(np.int32)), "critical": critical}
    predicted = np.array([bool(pair.predictions) for pair in plan.pairs])
    if predicted.any():
        options = np.where(predicted & (np.arange(len(options)) > 1)[:, None], NONE, options)
        _fold(plan, sums, predicted, values)
    if leads is not None:
        options = _rivals(plan, leads, options, values)

    def of(column: str, values: Iterable[NDArray[Any]]) -> dict[str, pl.Series]:
        found = zip(sides(plan.shown), options, values, strict=False)
        return {f"{column}_{side}": _where_there(option, own) for side, option, own in found}

    return pl.DataFrame(
        {
            "paradigm": [pair.paradigm for pair in plan.pairs],
            "pair": [pair.pair for pair in plan.pairs],
            **of("logp", values["logp"]),
            **of("tokens", values["tokens"]),
            **of("critical", values["critical"]),
        }
    )


def _fold(plan: Plan, sums: Floats, predicted: NDArray[np.bool_], values: dict[str, list[NDArray[Any]]]) -> None:
    """Puts the two sides of its decisive prediction in the place of the first two options of each item that has any."""
    asked = plan.comparisons
    good, bad = asked.sides(sums)
    chosen = asked.decisive(good - bad)
    chosen = chosen[predicted[asked.pair[chosen]]]
    for number, (logps, tokens) in enumerate(zip((good, bad), asked.sides(plan.sentences.lengths), strict=True)):
        for name, side in (("logp", logps), ("tokens", tokens), ("critical", logps)):
            values[name][number] = values[name][number].copy()
            values[name][number][predicted] = side[chosen]


def _rivals(plan: Plan, leads: Floats, options: Integers, values: dict[str, list[NDArray[Any]]]) -> Integers:
    """Puts into the place of the wrong option of each text that is to be written what the model would rather write at one place.

    Returns `options` with one there.
    """
    written = np.array([pair.written for pair in plan.pairs])
    least = np.minimum.reduceat(leads, plan.sentences.starts)[plan.good]
    for name, less in (("logp", least), ("tokens", 0), ("critical", least)):
        values[name][1] = np.where(written, values[name][0] - less, values[name][1])
    return np.where(written & (np.arange(len(options)) == 1)[:, None], options[0], options)


def _where_there(option: Integers, values: NDArray[Any]) -> pl.Series:
    """Null where an item has no such option."""
    found = pl.Series(values)
    return found if (option != NONE).all() else found.set(pl.Series(option == NONE), None)


def _critical(plan: Plan, logps: Floats, side: Integers) -> Floats:
    """Sums over the tokens where two sentences differ.  What is given is not among the scored ones."""
    (before, after), asked = plan.critical, plan.sentences
    starts, ends = asked.starts[side], asked.starts[side] + asked.lengths[side]
    return _sums(logps, starts + np.maximum(before - asked.given[side], 0), ends - after)


def _sums(values: Floats, starts: Integers, ends: Integers) -> Floats:
    """Sums from each start up to its end; 0 where there is nothing between."""
    found = np.empty(len(starts))
    for first in range(0, len(starts), PART):
        some = slice(first, first + PART)
        at, owner = ranges(starts[some], np.maximum(starts, ends)[some])
        found[some] = np.bincount(owner, values[at], minlength=len(found[some]))
    return found

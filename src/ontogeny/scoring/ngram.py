"""Pairs under n-gram models: a scorer like any other, whose ties are exact.

A margin sums only the transitions that one sentence of a pair has and the other has not (a multiset difference), so that what they
share cancels wholly and not to rounding.  Transitions that differ may tie too: where none was seen, each is a history's weight
times a word's probability, and exchanging two words exchanges factors.  So what is left within ROUNDING is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontogeny.ngrams.index import Index, Walk
from ontogeny.ngrams.kneser_ney import Floats, KneserNey
from ontogeny.ngrams.sorting import lexicographic
from ontogeny.records import OntogenyError
from ontogeny.scoring.causal import frame_of
from ontogeny.scoring.plan import Plan

ROUNDING = 1e-9  # nats; sums of a dozen logarithms err by 1e-14, the least margin seen of pairs that differ is above 1e-6


@dataclass(frozen=True, slots=True)
class Net:
    """What is left of each pair when the transitions that both its sentences have are taken away; entries in order of pairs."""

    pair: NDArray[np.int64]
    at: NDArray[np.int64]  # a place in the flat array of tokens where the transition stands
    times: NDArray[np.int64]  # how often more in the good sentence than in the bad one; negative: less often


class Sentences:
    """A plan's sentences as rows of an index, found once for all orders and all moments of training."""

    def __init__(self, index: Index, plan: Plan):
        """Raises OntogenyError if the plan's tokens are not the index's, or its sentences begin in another way."""
        _check(index, plan)
        self.plan = plan
        self.closed = index.bos is not None
        end = (index.bos,) if index.bos is not None else ()
        whole = [(*sentence, *end) for sentence in plan.sentences]
        self.walk: Walk = index.walk(whole)
        self.lengths = np.array([len(sentence) - 1 for sentence in plan.sentences])  # scored tokens: the first never is
        ends = np.cumsum(self.lengths + 1 + self.closed)
        self.starts = ends - self.lengths - self.closed  # of the scored tokens in the flat array
        self._tokens = np.fromiter((t for sentence in whole for t in sentence), dtype=np.int64)
        self._depths = np.fromiter((i for sentence in whole for i in range(len(sentence))), dtype=np.int64)
        self._bits = max(1, index.vocabulary.bit_length())
        self._nets: dict[tuple[int, bool], Net] = {}

    def logps(self, model: KneserNey, order: int) -> Floats:
        """log p in nats of every token of every sentence, laid end to end, with the end of the document after each."""
        return np.asarray(np.log(model.probabilities(self.walk, order)))

    def tokens_of(self, logps: Floats) -> list[Floats]:
        """The same, one array of scored tokens a sentence, without the end."""
        return [logps[start : start + length] for start, length in zip(self.starts, self.lengths, strict=True)]

    def sums(self, logps: Floats) -> Floats:
        """log p of every sentence, without the end."""
        bounds = np.stack([self.starts, self.starts + self.lengths], axis=1).ravel()
        return np.asarray(np.add.reduceat(np.append(logps, 0.0), bounds)[::2] * (self.lengths > 0))

    def net(self, order: int, ends: bool = False) -> Net:
        """Each pair's transitions of one order that do not cancel; `ends`: with the end of the document after each sentence."""
        if (order, ends) not in self._nets:
            self._nets[order, ends] = self._net(order, ends)
        return self._nets[order, ends]

    def _net(self, order: int, ends: bool) -> Net:
        columns = [np.where(self._depths >= back, np.roll(self._tokens, back) + 1, 0) for back in range(order)]
        transition = lexicographic(columns, self._bits + 1)
        sides = [_laid_out(chosen, self.starts, self.lengths + ends) for chosen in (self.plan.good, self.plan.bad)]
        at = np.concatenate([side for _, side in sides])
        entries = pl.DataFrame(
            {
                "pair": np.concatenate([pair for pair, _ in sides]),
                "transition": transition[at],
                "at": at,
                "times": np.repeat(np.array([1, -1], dtype=np.int64), [len(pair) for pair, _ in sides]),
            }
        )
        left = entries.group_by("pair", "transition").agg(pl.col("at").first(), pl.col("times").sum()).filter(pl.col("times") != 0)
        left = left.sort("pair", "transition")
        return Net(*(left[name].to_numpy() for name in ("pair", "at", "times")))

    def margins(self, logps: Floats, order: int, ends: bool = False) -> Floats:
        """Each pair's margin in nats.  Transitions that are equally likely cancel wholly as well, so that ties are exact."""
        net, found = self.net(order, ends), np.zeros(len(self.plan.pairs))
        entries = pl.DataFrame({"pair": net.pair, "logp": logps[net.at], "times": net.times})
        left = entries.group_by("pair", "logp").agg(pl.col("times").sum()).filter(pl.col("times") != 0).sort("pair", "logp")
        np.add.at(found, left["pair"].to_numpy(), (left["logp"] * left["times"]).to_numpy())
        return np.where(np.abs(found) < ROUNDING, 0.0, found)


def score(model: KneserNey, order: int, sentences: Sentences) -> pl.DataFrame:
    """The table that `causal.score` makes of a network: paradigm, pair, logp_good, logp_bad, tokens, critical region's two."""
    return frame_of(sentences.plan, np.concatenate(sentences.tokens_of(sentences.logps(model, order))))


def score_with(logp: Callable[[Sequence[int], int], float], plan: Plan) -> pl.DataFrame:
    """The same table from anything that gives log p (nats) of a token after a history, such as `WittenBell.logp` over any backend.

    The first token of a sentence is given, as everywhere.
    """
    rows = [np.array([logp(sentence[:i], sentence[i]) for i in range(1, len(sentence))]) for sentence in plan.sentences]
    return frame_of(plan, np.concatenate(rows))


def margins(model: KneserNey, sentences: Sentences, orders: Iterable[int]) -> pl.DataFrame:
    """One row a pair and order: margin, margin_eos, logp_good, logp_bad (nats), length_good, length_bad (scored tokens).

    `margin_eos` adds the end of the document after either sentence; it is null where the stream has no BOS to end with.
    """
    plan, frames = sentences.plan, []
    for order in orders:
        logps = sentences.logps(model, order)
        sums = sentences.sums(logps)
        columns = {
            "paradigm": [pair.paradigm for pair in plan.pairs],
            "pair": [pair.pair for pair in plan.pairs],
            "order": np.full(len(plan.pairs), order, dtype=np.int64),
            "margin": sentences.margins(logps, order),
            "margin_eos": sentences.margins(logps, order, ends=True) if sentences.closed else None,
            "logp_good": sums[plan.good],
            "logp_bad": sums[plan.bad],
            "length_good": sentences.lengths[plan.good],
            "length_bad": sentences.lengths[plan.bad],
        }
        frames.append(pl.DataFrame(columns, schema_overrides={"margin_eos": pl.Float64}))
    return pl.concat(frames)


def _laid_out(chosen: NDArray[np.int64], starts: NDArray[Any], lengths: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """For every token of each pair's sentence: which pair, and where in the flat array."""
    many = lengths[chosen]
    pair = np.repeat(np.arange(len(chosen)), many)
    return pair, np.repeat(starts[chosen] - (np.cumsum(many) - many), many) + np.arange(many.sum())


def _check(index: Index, plan: Plan) -> None:
    largest = max(map(max, plan.sentences))
    if largest >= index.vocabulary:
        raise OntogenyError(
            f"the suite's sentences hold token {largest:,}, the counts are of a vocabulary of {index.vocabulary:,}: "
            "they were made with different tokenizers"
        )
    firsts = {sentence[0] for sentence in plan.sentences}
    if index.bos is not None and firsts != {index.bos}:
        raise OntogenyError("the counted stream begins its documents with BOS, the suite's sentences do not (or with another one)")

"""Pairs under n-gram models: scored as by a network, with ties that are exact.

A margin is the least over what has to hold for an item to be right: of two sentences one difference, of more options one to
each wrong one.  A difference sums only the transitions that one side has and the other has not (a multiset difference), so that
what they share cancels wholly and not to rounding.  Transitions that differ may tie too: where none was seen, each is a history's
weight times a word's probability, and exchanging two words exchanges factors.  So what is left within ROUNDING is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontogeny.ngrams.index import Index
from ontogeny.ngrams.kneser_ney import Floats, KneserNey
from ontogeny.ngrams.sorting import lexicographic
from ontogeny.scoring.ngram import Walked
from ontogeny.scoring.options import need_right
from ontogeny.scoring.plan import Plan

ROUNDING = 1e-9  # nats; sums of a dozen logarithms err by 1e-14, the least margin seen of pairs that differ is above 1e-6


@dataclass(frozen=True, slots=True)
class Net:
    """What is left of each comparison when the transitions that both sides have are taken away; entries in their order."""

    which: NDArray[np.int64]
    at: NDArray[np.int64]  # a place in the flat array of tokens where the transition stands
    times: NDArray[np.int64]  # how often more on the good side than on the bad one; negative: less often


class WalkedPairs(Walked):
    """A plan's sentences as rows of an index, and what their transitions leave of each pair."""

    def __init__(self, index: Index, plan: Plan):
        """Raises OntogenyError as `Walked` does, and for items that people have graded."""
        need_right(plan.pairs, "an n-gram margin")
        super().__init__(index, plan.sentences)
        self.plan = plan
        self._tokens = np.fromiter((t for ids in self.whole for t in ids), dtype=np.int64)
        self._depths = np.fromiter((i for ids in self.whole for i in range(len(ids))), dtype=np.int64)
        self._bits = max(1, index.vocabulary.bit_length())
        self._nets: dict[tuple[int, bool], Net] = {}

    def net(self, order: int, ends: bool = False) -> Net:
        """Each comparison's transitions of one order that do not cancel; `ends`: with the end of the document."""
        if (order, ends) not in self._nets:
            self._nets[order, ends] = self._net(order, ends)
        return self._nets[order, ends]

    def _net(self, order: int, ends: bool) -> Net:
        columns = [np.where(self._depths >= back, np.roll(self._tokens, back) + 1, 0) for back in range(order)]
        transition = lexicographic(columns, self._bits + 1)
        asked = self.plan.comparisons
        entry, at = _laid_out(asked.sentence, self.starts, self.lengths + ends)
        entries = pl.DataFrame({"which": asked.which[entry], "transition": transition[at], "at": at, "times": asked.times[entry]})
        left = entries.group_by("which", "transition").agg(pl.col("at").first(), pl.col("times").sum()).filter(pl.col("times") != 0)
        left = left.sort("which", "transition")
        return Net(*(left[name].to_numpy() for name in ("which", "at", "times")))

    def margins(self, logps: Floats, order: int, ends: bool = False) -> Floats:
        """Each pair's margin in nats.  Transitions that are equally likely cancel wholly as well, so that ties are exact."""
        found = self._differences(logps, order, ends)
        return np.asarray(found[self.plan.comparisons.decisive(found)])

    def decisive(self, logps: Floats, order: int) -> NDArray[np.int64]:
        """Of each pair the comparison that its margin is of."""
        return self.plan.comparisons.decisive(self._differences(logps, order, False))

    def _differences(self, logps: Floats, order: int, ends: bool) -> Floats:
        net, found = self.net(order, ends), np.zeros(len(self.plan.comparisons.pair))
        entries = pl.DataFrame({"which": net.which, "logp": logps[net.at], "times": net.times})
        left = entries.group_by("which", "logp").agg(pl.col("times").sum()).filter(pl.col("times") != 0).sort("which", "logp")
        np.add.at(found, left["which"].to_numpy(), (left["logp"] * left["times"]).to_numpy())
        return np.where(np.abs(found) < ROUNDING, 0.0, found)


def score(model: KneserNey, order: int, walked: WalkedPairs) -> pl.DataFrame:
    """The table that `pairs.score` makes of a network: paradigm, pair, logp_good, logp_bad, tokens, critical region's two."""
    from ontogeny.scoring.pairs import frame_of  # with torch, which who reads tables of margins does without

    return frame_of(walked.plan, np.concatenate(walked.tokens_of(walked.logps(model, order))))


def score_with(logp: Callable[[Sequence[int], int], float], plan: Plan) -> pl.DataFrame:
    """The same table from anything that gives log p (nats) of a token after a history, such as `WittenBell.logp` over any backend.

    The first token of a sentence is given, as everywhere, and so is a context.
    """
    from ontogeny.scoring.pairs import frame_of

    given = zip(plan.sentences, plan.sentences.given, strict=True)
    return frame_of(plan, np.array([logp(ids[:i], ids[i]) for ids, first in given for i in range(first, len(ids))]))


def margins(model: KneserNey, walked: WalkedPairs, orders: Iterable[int]) -> pl.DataFrame:
    """One row a pair and order: margin, margin_eos, logp_good, logp_bad (nats), length_good, length_bad (scored tokens).

    Of items with several wrong options, or predictions, the sides are of what the margin is of.
    `margin_eos` adds the end of the document after either sentence; it is null where the stream has no BOS to end with.
    """
    plan, frames = walked.plan, []
    for order in orders:
        logps = walked.logps(model, order)
        chosen = walked.decisive(logps, order)
        good, bad = (side[chosen] for side in plan.comparisons.sides(walked.sums(logps)))
        lengths = [side[chosen].astype(np.int64) for side in plan.comparisons.sides(walked.lengths)]
        columns = {
            "paradigm": [pair.paradigm for pair in plan.pairs],
            "pair": [pair.pair for pair in plan.pairs],
            "order": np.full(len(plan.pairs), order, dtype=np.int64),
            "margin": walked.margins(logps, order),
            "margin_eos": walked.margins(logps, order, ends=True) if walked.closed else None,
            "logp_good": good,
            "logp_bad": bad,
            "length_good": lengths[0],
            "length_bad": lengths[1],
        }
        frames.append(pl.DataFrame(columns, schema_overrides={"margin_eos": pl.Float64}))
    return pl.concat(frames)


def _laid_out(chosen: NDArray[np.int64], starts: NDArray[Any], lengths: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """For every token of each chosen sentence: which choice, and where in the flat array."""
    many = lengths[chosen]
    owner = np.repeat(np.arange(len(chosen)), many)
    return owner, np.repeat(starts[chosen] - (np.cumsum(many) - many), many) + np.arange(many.sum())

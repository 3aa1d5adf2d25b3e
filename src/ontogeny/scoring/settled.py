"""Reading no more pairs than a paradigm's state needs.

The state says on which side of two edges the mean over all N pairs lies.  Pairs are read in a random order, so those that were
read are drawn without replacement, and how many of n are right follows the hypergeometric distribution of the number that are
right among all N.  At looks that are fixed beforehand, few right pairs rule out the upper edge, and so on, and a paradigm is
settled when only one state is left.  The bounds have together, over all looks, the error that a paradigm may have at a checkpoint,
exactly (`sequential`), so that it holds wherever reading stops; checkpoints, paradigms and seeds share that of the run.

Since all looks are guarded, any of them may be left out: reading goes on at once to the look that is likely to settle the paradigm.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import norm

from ontogeny import disk
from ontogeny.recipe import Observation, Thresholds
from ontogeny.records import OntogenyError, Pair
from ontogeny.scoring.options import CHANCE, wrong_sides
from ontogeny.scoring.sequential import lower_bounds
from ontogeny.store import RunFolder

Integers = NDArray[np.int64]
LOOKS = tuple(share / 40 for share in range(1, 40))  # shares of a paradigm's pairs; after the last come all
FIRST = 0.05  # the share that is read before the first look that is taken
GROWTH = 2  # times the pairs read so far are the most that are read at the next look: what few pairs foretell is uncertain
LEEWAY = 0.5  # standard errors by which what is to come may be clearer than what was read, so that reading seldom goes too far
ROUNDING = 1e-9  # of accuracies


def band(n: int, paradigms: int, confidence: float = 0.95, chance: float = CHANCE) -> float:
    """Upper edge of the band that a guesser's accuracy stays in; the lower edge is as far below chance.

    `c + z sqrt(c (1 - c) / n)` for `n` pairs, with z two-sided and Bonferroni-corrected over `paradigms` (or paradigms x
    looks). Above 1 where n pairs are too few for any state at this confidence.
    """
    if n < 1 or paradigms < 1:
        raise ValueError("a band needs at least one pair and one paradigm")
    return chance + float(norm.isf((1 - confidence) / paradigms / 2)) * math.sqrt(chance * (1 - chance) / n)


def upper_edge(n: int, paradigms: int, thresholds: Thresholds, chance: float = CHANCE) -> float:
    """The threshold of state +1: the recipe's `hi`, or the band for these pairs and paradigms."""
    if thresholds.hi is not None:
        return edge_at(thresholds.hi, chance)
    return band(n, paradigms, thresholds.confidence, chance)


def edge_at(hi: float, chance: float) -> float:
    """The edge that is as many standard errors above another chance as `hi` is above that of two options."""
    return chance + (hi - CHANCE) * math.sqrt(chance * (1 - chance)) / CHANCE


@dataclass(frozen=True, slots=True)
class Edges:
    """What a number of right pairs rules out at each look: arrays with one entry a look, in pairs.

    `sure` counts ties as wrong, `possible` counts them as right; what is ruled out by the one or the other is ruled out however
    ties are shared.
    """

    looks: tuple[int, ...]  # pairs read; without all of them
    not_right: Integers  # possible <= this: the mean is below the upper edge
    not_wrong: Integers  # sure >= this: the mean is above the lower edge
    right: Integers  # sure >= this: state +1
    wrong: Integers  # possible <= this: state -1

    def state(self, look: int, sure: int, possible: int) -> int | None:
        """The state that is left at a look (its index), or None while there are several."""
        if sure >= self.right[look]:
            return 1
        if possible <= self.wrong[look]:
            return -1
        return 0 if possible <= self.not_right[look] and sure >= self.not_wrong[look] else None


def looks(n: int) -> tuple[int, ...]:
    """After how many of n pairs one looks, ascending, without n itself."""
    return tuple(sorted({found for share in LOOKS if 0 < (found := math.ceil(share * n - ROUNDING)) < n}))


@lru_cache(maxsize=4096)
def edges(n: int, hi: float, level: float, chance: float = CHANCE) -> Edges:
    """The edges for n pairs and a band up to hi, so that a false state is settled with probability `level` at most.

    Where +1 is true, that is ruling it out, at one edge; where 0 is true it is ruling it out at either, which share `level`.  What
    settles -1 rules out +1 too.
    """
    at = looks(n)
    right = math.ceil(hi * n - ROUNDING)  # the fewest of n that make +1; it is more than n where none do
    wrong = max(-1, math.floor((2 * chance - hi) * n + ROUNDING))  # the most that make -1; none do where it is -1
    drawn = np.array(at, dtype=np.int64)
    not_right, right_at_least = _lower(n, right, level), _lower(n, n - right + 1, level / 2)
    not_wrong, wrong_at_least = _lower(n, n - wrong, level), _lower(n, wrong + 1, level / 2)
    return Edges(
        looks=at,
        not_right=not_right,
        not_wrong=drawn - not_wrong,
        right=drawn - np.minimum(right_at_least, not_wrong),
        wrong=np.minimum(wrong_at_least, not_right),
    )


@lru_cache(maxsize=4096)
def _lower(n: int, right: int, level: float) -> Integers:
    """The bounds of `sequential.lower_bounds` at the looks; the same where the band is symmetric."""
    return lower_bounds(n, max(0, right), looks(n), level)


def order(pairs: Sequence[Pair]) -> dict[str, list[int]]:
    """Of each paradigm the places of its pairs in `pairs`, in the order in which they are read.

    It depends on each pair's own name and sentences, so that it is the same at every checkpoint and seed, and whatever the order
    of the file.
    """
    own: dict[str, list[tuple[bytes, int]]] = {}
    for place, pair in enumerate(pairs):
        words = "\0".join((pair.paradigm, pair.pair, pair.good, pair.bad))
        own.setdefault(pair.paradigm, []).append((blake2b(words.encode(), digest_size=8).digest(), place))
    return {paradigm: [place for _, place in sorted(members)] for paradigm, members in own.items()}


def counts(scores: pl.DataFrame, tie: float) -> dict[str, tuple[int, int, int]]:
    """Of each paradigm in a table of scores: pairs read, right for sure (by more than `tie` nats), and possibly (ties too)."""
    margin = pl.col("logp_good") - pl.max_horizontal(f"logp_{side}" for side in wrong_sides(scores.columns))
    found = scores.group_by("paradigm").agg(pl.len(), (margin > tie).sum().alias("sure"), (margin >= -tie).sum().alias("possible"))
    return {paradigm: (n, sure, possible) for paradigm, n, sure, possible in found.iter_rows()}


def next_round(
    reading: Mapping[str, Sequence[int]],
    found: Mapping[str, tuple[int, int, int]],
    thresholds: Thresholds,
    level: float,
    chances: Mapping[str, float] | None = None,
) -> list[int]:
    """The places of the pairs to read next, of every paradigm that is not settled: up to a look.  None left: all are.

    `reading`: what `order` gives; `found`: what `counts` gives of the pairs read so far; `level`: of each paradigm; `chances`: what
    a guesser gets of each, one half if left out.
    """
    wanted: list[int] = []
    for paradigm, places in reading.items():
        n, counted, chance = len(places), found.get(paradigm, (0, 0, 0)), (chances or {}).get(paradigm, CHANCE)
        hi = upper_edge(n, len(reading), thresholds, chance)
        wanted += places[counted[0] : following(n, edges(n, hi, level, chance), *counted)]
    return wanted


def following(n: int, bounds: Edges, read: int, sure: int, possible: int) -> int:
    """How many of a paradigm's n pairs to read in all before the next look is taken; `read` if it is settled.

    The first look that would settle it if the pairs to come were as those that were read, give or take LEEWAY: none that is more
    than GROWTH times as far, but one at least.
    """
    if read == n or (read in bounds.looks and bounds.state(bounds.looks.index(read), sure, possible) is not None):
        return read
    later = [look for look in range(len(bounds.looks)) if bounds.looks[look] > read]
    if not read:
        return next((bounds.looks[look] for look in later if bounds.looks[look] >= FIRST * n), n)
    spread = LEEWAY * math.sqrt(max(sure * (read - sure), read) * (1 - read / n) / read) / read
    near = [look for look in later if bounds.looks[look] <= GROWTH * read] or later[:1]
    for look in near:
        for shift in (0.0, spread, -spread):
            drawn = bounds.looks[look]
            if bounds.state(look, *(round((count / read + shift) * drawn) for count in (sure, possible))) is not None:
                return drawn
    return bounds.looks[near[-1]] if near and bounds.looks[near[-1]] < bounds.looks[-1] else n


# --- which checkpoints, and how a table says so -------------------------------------------------------------------


def last_step(folder: RunFolder, seed: int) -> int:
    """The last step that a seed is or will be read at, which is read whole."""
    known = folder.lineage().get("training", {}).get("steps")
    return int(known) if known else max((checkpoint.step for checkpoint in folder.checkpoints(seed)), default=0)


def level(folder: RunFolder, observation: Observation, seed: int, paradigms: int) -> float:
    """The error that one paradigm may have at one checkpoint: all of it where `confident` is of each state, else an equal share of
    the run's, which suites, seeds, checkpoints and paradigms split; the last checkpoint, which is read whole, takes none.
    """
    if observation.scoring.confident == "state":
        return 1 - observation.scoring.confidence
    checkpoints = folder.lineage().get("training", {}).get("checkpoints") or len(folder.checkpoints(seed))
    seeds = len(getattr(observation, "seeds", ())) or len(folder.seeds())
    shares = len(observation.suites) * max(1, seeds) * max(1, int(checkpoints) - 1) * paradigms
    return (1 - observation.scoring.confidence) / shares


def key(whole: str, observation: Observation) -> str:
    """The key of a table that was read until settled; `whole`: its key had all pairs been read."""
    thresholds, how = observation.verdicts, observation.scoring
    of_states = () if how.confident == "run" else (how.confident,)
    return disk.content_key(whole, "settled", how.confidence, *of_states, thresholds.hi, thresholds.confidence, thresholds.tie)


def facts(whole: str, observation: Observation, share: float, reading: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """What the metadata of such a table say: the two keys, the level, and how many pairs each paradigm has in all."""
    sizes = {paradigm: len(places) for paradigm, places in reading.items()}
    return {"key": key(whole, observation), "whole": whole, "level": repr(share), "pairs": json.dumps(sizes)}


def sizes(metadata: Mapping[str, str]) -> dict[str, int] | None:
    """How many pairs each paradigm has in all, by the metadata of a table of scores; None for a table that has them all."""
    return json.loads(metadata["pairs"]) if "pairs" in metadata else None


def need_all(folder: RunFolder, suite: str, what: str) -> None:
    """Raises OntogenyError if a suite was read until settled anywhere: `what` (as in "n-gram evidence") needs all of its pairs."""
    for seed in folder.seeds():
        for step in folder.scored(seed, suite):
            if sizes(disk.table_metadata(folder.scores(seed, suite, step))) is not None:
                raise OntogenyError(
                    f"{what} needs all pairs of {suite}, and at step {step} of seed {seed} they were read until settled; set "
                    f"scoring.until to all in {folder.recipe}, then run: ontogeny score {folder.path} (it reads what is missing) "
                    f"and ontogeny verdicts {folder.path}"
                )

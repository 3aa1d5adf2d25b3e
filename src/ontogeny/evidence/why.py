"""Why an n-gram model decides a paradigm as it does: the transitions that decide, and the lines of text behind them.

A transition is a token after the n - 1 tokens before it.  What both sentences of a pair have cancels; what is left is matched up
along the pair's alignment, a good transition against the bad one in its place, and summed over the paradigm's pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ontogeny.evidence.concordance import Concordance
from ontogeny.ngrams.kneser_ney import Floats, KneserNey
from ontogeny.records import OntogenyError, Pair
from ontogeny.registry import nearest
from ontogeny.scoring.ngram_pairs import WalkedPairs
from ontogeny.scoring.options import need_two
from ontogeny.scoring.plan import Plan
from ontogeny.scoring.plan import make as plan_of

if TYPE_CHECKING:
    pass

Transition = tuple[int, ...]  # the tokens before and the token itself, at most `order` of them
Meeting = tuple[Transition | None, Transition | None]  # a good transition and the bad one in its place; None: nothing there
ANY = "…"
EXAMPLES = 5
DECIDING = {
    "rank": pl.Int64,
    "kind": pl.String,
    "good": pl.String,
    "bad": pl.String,
    "logp_good": pl.Float64,
    "logp_bad": pl.Float64,
    "difference": pl.Float64,
    "count_good": pl.Int64,
    "count_bad": pl.Int64,
    "before_good": pl.Int64,
    "before_bad": pl.Int64,
    "pairs": pl.Int64,
    "contribution": pl.Float64,
}
SENTENCES = {
    "pair": pl.String,
    "side": pl.String,
    "position": pl.Int64,
    "token": pl.String,
    "logp": pl.Float64,
    "margin": pl.Float64,
}
PATTERNS = {"good": pl.String, "bad": pl.String, "pairs": pl.Int64, "meetings": pl.Int64, "contribution": pl.Float64}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `ontogeny why` shows of one paradigm, or of one of its pairs."""

    suite: str
    paradigm: str
    phenomenon: str
    verdict: str | None
    level: str  # token or word
    order: int
    pairs: int  # explained here
    network_accuracy: float | None  # late in training
    network_early: float | None
    ngram_accuracy: float
    mean_margin: float  # nats
    human: float | None
    example: Pair
    deciding: pl.DataFrame  # the transitions that weigh most, see `DECIDING`; nats
    lines: pl.DataFrame  # rank, side, what, exact, total, left, key, right, source, line
    sentences: pl.DataFrame  # pair, side, position, token, logp, margin: a few example pairs, token by token
    patterns: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PATTERNS))  # summed over what varies
    caution: str = ""  # why these numbers may mean nothing


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the paradigm from elsewhere, to stand in the explanation."""

    verdict: str | None = None
    network_accuracy: float | None = None
    network_early: float | None = None
    human: float | None = None


def explain(
    suite: str,
    pairs: Sequence[Pair],
    model: KneserNey,
    order: int,
    concordance: Concordance,
    *,
    level: str = "token",
    known: Known = Known(),
    most: int = 8,
    lines: int = 5,
    caution: str = "",
) -> Explanation:
    """Explains the pairs of one paradigm by an n-gram model of one order.

    `most` transitions are shown, each with `lines` lines of the text.  Raises OntogenyError if the model was not counted to that
    order, if the pairs' tokens are not the model's, and for a paradigm whose items are not one right and one wrong sentence.
    """
    need_two(pairs, "why n-grams decide as they do")
    tokenizer = concordance.tokenizer
    plan = plan_of(list(pairs), tokenizer, model.index.bos, 2**31)
    sentences = WalkedPairs(model.index, plan)
    logps = sentences.logps(model, order)
    margins = sentences.margins(logps, order)
    tally = Tally(order)
    for good, bad in _sentence_pairs(plan, sentences.tokens_of(logps)):
        tally.add(good, bad)
    chosen = tally.heaviest(most)
    shown = concordance.shown
    return Explanation(
        suite=suite,
        paradigm=pairs[0].paradigm,
        phenomenon=pairs[0].phenomenon,
        verdict=known.verdict,
        level=level,
        order=order,
        pairs=len(plan.pairs),
        network_accuracy=known.network_accuracy,
        network_early=known.network_early,
        ngram_accuracy=float(((margins > 0) + 0.5 * (margins == 0)).mean()),
        mean_margin=float(margins.mean()),
        human=known.human,
        example=plan.pairs[_middle(margins)],
        deciding=_deciding(chosen, tally, model, shown, len(plan.pairs)),
        lines=_lines(chosen, concordance, lines),
        sentences=_examples(plan, sentences.tokens_of(logps), margins, concordance),
        patterns=_patterns(tally, shown, len(plan.pairs)).head(most),
        caution=caution,
    )


def pairs_of(pairs: Sequence[Pair], paradigm: str, pair: str | None = None) -> list[Pair]:
    """The pairs of a paradigm, or the one with that id.  Raises OntogenyError with the nearest name or id if there is none."""
    own = [p for p in pairs if p.paradigm == paradigm]
    if not own:
        raise OntogenyError(f"no paradigm is called {paradigm!r} here; {nearest(paradigm, sorted({p.paradigm for p in pairs}))}")
    chosen = own if pair is None else [p for p in own if p.pair == pair]
    if not chosen:
        ids = [p.pair for p in own]
        known = f"ids run from {ids[0]} to {ids[-1]}" if len(ids) > 12 else nearest(str(pair), ids)
        raise OntogenyError(f"{paradigm} has no pair {pair!r}; {known} (pairs with identical sentences are left out)")
    return chosen


# --- which transitions meet which ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Sentence:
    """A sentence under an n-gram model: its tokens, the first one included, and log p of each token but the first (nats)."""

    tokens: tuple[int, ...]
    logps: Floats

    def transition(self, position: int, order: int) -> Transition:
        """The token at a position with what the model sees before it."""
        return self.tokens[max(0, position - order + 1) : position + 1]


@dataclass(slots=True)
class Weight:
    """A meeting of two transitions over all pairs."""

    logp_good: float | None
    logp_bad: float | None
    total: float = 0.0  # nats, summed over pairs
    pairs: set[int] = field(default_factory=set)


class Tally:
    """Meetings of transitions, counted over pairs."""

    def __init__(self, order: int):
        self.order = order
        self.weights: dict[Meeting, Weight] = {}
        self.added = 0

    def add(self, good: Sentence, bad: Sentence) -> None:
        """Counts one pair.  What stands alone in both its sentences, in different places, cancels."""
        meetings = [(self._at(good, at), self._at(bad, place)) for at, place in _aligned(good.tokens, bad.tokens)]
        alone = [Counter(t for t, other in met if t and not other) for met in (meetings, [(b, a) for a, b in meetings])]
        cancelled = [alone[0] & alone[1], alone[0] & alone[1]]
        for (ours, theirs), (at, place) in zip(meetings, _aligned(good.tokens, bad.tokens), strict=True):
            if ours == theirs or _taken(cancelled, ours, theirs):
                continue
            logp_good = float(good.logps[at - 1]) if at else None
            logp_bad = float(bad.logps[place - 1]) if place else None
            weight = self.weights.setdefault((ours, theirs), Weight(logp_good, logp_bad))
            weight.total += (logp_good or 0.0) - (logp_bad or 0.0)
            weight.pairs.add(self.added)
        self.added += 1

    def _at(self, sentence: Sentence, position: int | None) -> Transition | None:
        return sentence.transition(position, self.order) if position else None

    def heaviest(self, most: int) -> list[Meeting]:
        """The meetings with the largest totals either way, largest first."""
        return sorted(self.weights, key=lambda m: (-abs(self.weights[m].total), m[0] or (), m[1] or ()))[:most]


def _taken(cancelled: list[Counter[Transition]], ours: Transition | None, theirs: Transition | None) -> bool:
    """True, once for each, for a transition alone on its side that the other side has alone elsewhere."""
    side, own = (0, ours) if theirs is None else (1, theirs)
    if (ours is not None and theirs is not None) or own is None or not cancelled[side][own]:
        return False
    cancelled[side][own] -= 1
    return True


def _aligned(good: Sequence[int], bad: Sequence[int]) -> Iterator[tuple[int | None, int | None]]:
    """Positions of scored tokens (from 1) that stand in each other's place; None where one sentence has nothing there.

    Equal stretches are matched as difflib finds them; of unequal stretches between them, first with first, second with second.
    """
    for _, a, b, c, d in SequenceMatcher(None, good, bad, autojunk=False).get_opcodes():
        for offset in range(max(b - a, d - c)):
            at = a + offset if a + offset < b else None
            place = c + offset if c + offset < d else None
            if at or place:
                yield at, place


def _sentence_pairs(plan: Plan, logps: list[Floats]) -> Iterator[tuple[Sentence, Sentence]]:
    for good, bad in zip(plan.good, plan.bad, strict=True):
        yield Sentence(plan.sentences[good], logps[good]), Sentence(plan.sentences[bad], logps[bad])


def _middle(margins: Floats) -> int:
    """The pair whose margin is nearest the median: neither the best nor the worst case."""
    return int(np.argmin(np.abs(margins - np.median(margins))))


# --- as tables ----------------------------------------------------------------------------------------------------

Shown = Callable[[Sequence[int]], str]


def _deciding(chosen: list[Meeting], tally: Tally, model: KneserNey, shown: Shown, pairs: int) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for rank, meeting in enumerate(chosen, start=1):
        weight, (good, bad) = tally.weights[meeting], meeting
        rows.append(
            {
                "rank": rank,
                "kind": "contrast" if good and bad else "good only" if good else "bad only",
                "difference": (weight.logp_good or 0.0) - (weight.logp_bad or 0.0),
                "pairs": len(weight.pairs),
                "contribution": weight.total / pairs,
                **_side("good", good, weight.logp_good, model, shown),
                **_side("bad", bad, weight.logp_bad, model, shown),
            }
        )
    return pl.DataFrame(rows, schema=DECIDING)


def _side(side: str, transition: Transition | None, logp: float | None, model: KneserNey, shown: Shown) -> dict[str, Any]:
    if transition is None:
        return {side: None, f"logp_{side}": None, f"count_{side}": None, f"before_{side}": None}
    before = sum(model.index.followers(transition[:-1])[1].tolist())
    return {
        side: shown(transition),
        f"logp_{side}": logp,
        f"count_{side}": model.index.count(transition),
        f"before_{side}": before,
    }


def _patterns(tally: Tally, shown: Shown, pairs: int) -> pl.DataFrame:
    """Meetings that differ in the same tokens, summed over the tokens that they share."""
    groups: dict[tuple[str | None, str | None], list[Weight]] = {}
    for (good, bad), weight in tally.weights.items():
        groups.setdefault((_masked(good, bad, shown), _masked(bad, good, shown)), []).append(weight)
    rows = [
        (*sides, len(set().union(*(w.pairs for w in weights))), len(weights), sum(w.total for w in weights) / pairs)
        for sides, weights in groups.items()
    ]
    return pl.DataFrame(rows, schema=PATTERNS, orient="row").sort(
        pl.col("contribution").abs(), "good", "bad", descending=[True, False, False]
    )


def _masked(transition: Transition | None, other: Transition | None, shown: Shown) -> str | None:
    """A transition with the tokens that it shares with the other, place by place from its end, left open."""
    if transition is None:
        return None
    theirs: Mapping[int, int] = dict(enumerate(reversed(other))) if other else {}
    parts: list[str] = []
    for back, token in reversed(list(enumerate(reversed(transition)))):
        parts.append(ANY if theirs.get(back) == token else shown([token]))
    return " ".join(parts)


def _lines(chosen: list[Meeting], concordance: Concordance, lines: int) -> pl.DataFrame:
    frames = [
        concordance.behind(transition, lines).select(pl.lit(rank, pl.Int64).alias("rank"), pl.lit(side).alias("side"), pl.all())
        for rank, meeting in enumerate(chosen, start=1)
        for side, transition in zip(("good", "bad"), meeting, strict=True)
        if transition is not None
    ]
    return pl.concat(frames) if frames else pl.DataFrame()


def _examples(plan: Plan, logps: list[Floats], margins: Floats, concordance: Concordance) -> pl.DataFrame:
    """A few pairs from the worst margin to the best, token by token."""
    spread = np.unique(np.linspace(0, len(margins) - 1, EXAMPLES).round().astype(int))
    rows = [
        (plan.pairs[i].pair, side, position, concordance.shown([token]), float(logp), float(margins[i]))
        for i in np.argsort(margins, kind="stable")[spread].tolist()
        for side, number in (("good", plan.good[i]), ("bad", plan.bad[i]))
        for position, (token, logp) in enumerate(zip(plan.sentences[number][1:], logps[number], strict=True), start=1)
    ]
    return pl.DataFrame(rows, schema=SENTENCES, orient="row")

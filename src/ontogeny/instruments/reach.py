"""Reach: how far back a preference comes from, by what the network prefers when it sees no more than the last k tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from ontogeny.instruments.instrument import Column, Instrument, schema
from ontogeny.instruments.ngram_margins import NOISE, margins_of
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.curves import means_by_verdict
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel, Tabulated
from ontogeny.scoring import causal
from ontogeny.scoring.plan import Plan
from ontogeny.scoring.sentences import Encoded, Sentences, gather
from ontogeny.trajectories.timeline import Floats, Ints

ALL = "all"  # k: everything that stands before
OWN_BIGRAMS = "1"
BY_VERDICT = ("verdict", ">paradigms", ">right, one token", ">right, all", ">rescued", ">spoiled")


class ContextReach(Instrument):
    """Scores both sentences of a pair with each token seeing BOS and its last k tokens alone.  With k = 1 that is the network's own
    bigram model; what more tokens add to it is what the context says."""

    needs: ClassVar[tuple[str, ...]] = ("pairs",)
    uses: ClassVar[tuple[str, ...]] = ("ngrams",)

    kind: Literal["reach"] = "reach"
    pairs: int = Field(50, ge=1)
    """Pairs of each paradigm."""
    tokens: tuple[Annotated[int, Field(ge=0)], ...] = (0, 1, 2, 4, 8)
    """How many tokens are seen, besides all of them."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By suite, paradigm and k."""
        index = {"suite": "the suite", "paradigm": "its paradigm; empty: all pairs together", "k": "tokens seen after BOS, or all"}
        share = (0.0, 1.0)
        return {name: Column(says=says, dtype=pl.String, index=True) for name, says in index.items()} | {
            "accuracy": Column(says="share of pairs whose good sentence is preferred", span=share, chance=0.5),
            "margin": Column(says="mean margin m_k", unit="nats"),
            "context": Column(says="mean of m_all - m_k: what all context adds to the last k tokens", unit="nats"),
            "rescue": Column(says="of pairs wrong with k tokens, the share that all context turns right", span=share),
            "spoiled": Column(says="of pairs right with k tokens, the share that all context turns wrong", span=share),
            "slope": Column(says="slope of m_k on the bigram margin b of the text, over pairs", unit="nats a nat"),
            "r": Column(says="Pearson's correlation of m_k with b", span=(-1.0, 1.0)),
            "n": Column(says="pairs", dtype=pl.Int64),
        }

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises DoesNotApply where no suite has pairs of two sentences."""
        rows: list[tuple[Any, ...]] = []
        for suite in subject.suites_of_two():
            plan = subject.plan(suite, self.pairs)
            asked = subject.context.once((self, suite, id(plan)), partial(transitions, plan, self.tokens, subject.first))
            margins = np.vstack([margins_by_reach(subject, asked), subject.margins(suite, self.pairs)])
            rows += self._rows(suite, plan, (*asked.spans, ALL), margins, self._bigrams(subject, suite, plan))
        return pl.DataFrame(rows, schema=schema(self), orient="row")

    def _bigrams(self, subject: Subject, suite: str, plan: Plan) -> Floats | None:
        """b of each pair (pairs,); None where the text is not known."""
        if not subject.context.knows_text:
            return None
        found: Floats = subject.context.once((self, "b", suite, id(plan)), lambda: bigram_margins(subject, suite, plan))
        return found

    def _rows(
        self, suite: str, plan: Plan, spans: Sequence[str], margins: Floats, bigrams: Floats | None
    ) -> Iterator[tuple[Any, ...]]:
        """A row a paradigm and k.  `margins`: (spans, pairs)."""
        for paradigm, which in by_paradigm(plan).items():
            whole = margins[-1, which]
            for k, own in zip(spans, margins[:, which], strict=True):
                on_b = (None, None) if bigrams is None else line(bigrams[which], own)
                turned = (turned_share(own, whole), turned_share(-own, -whole)) if k != ALL else (None, None)
                yield suite, paradigm, k, right(own), own.mean(), (whole - own).mean(), *turned, *on_b, len(which)

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Of its own bigrams: how many pairs they get right, how strongly, what all context adds, and how many pairs it rescues."""
        own = table.filter(k=OWN_BIGRAMS)
        said = {"own bigrams right": "accuracy", "own bigram margin": "margin", "context": "context", "rescued": "rescue"}
        return {name: own.select("seed", "step", "suite", "paradigm", value=column) for name, column in said.items()}

    def panels(self) -> tuple[Panel, ...]:
        """Accuracy by k, and what context adds to each paradigm's own bigrams."""
        shared: dict[str, Any] = {"needs": ("reach",), "per": "suite", "command": "read RUN --with reach"}
        return (
            Panel(
                name="reach.accuracy",
                title="how far back preferences come from: accuracy when the network sees so many tokens",
                draw=accuracy,
                says=accuracy_says,
                there=lambda frames: not frames["reach"].is_empty(),
                **shared,
            ),
            Panel(
                name="reach.context",
                title="what all context adds to the margins of the network's own bigrams, paradigm by paradigm",
                takes=("verdicts",),
                draw=context,
                says=context_says,
                table=by_verdict,
                there=lambda frames: not frames["reach"].filter(k=OWN_BIGRAMS).is_empty(),
                shape="map",
                **shared,
            ),
        )


# --- margins ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Transitions:
    """What has to be asked for margins at every reach: contexts with the token after each, and where each one counts."""

    sentences: Sentences  # each a context and one token, which alone is scored
    spans: tuple[str, ...]  # k of each row of the margins
    pairs: int
    row: Ints  # of each use, the row of the margins
    pair: Ints  # its pair
    sentence: Ints  # what is asked
    weight: Floats  # how often the good sentence has it, less how often the bad one has


def transitions(plan: Plan, tokens: Sequence[int | None], first: int | None) -> Transitions:
    """Of each pair and k (None: all), the transitions that its two sentences do not share; the others cancel in the margin.

    Contexts that begin alike, as windows of several k do, and those of good and bad sentences, are read once.
    """
    spans = [k for k in tokens if k != 0 or first is not None]  # before a first token stands nothing to ask with
    front, asked, uses = int(first is not None), dict[tuple[int, ...], int](), []
    for pair, (good, bad) in enumerate(zip(plan.good.tolist(), plan.bad.tolist(), strict=True)):
        both = (plan.sentences.rows[good], plan.sentences.rows[bad])
        for row, k in enumerate(spans):
            differ = Counter(seen(both[0], front, k))
            differ.subtract(seen(both[1], front, k))
            uses += [(row, pair, asked.setdefault(one, len(asked)), n) for one, n in differ.items() if n]
    rows = [Encoded(ids, len(ids) - 1, "") for ids in asked]
    sentences, place = gather(rows, lambda i: f"the tokens {rows[i].ids}")
    rows_of, pairs_of, one, weight = np.array(uses, dtype=np.int64).reshape(-1, 4).T
    said = tuple(ALL if k is None else str(k) for k in spans)
    return Transitions(sentences, said, len(plan.pairs), rows_of, pairs_of, place[one], weight.astype(np.float64))


def seen(sentence: Encoded, front: int, k: int | None) -> Iterator[tuple[int, ...]]:
    """Of each scored token, what is seen of the tokens before it, and itself.  `front`: tokens, BOS, that are always seen."""
    ids = sentence.ids
    for at in range(max(sentence.before, 1), len(ids)):
        begin = front if k is None else max(front, at - k)
        yield (*ids[:front], *ids[begin : at + 1])


def margins_by_reach(subject: Subject, asked: Transitions) -> Floats:
    """m_k of each pair in nats, (spans, pairs).  Raises OntogenyError if a log-probability is no finite number."""
    way = causal.choose_way(subject.model, asked.sentences, subject.device)
    logps, _ = causal.read_by(way, asked.sentences, subject.device, subject.context.recipe.scoring.batch_tokens)
    margins = np.zeros((len(asked.spans), asked.pairs))
    np.add.at(margins, (asked.row, asked.pair), asked.weight * logps[asked.sentences.starts[asked.sentence]])
    return margins


def bigram_margins(subject: Subject, suite: str, plan: Plan) -> Floats:
    """b of each pair, (pairs,)."""
    found = margins_of(subject.context.ngrams("token", 2), suite, plan.pairs, (2,))
    keys = pl.DataFrame({name: [getattr(pair, name) for pair in plan.pairs] for name in ("paradigm", "pair")})
    return keys.join(found, on=["paradigm", "pair"], how="left", maintain_order="left")["margin"].to_numpy()


# --- what they come to --------------------------------------------------------------------------------------------

TIE = 1e-5  # nats: as a run's verdicts have it


def by_paradigm(plan: Plan) -> dict[str, Ints]:
    """The pairs of all paradigms, called "", and of each."""
    names = np.array([pair.paradigm for pair in plan.pairs])
    return {"": np.arange(len(names))} | {name: np.flatnonzero(names == name) for name in sorted(set(names.tolist()))}


def right(margins: Floats) -> float:
    """Share of pairs that are right; a tie is half."""
    return float(np.mean(margins > TIE) + np.mean(np.abs(margins) <= TIE) / 2)


def turned_share(before: Floats, after: Floats) -> float | None:
    """Of those below zero before, the share above it after; None where there are none."""
    wrong = before < -TIE
    return float(np.mean(after[wrong] > TIE)) if wrong.any() else None


def line(x: Floats, y: Floats) -> tuple[float | None, float | None]:
    """Slope of y on x and their correlation; None where one of them does not vary."""
    sx, sy = x.std(), y.std()
    if min(sx, sy) <= NOISE:
        return None, None
    r = float(np.clip(np.mean((x - x.mean()) * (y - y.mean())) / sx / sy, -1, 1))
    return r * float(sy / sx), r


# --- its figures --------------------------------------------------------------------------------------------------


def accuracy(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    """Accuracy over all pairs, a line for each k."""
    frame = frames["reach"].filter(paradigm="").with_columns(of=pl.format("{} tokens", "k"), value="accuracy")
    return curves.lines(frame.sort("step"), "accuracy", ContextReach().columns["accuracy"], clock, **options)


def accuracy_says(frames: Frames, clock: Clock) -> str:
    """Accuracy with one token and with all at the end, and what context turns."""
    ends = at_end(frames["reach"].filter(paradigm=""))
    one, whole = (ends.filter(k=k) for k in (OWN_BIGRAMS, ALL))
    if one.is_empty():
        return ""
    said = (
        f"At the last checkpoint the good sentence is preferred in {percent(whole['accuracy'][0])} of the pairs when the network "
        f"sees all that stands before, and in {percent(one['accuracy'][0])} when it sees one token, its own bigrams."
    )
    for name, began in (("rescue", "its own bigrams get wrong, context turns {} right"), ("spoiled", "they get right, {} wrong")):
        if (value := one[name][0]) is not None:
            said += f" Of the pairs that {began.format(percent(value))}."
    return f"{said} Tokens farther back are hidden by beginning the text later, so that places in it change as well."


def context(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    """m_all - m_1 of each paradigm at each checkpoint."""
    frame = frames["reach"].filter(pl.col("paradigm") != "", k=OWN_BIGRAMS).with_columns(of="paradigm", value="context")
    column = Column(says="", unit="nats", chance=0.0)  # no context at all is the middle of the scale
    return curves.index_map(frame.sort("paradigm", "step", "seed"), "m(all) - m(1)", column, **options)


def context_says(frames: Frames, clock: Clock) -> str:
    """In how many paradigms context helps, and in how many it is against."""
    ends = at_end(frames["reach"].filter(pl.col("paradigm") != "", k=OWN_BIGRAMS))
    helps = int((ends["context"] > 0).sum())
    return (
        f"At the last checkpoint context moves the mean margin toward the good sentence in {helps} of {len(ends)} paradigms. "
        "Orange: all context speaks against the good sentence more than the network's own bigrams do."
    )


def by_verdict(frames: Frames) -> Tabulated | None:
    """What context turns at the last checkpoint, by verdict: means over paradigms."""
    ends = at_end(frames["reach"].filter(pl.col("paradigm") != ""))
    whole = ends.filter(k=ALL).select("paradigm", whole="accuracy")
    turned = ends.filter(k=OWN_BIGRAMS).join(whole, on="paradigm")
    return means_by_verdict(turned.select("paradigm", "accuracy", "whole", "rescue", "spoiled"), frames, BY_VERDICT)


def at_end(frame: pl.DataFrame) -> pl.DataFrame:
    """The last checkpoint, means over seeds by paradigm and k."""
    last = frame.filter(pl.col("step") == pl.col("step").max())
    return last.group_by("paradigm", "k", maintain_order=True).agg(pl.col("accuracy", "context", "rescue", "spoiled").mean())


def percent(share: float) -> str:
    """61 %."""
    return f"{100 * share:.0f} %"

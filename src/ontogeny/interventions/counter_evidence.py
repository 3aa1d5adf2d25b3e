"""Counter-evidence: documents that show the right word where bigrams would have the wrong one are read more often."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ontogeny.interventions.kinds import Intervention, StreamEdit, StreamEdited, Window
from ontogeny.interventions.promises import where
from ontogeny.interventions.reference import asked, hashes, said
from ontogeny.records import OntogenyError
from ontogeny.suites import grams, grams_of, held_out
from ontogeny.tokens.token_store import ROW

if TYPE_CHECKING:
    from ontogeny.interventions.context import InterventionContext

Ints = NDArray[np.int64]


class ReadsMore(Intervention):
    """Documents of the text that have a paradigm's right word w after h, where bigrams prefer the wrong v, replace random ones.

    The best are those in which w is there because of what stands farther back: by log p_R(w | all before) - log p2(w | h), R a
    finished model.  Nothing is written: every document is the text's own.
    """

    alarms: tuple[str, ...] = Field(min_length=1)
    """The paradigms, of the recipe's suites.  A study refuses those that are held back for its exam."""
    reference: Path
    """A folder with a finished model of the same tokenizer, R; of a run's seed-0, its last checkpoint."""
    choose: Literal["best", "random", "wrong", "any"] = "best"
    """best: as above.  random: as many documents with w after h, at random.  wrong: documents with v after h.  any: any at all."""
    share: float = Field(0.02, gt=0, le=0.5)
    """Of the tokens, how many are replaced."""
    at_most: int = Field(3, ge=2)
    """How often a document is read at most, its own place among them."""
    meetings: int = Field(20, ge=1)
    """How many h, w and v of each paradigm count, the heaviest first."""
    when: Window = Window(until=0.8)
    """Left out, the last fifth of training is plain: a washout."""
    words: Literal["all", "half"] = "all"
    """half: only of pairs whose word h and what differs after it are in one half, by a hash; the other half of the words is held
    out, for a study's guards to judge by."""
    seed: int = 0
    """Seed of what is replaced, and of random choices."""


class CounterEvidence(ReadsMore, StreamEdit):
    """Counter-evidence for paradigms that are named beforehand."""

    kind: Literal["counter-evidence"] = "counter-evidence"

    def contents(self) -> list[str]:
        """The finished model's weights."""
        return hashes([self.reference])

    def edit(self, context: InterventionContext) -> StreamEdited:
        """As StreamEdit has it.  Raises OntogenyError where bigrams prefer no wrong word, or no document has the right one."""
        import polars as pl

        ground, rng = DocumentStream.of(context), context.rng(self.seed)
        met = met_in(context, self.alarms, self.meetings, self.words == "half", self.kind)
        right = {(one.before, one.good): one.margin for one in met}
        wrong = {(one.before, one.bad): one.margin for one in met}
        places = ground.places(right if self.choose in ("best", "random") else wrong)
        tokens = int(self.share * len(ground.ids))
        rank, refused = _without_suites_words(context, ground, self._rank(context, ground, places, rng), tokens)
        if not len(rank):
            raise OntogenyError(
                f"counter-evidence: no document of the text has what is looked for in {', '.join(self.alarms)}"
                + "".join(f"; {one}" for one in refused[:1])
            )
        chosen = ground.up_to(np.tile(rank, self.at_most - 1), tokens)
        spared = np.union1d(chosen, np.array(list(ground.places({**right, **wrong})), dtype=np.int64))
        others = rng.permutation(np.setdiff1d(np.arange(len(ground.lengths)), spared))
        gone = others[: int(np.searchsorted(np.cumsum(ground.lengths[others]), ground.lengths[chosen].sum())) + 1]
        if not len(chosen) or not len(gone):
            raise OntogenyError(f"counter-evidence: {self.share:.1%} of the tokens hold no whole document; make share larger")
        order = ground.with_in_place(chosen, gone)
        ids, rows = ground.read(order)
        shown = pl.DataFrame({"document": chosen, "text": [context.tokenizer.decode(ground.document(d)) for d in chosen.tolist()]})
        facts = {"added": len(chosen), "removed": len(gone), "share": float(ground.lengths[chosen].sum() / len(ground.ids))}
        return StreamEdited(ids, shown, facts | {"meetings": len(met), "refused": refused}, rows)

    def _rank(
        self, context: InterventionContext, ground: DocumentStream, places: dict[int, list[int]], rng: np.random.Generator
    ) -> Ints:
        documents = np.array(sorted(places), dtype=np.int64)
        if self.choose == "any":
            return rng.permutation(len(ground.lengths))
        if self.choose != "best":
            return rng.permutation(documents)
        model, bigrams = asked(self.reference, context, self.kind), context.bigrams()
        scores = [_because(model, bigrams, ground, document, places[document]) for document in documents.tolist()]
        return documents[np.argsort(-np.array(scores), kind="stable")]


def _without_suites_words(context: InterventionContext, ground: DocumentStream, rank: Ints, tokens: int) -> tuple[Ints, list[str]]:
    """The first documents of so many tokens that share no 8 words in a row with a suite; the lines of those refused before them."""
    known, kept, refused, left = grams_of(context.ask()), [], [], tokens
    for document in rank.tolist() if known else ():
        if left <= 0:
            break
        shared = next((gram for gram in grams(context.tokenizer.decode(ground.document(document))) if gram in known), None)
        if shared:
            source, line = where(context.text, document)
            refused.append(f"{source}:{line} has {shared!r}, which stands in {known[shared]}")
        else:
            kept.append(document)
            left -= int(ground.lengths[document])
    if refused:
        context.warn(f"documents with 8 words in a row of a suite are not read again, {len(refused)} of them: {refused[0]}")
    return np.array(kept, dtype=np.int64) if known else rank, refused


class Meeting(NamedTuple):
    """A token, and the two that a paradigm has after it."""

    before: int
    good: int
    bad: int
    margin: float  # nats, over all pairs that meet here: how much bigrams prefer the wrong one


def met_in(context: InterventionContext, paradigms: Sequence[str], most: int, half: bool, kind: str) -> list[Meeting]:
    """Where the sentences of each paradigm's pairs part and bigrams prefer the wrong one: the `most` heaviest, the heaviest first.

    `half`: of the pairs whose words are not held out.  `kind`: of the intervention that asks.  Raises OntogenyError where there is
    none at all.
    """
    if met := [one for paradigm in paradigms for one in _met_in(context, paradigm, half)[:most]]:
        return met
    raise OntogenyError(f"{kind}: bigrams prefer no wrong word in {', '.join(paradigms)}; nothing speaks against them")


def _met_in(context: InterventionContext, paradigm: str, half: bool) -> list[Meeting]:
    plan, model = context.plan([paradigm]), context.bigrams()
    found: dict[tuple[int, int, int], float] = defaultdict(float)
    for pair, good, bad in zip(plan.pairs, plan.good.tolist(), plan.bad.tolist(), strict=True):
        if half and held_out(pair.good, pair.bad):
            continue
        one, other = (np.asarray(plan.sentences[index]) for index in (good, bad))
        most = min(len(one), len(other))
        apart = np.flatnonzero(one[:most] != other[:most])
        if len(apart) and apart[0]:
            at = int(apart[0])
            row = np.log(model.distribution(one[None, at - 1 : at], 2)[0])
            found[int(one[at - 1]), int(one[at]), int(other[at])] += float(row[other[at]] - row[one[at]])
    own = [Meeting(*key, margin) for key, margin in found.items() if margin > 0]
    return sorted(own, key=lambda one: -one.margin)


class DocumentStream(NamedTuple):
    """A stream as documents."""

    ids: NDArray[Any]
    starts: Ints
    lengths: Ints
    words: Ints

    @classmethod
    def of(cls, context: InterventionContext) -> DocumentStream:
        """The stream before the edit."""
        starts = context.text.documents["start"].astype(np.int64)
        words = np.diff(np.append(context.text.documents["words"].astype(np.int64), context.text.facts["words"]))
        return cls(np.asarray(context.text.ids), starts, np.diff(np.append(starts, len(context.text))), words)

    def document(self, number: int) -> list[int]:
        """Its tokens."""
        return self.ids[self.starts[number] : self.starts[number] + self.lengths[number]].tolist()  # type: ignore[no-any-return]

    def places(self, bigrams: dict[tuple[int, int], float]) -> dict[int, list[int]]:
        """By document, where in it the second token of one of these bigrams stands."""
        size = int(self.ids.max(initial=0)) + 1
        keys = self.ids[:-1].astype(np.int64) * size + self.ids[1:]
        hits = np.flatnonzero(np.isin(keys, [a * size + b for a, b in bigrams if max(a, b) < size])) + 1
        document = np.searchsorted(self.starts, hits, side="right") - 1
        found: dict[int, list[int]] = defaultdict(list)
        for hit, own in zip(hits.tolist(), document.tolist(), strict=True):
            if hit > self.starts[own]:
                found[own].append(hit - int(self.starts[own]))
        return found

    def up_to(self, documents: Ints, tokens: int) -> Ints:
        """The first of these documents that have no more tokens together."""
        return documents[np.cumsum(self.lengths[documents]) <= tokens]

    def with_in_place(self, added: Ints, gone: Ints) -> Ints:
        """All documents in order, the added ones where others were taken out, spread evenly over those places."""
        at = np.array_split(added, max(1, len(gone)))
        put = dict(zip(np.sort(gone).tolist(), at, strict=False))
        return np.concatenate([put.get(number, np.array([number])) for number in range(len(self.lengths))]).astype(np.int64)

    def read(self, order: Ints) -> tuple[NDArray[Any], NDArray[Any]]:
        """The stream of these documents, and its table of documents."""
        lengths = self.lengths[order]
        rows = np.zeros(len(order), dtype=ROW)
        rows["start"], rows["words"] = (np.cumsum(one) - one for one in (lengths, self.words[order]))
        at = (
            np.arange(int(lengths.sum()))
            - np.repeat(rows["start"].astype(np.int64), lengths)
            + np.repeat(self.starts[order], lengths)
        )
        return self.ids[at], rows


def _because(model: Any, bigrams: Any, ground: DocumentStream, document: int, places: Sequence[int]) -> float:
    """Nats by which context speaks for the right word where it does most."""
    import torch

    tokens = ground.document(document)
    most = int(getattr(model.config, "max_position_embeddings", len(tokens)))
    cut = [at for at in places if at < min(most, len(tokens))]
    if not cut:
        return -np.inf
    logp = said(model, torch.tensor([tokens[:most]]))[0].log_softmax(-1)
    return max(_gains(logp, bigrams, tokens, cut))


def _gains(logp: Any, bigrams: Any, tokens: Sequence[int], places: Sequence[int]) -> Iterator[float]:
    for at in places:
        before = np.log(bigrams.distribution(np.array([[tokens[at - 1]]]), 2)[0, tokens[at]])
        yield float(logp[at - 1, tokens[at]]) - float(before)

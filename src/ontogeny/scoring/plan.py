"""What a suite asks of a model, worked out once for each tokenizer: which sentences of which tokens, and what they share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ontogeny.records import OntogenyError, Pair
from ontogeny.scoring.forest import Forest, Integers, common, grow
from ontogeny.tokens.token_store import encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WORST = 3  # sentences that are named for their unknown tokens
Tokenised = list[tuple[tuple[int, ...], tuple[int, ...]]]  # of each pair the good and the bad sentence, with the first token


@dataclass(frozen=True)
class Plan:
    """The pairs of a suite as token ids.  `good` and `bad` index `sentences`; a sentence that occurs twice is there once.

    The first token of a sentence is never scored: it is the BOS, or, where a model has none, a token that nothing predicts.
    """

    pairs: list[Pair]
    sentences: list[tuple[int, ...]]  # with the first token, if there is one
    good: Integers  # [pairs]
    bad: Integers  # [pairs]
    too_long: list[Pair]  # left out, counted and said
    unknown: int  # <unk> tokens in all sentences
    unknown_in: tuple[tuple[str, int], ...] = ()  # the sentences that have any, and how many; the most first
    _forests: dict[int, Forest] = field(default_factory=dict, repr=False, compare=False)

    def forest(self, most: int) -> Forest:
        """The sentences as trees of at most `most` nodes, none of which branches for 1; grown once."""
        if most not in self._forests:
            self._forests[most] = grow(self.sentences, most)
        return self._forests[most]

    @cached_property
    def lengths(self) -> Integers:
        """Scored tokens of each sentence."""
        return np.array([max(0, len(sentence) - 1) for sentence in self.sentences], dtype=np.int64)

    @cached_property
    def starts(self) -> Integers:
        """Where each sentence's scored tokens start when those of all sentences are laid end to end."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def critical(self) -> tuple[Integers, Integers]:
        """Tokens that the sentences of each pair have in common at their beginning, the first included, and then at their end."""
        flat = np.fromiter((token for sentence in self.sentences for token in sentence), dtype=np.int64)
        sizes = np.array([len(sentence) for sentence in self.sentences], dtype=np.int64)
        ends, shortest = np.cumsum(sizes), np.minimum(sizes[self.good], sizes[self.bad])
        before = common(flat, (ends - sizes)[self.good], (ends - sizes)[self.bad], shortest)
        return before, common(flat, ends[self.good] - 1, ends[self.bad] - 1, shortest - before, step=-1)

    @property
    def unknown_facts(self) -> dict[str, Any]:
        """For the lineage: how many distinct sentences have an unknown token, and those that have the most."""
        worst = [{"sentence": text, "unknown": count} for text, count in self.unknown_in[:WORST]]
        return {"unknown_sentences": len(self.unknown_in), "unknown_worst": worst}

    def part(self, which: Integers) -> Plan:
        """The plan of some pairs alone."""
        tokenised = [(self.sentences[self.good[i]], self.sentences[self.bad[i]]) for i in which]
        return of([self.pairs[i] for i in which], tokenised, None, max(map(len, self.sentences)))


def make(
    pairs: list[Pair], tokenizer: PreTrainedTokenizerBase, first: int | None, context: int, leading_space: bool = False
) -> Plan:
    """Tokenises a suite.  `first` is the BOS that every sentence gets, None for none; `context` the most tokens a model takes.

    Raises OntogenyError if no pair is short enough.
    """
    return of(pairs, tokenise(pairs, tokenizer, first, leading_space), unknown_id(tokenizer, first), context)


def tokenise(pairs: list[Pair], tokenizer: PreTrainedTokenizerBase, first: int | None, leading_space: bool) -> Tokenised:
    """The ids of both sentences of each pair, with `first` in front; each sentence is tokenised once."""
    texts = sorted({text for pair in pairs for text in (pair.good, pair.bad)})
    spaced = [f" {text}" for text in texts] if leading_space else texts
    ids = dict(zip(texts, map(tuple, encode(tokenizer, spaced, first)), strict=True)) if texts else {}
    return [(ids[pair.good], ids[pair.bad]) for pair in pairs]


def unknown_id(tokenizer: PreTrainedTokenizerBase, first: int | None) -> int | None:
    """The token for what a tokenizer cannot say, unless it is the one that every sentence begins with."""
    return tokenizer.unk_token_id if tokenizer.unk_token_id != first else None


def of(pairs: list[Pair], tokenised: Tokenised, unknown: int | None, context: int) -> Plan:
    """The plan of pairs that have been tokenised.  Raises OntogenyError if none is short enough."""
    fits = [max(map(len, both)) <= context + 1 for both in tokenised]  # the last token is no input
    if not any(fits):
        raise OntogenyError(f"not one of {len(pairs)} pairs fits into the model's context of {context} tokens")
    kept = [both for both, fit in zip(tokenised, fits, strict=True) if fit]
    sentences = sorted({sentence for both in kept for sentence in both})
    where = {sentence: i for i, sentence in enumerate(sentences)}
    fitting = [pair for pair, fit in zip(pairs, fits, strict=True) if fit]
    unknown_in = _unknown_in(fitting, kept, unknown)
    return Plan(
        pairs=fitting,
        sentences=sentences,
        good=np.array([where[good] for good, _ in kept], dtype=np.int64),
        bad=np.array([where[bad] for _, bad in kept], dtype=np.int64),
        too_long=[pair for pair, fit in zip(pairs, fits, strict=True) if not fit],
        unknown=sum(sentence.count(unknown) for sentence in sentences) if unknown is not None else 0,
        unknown_in=unknown_in,
    )


def _unknown_in(pairs: list[Pair], tokenised: Tokenised, unknown: int | None) -> tuple[tuple[str, int], ...]:
    """The texts that have unknown tokens, each once, with how many; the most first, then by text."""
    if unknown is None:
        return ()
    both = ((pair.good, pair.bad) for pair in pairs)
    counts = {
        text: ids.count(unknown)
        for texts, sides in zip(both, tokenised, strict=True)
        for text, ids in zip(texts, sides, strict=True)
        if unknown in ids
    }
    return tuple(sorted(counts.items(), key=lambda found: (-found[1], found[0])))


def sample(pairs: list[Pair], per_paradigm: int | None, seed: int = 0) -> list[Pair]:
    """A fixed random sample of each paradigm's pairs, in their own order; all of them for None.

    The sample depends on the pair ids alone, so every checkpoint, seed and run reads the same pairs, and a smaller one lies within
    a larger one.
    """
    if per_paradigm is None:
        return pairs
    groups: dict[str, list[int]] = {}
    for i, pair in enumerate(pairs):
        groups.setdefault(pair.paradigm, []).append(i)
    chosen: set[int] = set()
    for members in groups.values():
        shuffled = np.random.default_rng(seed).permutation(len(members))[:per_paradigm]
        chosen.update(members[i] for i in shuffled)
    return [pair for i, pair in enumerate(pairs) if i in chosen]

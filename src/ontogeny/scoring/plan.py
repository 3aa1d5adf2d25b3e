"""What a suite asks of a model, worked out once for each tokenizer: which sentences of which tokens, and what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ontogeny.records import OntogenyError, Pair
from ontogeny.scoring import sentences as asked
from ontogeny.scoring.forest import Integers, common
from ontogeny.scoring.sentences import Encoded, Sentences, gather, unknown_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WORST = 3  # sentences that are named for their unknown tokens
Tokenised = list[tuple[Encoded, Encoded]]  # of each pair the good and the bad sentence


@dataclass(frozen=True)
class Plan:
    """The pairs of a suite.  `good` and `bad` index `sentences`; a sentence that occurs twice is there once."""

    pairs: list[Pair]
    sentences: Sentences
    good: Integers  # [pairs]
    bad: Integers  # [pairs]
    too_long: list[Pair]  # left out, counted and said
    unknown: int  # <unk> tokens in all sentences
    unknown_in: tuple[tuple[str, int], ...] = ()  # the sentences that have any, and how many; the most first

    @cached_property
    def critical(self) -> tuple[Integers, Integers]:
        """Tokens that the sentences of each pair have in common at their beginning, the first included, and then at their end."""
        flat = np.fromiter((token for sentence in self.sentences for token in sentence), dtype=np.int64)
        sizes = self.sentences.sizes
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
        rows = self.sentences.rows
        tokenised = [(rows[self.good[i]], rows[self.bad[i]]) for i in which]
        return of([self.pairs[i] for i in which], tokenised, None, int(self.sentences.sizes.max()))


def make(
    pairs: list[Pair], tokenizer: PreTrainedTokenizerBase, first: int | None, context: int, leading_space: bool = False
) -> Plan:
    """Tokenises a suite.  `first` is the BOS that every sentence gets, None for none; `context` the most tokens a model takes.

    Raises OntogenyError if no pair is short enough.
    """
    return of(pairs, tokenise(pairs, tokenizer, first, leading_space), unknown_id(tokenizer, first), context)


def tokenise(pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerBase, first: int | None, leading_space: bool) -> Tokenised:
    """Both sentences of each pair, with `first` in front."""
    rows = asked.tokenise([("", text) for pair in pairs for text in (pair.good, pair.bad)], tokenizer, first, leading_space)
    return list(zip(rows[::2], rows[1::2], strict=True))


def of(pairs: list[Pair], tokenised: Tokenised, unknown: int | None, context: int) -> Plan:
    """The plan of pairs that have been tokenised.  Raises OntogenyError if none is short enough."""
    fits = [max(len(row.ids) for row in both) <= context + 1 for both in tokenised]  # the last token is no input
    if not any(fits):
        raise OntogenyError(f"not one of {len(pairs)} pairs fits into the model's context of {context} tokens")
    kept = [both for both, fit in zip(tokenised, fits, strict=True) if fit]
    fitting = [pair for pair, fit in zip(pairs, fits, strict=True) if fit]
    rows = [row for both in kept for row in both]
    sentences, which = gather(
        rows, lambda i: f"{rows[i].text!r} (paradigm {fitting[i // 2].paradigm}, pair {fitting[i // 2].pair})"
    )
    return Plan(
        pairs=fitting,
        sentences=sentences,
        good=which[::2],
        bad=which[1::2],
        too_long=[pair for pair, fit in zip(pairs, fits, strict=True) if not fit],
        unknown=sum(sentence.count(unknown) for sentence in sentences) if unknown is not None else 0,
        unknown_in=_unknown_in(rows, unknown),
    )


def _unknown_in(rows: Sequence[Encoded], unknown: int | None) -> tuple[tuple[str, int], ...]:
    """The texts that have unknown tokens, each once, with how many; the most first, then by text."""
    counts = {row.text: row.ids.count(unknown) for row in rows if unknown in row.ids}
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

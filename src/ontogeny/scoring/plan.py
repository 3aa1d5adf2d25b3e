"""What a suite asks of a model, worked out once for each tokenizer: which sentences of which tokens, and what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ontogeny.records import OntogenyError, Pair
from ontogeny.scoring import sentences as asked
from ontogeny.scoring.forest import Integers, common, ranges
from ontogeny.scoring.sentences import Encoded, Sentences, gather
from ontogeny.tokens.unknown import unknown_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WORST = 3  # sentences that are named for their unknown tokens
AT_ONCE = 1 << 12  # pairs that are tokenised at once: the library takes a KB for each sentence while it does
NONE = -1  # where an item has no such option
Tokenised = list[tuple[Encoded, ...]]  # of each pair its options, the right one first


class Noted(NamedTuple):
    """Tokens of a tokenizer that a person should hear of where they are in a sentence."""

    unknown: int | None = None
    special: frozenset[int] = frozenset()


def noted(tokenizer: PreTrainedTokenizerBase, first: int | None) -> Noted:
    """Those of a tokenizer whose sentences begin with `first`."""
    unknown = unknown_id(tokenizer, first)
    return Noted(unknown, frozenset(tokenizer.all_special_ids) - {unknown})


@dataclass(frozen=True)
class Plan:
    """The pairs of a suite.  `options` index `sentences`; a sentence that occurs twice is there once."""

    pairs: list[Pair]
    sentences: Sentences
    options: Integers  # [pairs, the most that any has, at least 2] the right one first; NONE where one has fewer
    too_long: list[Pair]  # left out, counted and said
    unknown: int  # <unk> tokens in all sentences, and characters that no token stands for
    unknown_in: tuple[tuple[str, int], ...] = ()  # the sentences that have any, and how many; the most first
    special_in: tuple[str, ...] = ()  # the sentences in which a special token is written, such as </s>

    @property
    def good(self) -> Integers:
        """The right sentence of each pair."""
        return self.options[:, 0]

    @property
    def bad(self) -> Integers:
        """The wrong one, or the first of several; of a graded sentence alone, itself."""
        return np.where(self.options[:, 1] == NONE, self.good, self.options[:, 1])

    @cached_property
    def critical(self) -> tuple[Integers, Integers]:
        """Tokens that the two sentences of each pair have in common at their beginning, the first included, and at their end."""
        flat = np.fromiter((token for sentence in self.sentences for token in sentence), dtype=np.int32)
        sizes, good, bad = self.sentences.sizes, self.good, self.bad
        ends, shortest = np.cumsum(sizes), np.minimum(sizes[good], sizes[bad])
        before = common(flat, (ends - sizes)[good], (ends - sizes)[bad], shortest)
        return before, common(flat, ends[good] - 1, ends[bad] - 1, shortest - before, step=-1)

    @property
    def alike(self) -> list[Pair]:
        """Pairs of which a wrong option has the right one's tokens, such as <unk> for both words: all models tie."""
        same = (self.options[:, 1:] == self.options[:, :1]).any(axis=1)
        return [self.pairs[i] for i in np.flatnonzero(same)]

    @property
    def unknown_facts(self) -> dict[str, Any]:
        """For the lineage: how many distinct sentences have an unknown token, and those that have the most."""
        worst = [{"sentence": text, "unknown": count} for text, count in self.unknown_in[:WORST]]
        further = {"special_sentences": len(self.special_in), "alike_pairs": len(self.alike)}
        return {"unknown_sentences": len(self.unknown_in), "unknown_worst": worst} | {name: n for name, n in further.items() if n}

    @property
    def told(self) -> list[str]:
        """What a person should hear: what is left out or unknown, and special tokens that are written in sentences."""
        found = [f"{len(self.too_long):,} pairs longer than the context left out"] if self.too_long else []
        if self.unknown_in:
            worst = "; ".join(f"{text!r} ({count})" for text, count in self.unknown_in[:WORST])
            found += [f"{self.unknown:,} tokens unknown or left out in {len(self.unknown_in):,} sentences, most in {worst}"]
        if alike := self.alike:
            one = f"{alike[0].good!r} and {alike[0].bad!r} (paradigm {alike[0].paradigm}, pair {alike[0].pair})"
            found += [f"{len(alike):,} pairs have the same tokens on both sides and tie, such as {one}"]
        if self.special_in:
            found += [f"special tokens written in {len(self.special_in):,} sentences are read as such: {self.special_in[0]!r}"]
        return found

    def part(self, which: Integers) -> Plan:
        """The plan of some pairs alone."""
        rows = self.sentences.rows
        tokenised = [tuple(rows[at] for at in self.options[i] if at != NONE) for i in which]
        most = self.options.shape[1]
        return of([self.pairs[i] for i in which], tokenised, Noted(), int(self.sentences.sizes.max()), most)


def make(
    pairs: list[Pair], tokenizer: PreTrainedTokenizerBase, first: int | None, context: int, leading_space: bool = False
) -> Plan:
    """Tokenises a suite.  `first` is the BOS that every sentence gets, None for none; `context` the most tokens a model takes.

    Raises OntogenyError if no pair is short enough.
    """
    return of(pairs, tokenise(pairs, tokenizer, first, leading_space), noted(tokenizer, first), context)


def tokenise(pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerBase, first: int | None, leading_space: bool) -> Tokenised:
    """The options of each pair after its context, with `first` in front."""
    found: Tokenised = []
    for at in range(0, len(pairs), AT_ONCE):
        some = pairs[at : at + AT_ONCE]
        texts = [(pair.context, text) for pair in some for text in pair.options]
        rows = iter(asked.tokenise(texts, tokenizer, first, leading_space))
        found += [tuple(islice(rows, len(pair.options))) for pair in some]
    return found


def of(pairs: list[Pair], tokenised: Tokenised, noted: Noted, context: int, most: int = 2) -> Plan:
    """The plan of pairs that have been tokenised, with room for `most` options.  Raises OntogenyError if none is short enough."""
    fits = [max(len(row.ids) for row in own) <= context + 1 for own in tokenised]  # the last token is no input
    if not any(fits):
        raise OntogenyError(f"not one of {len(pairs)} pairs fits into the model's context of {context} tokens")
    kept = [own for own, fit in zip(tokenised, fits, strict=True) if fit]
    fitting = [pair for pair, fit in zip(pairs, fits, strict=True) if fit]
    rows = [row for own in kept for row in own]
    place, owner = ranges(np.zeros(len(kept), dtype=np.int64), np.array([len(own) for own in kept], dtype=np.int64))

    def named(i: int) -> str:
        pair = fitting[owner[i]]
        return f"{rows[i].text!r} (paradigm {pair.paradigm}, pair {pair.pair})"

    if (bare := next((i for i, row in enumerate(rows) if len(row.ids) == row.before), None)) is not None:
        raise OntogenyError(f"{named(bare)} has no token: the tokenizer leaves out all that is in it")
    sentences, which = gather(rows, named)
    options = np.full((len(kept), max(most, *map(len, kept))), NONE)
    options[owner, place] = which
    unknown_in = _unknown_in(rows, noted.unknown)
    return Plan(
        pairs=fitting,
        sentences=sentences,
        options=options,
        too_long=[pair for pair, fit in zip(pairs, fits, strict=True) if not fit],
        unknown=sum(unknown_in.values()),
        unknown_in=tuple(sorted(unknown_in.items(), key=lambda found: (-found[1], found[0]))),
        special_in=tuple(sorted({row.text for row in rows if not noted.special.isdisjoint(row.ids[row.before :])})),
    )


def _unknown_in(rows: Sequence[Encoded], unknown: int | None) -> dict[str, int]:
    """The texts that have something unknown, each once, and how many tokens, or characters that have none."""
    return {row.text: row.ids.count(unknown) + row.lost for row in rows if row.lost or unknown in row.ids}


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

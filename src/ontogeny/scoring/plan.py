"""What a suite asks of a model, worked out once for each tokenizer: which sentences of which tokens, and what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ontogeny.records import OntogenyError, Pair
from ontogeny.scoring import sentences as asked
from ontogeny.scoring.forest import Integers, common, ranges
from ontogeny.scoring.sentences import Encoded, Floats, Sentences, gather
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


class Comparisons(NamedTuple):
    """What has to hold for the pairs of a plan to be right: sums of their options' values, above 0; in the pairs' order."""

    pair: Integers  # [comparisons] whose each is
    which: Integers  # [entries] the comparison that an entry belongs to, ascending
    sentence: Integers  # [entries]
    times: Integers  # [entries] how often a sentence's value counts; negative: against

    def sides(self, values: Floats | Integers) -> tuple[Floats, Floats]:
        """Of each comparison what is for it and what is against, of one value a sentence."""
        own, times = values[self.sentence], (np.maximum(self.times, 0), np.maximum(-self.times, 0))
        good, bad = (np.bincount(self.which, own * side, minlength=len(self.pair)) for side in times)
        return good.astype(np.float64), bad.astype(np.float64)

    def decisive(self, margins: Floats) -> Integers:
        """Of each pair the comparison with the least margin: it is right if that is above 0."""
        order = np.lexsort((margins, self.pair))
        return np.asarray(order[np.unique(self.pair[order], return_index=True)[1]])


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
    shown: int = 2  # options that tables of scores have columns of: the two sides of a prediction, and all of other items

    @property
    def good(self) -> Integers:
        """The right sentence of each pair."""
        return self.options[:, 0]

    @property
    def bad(self) -> Integers:
        """The wrong one, or the first of several; of a graded sentence alone, itself."""
        return np.where(self.options[:, 1] == NONE, self.good, self.options[:, 1])

    @cached_property
    def comparisons(self) -> Comparisons:
        """Every comparison of every pair."""
        rows = [(number, row) for number, pair in enumerate(self.pairs) for row in pair.comparisons]
        entries = [
            (which, self.options[number, place], times)
            for which, (number, row) in enumerate(rows)
            for place, times in enumerate(row)
            if times
        ]
        which, sentence, times = np.array(entries, dtype=np.int64).reshape(-1, 3).T
        return Comparisons(np.array([number for number, _ in rows], dtype=np.int64), which, sentence, times)

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
        return [self.pairs[i] for i in np.flatnonzero(same) if not self.pairs[i].predictions]

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
        return of([self.pairs[i] for i in which], tokenised, Noted(), int(self.sentences.sizes.max()), self.shown)


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
        some = [pair.asked for pair in pairs[at : at + AT_ONCE]]
        rows = iter(asked.tokenise([both for own in some for both in own], tokenizer, first, leading_space))
        found += [tuple(islice(rows, len(own))) for own in some]
    return found


def tokenise_joined(pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerBase) -> Tokenised:
    """The same as lm-evaluation-harness has it: context and option are one text, split where the context's own tokens end.

    What the tokenizer puts before a text stays before the context; without a context the BOS, or else the end of a text, is given.
    Spaces that a context ends in are the option's.
    """
    ids = cache(lambda text, special: tuple(tokenizer.encode(text, add_special_tokens=special)))
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    mark = tokenizer.decode(first)

    def row(context: str, text: str) -> Encoded:
        if not context:
            own = ids(text, False)
            return Encoded(own if own[:1] == (first,) else (first, *own), 1, text)
        given = context.rstrip()
        special = not given.startswith(mark)
        return Encoded(ids(context + text, special), len(ids(given, special)), text)

    return [tuple(row(*both) for both in pair.asked) for pair in pairs]


def shortened(tokenised: Tokenised, context: int) -> tuple[Tokenised, int]:
    """Rows without what of their beginning a model has no room for, and how many lose some."""

    def fitting(row: Encoded) -> Encoded:
        gone = max(0, len(row.ids) - context - 1)
        return row._replace(ids=row.ids[gone:], before=max(1, row.before - gone))

    found = [tuple(map(fitting, own)) for own in tokenised]
    return found, sum(a != b for own, cut in zip(tokenised, found, strict=True) for a, b in zip(own, cut, strict=True))


def of(pairs: list[Pair], tokenised: Tokenised, noted: Noted, context: int, shown: int = 2) -> Plan:
    """The plan of pairs that have been tokenised, with columns for at least `shown` options.

    Raises OntogenyError if none is short enough.
    """
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
    options = np.full((len(kept), max(shown, *map(len, kept))), NONE)
    options[owner, place] = which
    unknown_in = _unknown_in(rows, noted.unknown)
    return Plan(
        pairs=fitting,
        sentences=sentences,
        options=options,
        too_long=[pair for pair, fit in zip(pairs, fits, strict=True) if not fit],
        unknown=sum(unknown_in.values()),
        unknown_in=tuple(sorted(unknown_in.items(), key=lambda found: (-found[1], found[0]))),
        shown=max(shown, *(2 if pair.predictions else len(pair.options) for pair in fitting)),
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

"""What a suite asks of a model, worked out once for each tokenizer: which sentences, in which batches, which tokens.

Sentences of one length go together, so that nothing is padded, sorted by their tokens, so that neighbours share prefixes.
In a batch the next-token distribution after each distinct prefix is computed once: it is a node, and every sentence token is an
edge out of one.  A distribution costs the vocabulary times the width, more than all layers of a small model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ontogeny.records import OntogenyError, Pair
from ontogeny.tokens.token_store import encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Batch:
    """Sentences of one length.  A node is a row of the flattened [sentence, position] grid; an edge is a scored token."""

    sentences: NDArray[np.int64]  # [S] ids of the sentences in the plan
    tokens: NDArray[np.int64]  # [S, T] input tokens: the first token and all but the last
    nodes: NDArray[np.int64]  # [N] flat indices into S * T, one for each distinct prefix
    edge_node: NDArray[np.int64]  # [S, T] which node each token is predicted from
    edge_token: NDArray[np.int64]  # [S, T] the token that is predicted


@dataclass(frozen=True, slots=True)
class Plan:
    """The pairs of a suite as token ids.  `good` and `bad` index `sentences`; a sentence that occurs twice is there once.

    The first token of a sentence is never scored: it is the BOS, or, where a model has none, a token that nothing predicts.
    """

    pairs: list[Pair]
    sentences: list[tuple[int, ...]]  # with the first token, if there is one
    good: NDArray[np.int64]  # [pairs]
    bad: NDArray[np.int64]  # [pairs]
    too_long: list[Pair]  # left out, counted and said
    unknown: int  # <unk> tokens in all sentences

    def batches(self, batch_tokens: int) -> Iterator[Batch]:
        """Batches of at most `batch_tokens` input tokens (but at least one sentence)."""
        order = sorted(range(len(self.sentences)), key=lambda i: (len(self.sentences[i]), self.sentences[i]))
        start = 0
        while start < len(order):
            length = len(self.sentences[order[start]])
            most = max(1, batch_tokens // max(1, length - 1))
            end = start
            while end < len(order) and end - start < most and len(self.sentences[order[end]]) == length:
                end += 1
            if length > 1:
                yield _batch(np.array(order[start:end]), np.array([self.sentences[i] for i in order[start:end]], dtype=np.int64))
            start = end


def _batch(sentences: NDArray[np.int64], ids: NDArray[np.int64]) -> Batch:
    """`ids` [S, T + 1] in sorted order: a prefix that the sentence before has too is that sentence's node."""
    inputs = ids[:, :-1]
    count, length = inputs.shape
    same = np.zeros((count, length), dtype=bool)
    same[1:] = np.logical_and.accumulate(inputs[1:] == inputs[:-1], axis=1)
    nodes = np.flatnonzero(~same)
    number = np.full((count, length), -1, dtype=np.int64)
    number.flat[nodes] = np.arange(len(nodes))
    edge_node = np.maximum.accumulate(number, axis=0)  # numbers grow down a column, so the largest so far is the newest
    return Batch(sentences, inputs, nodes, edge_node, ids[:, 1:])


def make(pairs: list[Pair], tokenizer: PreTrainedTokenizerBase, first: int | None, context: int) -> Plan:
    """Tokenises a suite.  `first` is the BOS that every sentence gets, None for none; `context` the most tokens a model takes.

    Raises OntogenyError if no pair is short enough.
    """
    texts = sorted({text for pair in pairs for text in (pair.good, pair.bad)})
    ids = dict(zip(texts, map(tuple, encode(tokenizer, texts, first)), strict=True)) if texts else {}
    fits = [all(len(ids[text]) <= context + 1 for text in (pair.good, pair.bad)) for pair in pairs]  # the last is no input
    kept = [pair for pair, fit in zip(pairs, fits, strict=True) if fit]
    if not kept:
        raise OntogenyError(f"not one of {len(pairs)} pairs fits into the model's context of {context} tokens")
    sentences = sorted({ids[text] for pair in kept for text in (pair.good, pair.bad)})
    where = {sentence: i for i, sentence in enumerate(sentences)}
    unknown = tokenizer.unk_token_id if tokenizer.unk_token_id != first else None
    return Plan(
        pairs=kept,
        sentences=sentences,
        good=np.array([where[ids[pair.good]] for pair in kept], dtype=np.int64),
        bad=np.array([where[ids[pair.bad]] for pair in kept], dtype=np.int64),
        too_long=[pair for pair, fit in zip(pairs, fits, strict=True) if not fit],
        unknown=sum(sentence.count(unknown) for sentence in sentences) if unknown is not None else 0,
    )


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

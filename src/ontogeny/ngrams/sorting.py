"""Sorting a stream's positions by the tokens that follow them: the one pass that all n-gram counts come from.

An n-gram never crosses a BOS: it may begin with one (the first token of a document after it) or end with one (the end of a
document, which OPT writes with the same token).  So the window of a position is its next tokens up to and with the next BOS, at
most `order` of them, and the n-grams of the text are the beginnings of windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class SortedLevel:
    """The distinct n-grams of one length in a bucket, in lexicographic order."""

    parent: Ints  # place of the first n - 1 tokens among the bucket's (n - 1)-grams
    token: Ints  # the last token
    first: Ints  # where the n-gram's positions begin among the bucket's sorted positions
    count: Ints  # how many there are


def pairs(ids: NDArray[Any], positions: Ints, order: int, pad: int) -> Ints:
    """A number for each position that sorts as its first two tokens do, or its first if order is 1; `pad` follows the stream."""
    numbers = ids[positions].astype(np.int64) << 32
    if order > 1:
        numbers |= np.where(positions + 1 < len(ids), ids[np.minimum(positions + 1, len(ids) - 1)], pad).astype(np.int64)
    return numbers


def bounds(tokens: int, pairs_of: Callable[[Ints], Ints], most: int, sample: int = 2**20) -> Ints:
    """The pair that each bucket but the first begins with, ascending, so that each has about `most` of the positions.

    They are quantiles of a sample of pairs (one token in twenty is the same, in any text).  A bucket is larger where more positions
    than that begin with one pair.
    """
    number = -(-tokens // most)
    positions = np.arange(tokens) if tokens <= sample else np.random.default_rng(0).integers(0, tokens, sample)
    found = np.sort(pairs_of(positions))
    return np.unique(found[np.arange(1, number) * len(found) // number])


def windows(
    ids: NDArray[Any], positions: NDArray[Any], order: int, bos: int | None, vocabulary: int
) -> tuple[list[NDArray[Any]], NDArray[np.int8]]:
    """Columns of tokens [order][positions], as narrow as the stream's own, and how many tokens each window has.

    What lies beyond a window's end is padded: with BOS after a BOS (two in a row occur in no window), with `vocabulary` after the
    end of a stream that has none.  A stream with BOS counts as closed by one more.
    """
    pad = vocabulary if bos is None else bos
    last, narrow = len(ids) - 1, np.result_type(ids.dtype, np.min_scalar_type(pad))
    columns: list[NDArray[Any]] = []
    spans = np.full(len(positions), order, dtype=np.int8)
    ended = np.zeros(len(positions), dtype=bool)
    for offset in range(order):
        at = positions.astype(np.int64)
        at += offset
        padded = ended | (at > last)
        column = np.asarray(ids[np.minimum(at, last, out=at)], dtype=narrow)
        column[padded] = pad
        ends = (column == pad) & ~ended if offset else np.zeros_like(ended)
        spans[ends] = offset + (bos is not None)  # a closing BOS belongs to its window, the end of a bare stream does not
        ended |= ends
        columns.append(column)
    return columns, spans


def lexicographic(columns: Sequence[NDArray[Any]], bits: int) -> Keys:
    """One uint64 a row that sorts as the row of tokens does; `bits` hold any token.

    Where 64 bits do not hold a whole row, what is packed so far is replaced by its rank.
    """
    key, width = columns[0].astype(np.uint64), bits
    for column in columns[1:]:
        if width + bits > 64:
            key = np.unique(key, return_inverse=True)[1].astype(np.uint64)
            width = len(key).bit_length()
        key = key << np.uint64(bits) | column.astype(np.uint64)
        width += bits
    return key


def sorted_rows(columns: Sequence[NDArray[Any]], bits: int) -> Ints:
    """The order that sorts rows of tokens, equal rows in the order they had; `bits` hold any token.

    From the last columns to the first, as many at a time as 64 bits hold beside a row's number: numpy sorts plain integers several
    times as fast as it finds the order that would sort them.
    """
    rows = len(columns[0])
    number = max(1, (rows - 1).bit_length())
    order = np.zeros(0, dtype=np.uint64)
    at_once = (64 - number) // bits
    for last in range(len(columns), 0, -at_once):
        key = np.zeros(rows, dtype=np.uint64)
        for column in columns[max(0, last - at_once) : last]:
            key <<= np.uint64(bits)
            key |= (column if last == len(columns) else column[order]).astype(np.uint64)
        key <<= np.uint64(number)
        key |= np.arange(rows, dtype=np.uint64)
        key.sort()
        key &= np.uint64((1 << number) - 1)
        order = key if last == len(columns) else order[key]
    return order.view(np.int64)


def sort_bucket(ids: NDArray[Any], positions: Ints, order: int, bos: int | None, vocabulary: int) -> tuple[Ints, list[SortedLevel]]:
    """A bucket's positions sorted by their windows, and its distinct n-grams of each length 1 to `order`."""
    columns, spans = windows(ids, positions, order, bos, vocabulary)
    by_window = sorted_rows(columns, bits_for(vocabulary, bos))  # equal windows in the text's order
    for number, column in enumerate(columns):
        columns[number] = column[by_window]
    return positions[by_window], _levels(columns, spans[by_window])


def bits_for(vocabulary: int, bos: int | None) -> int:
    """Bits that hold any token, and one value more where the end of the stream needs a mark of its own."""
    return max(1, (vocabulary if bos is None else vocabulary - 1).bit_length())


def _levels(columns: list[NDArray[Any]], spans: NDArray[np.int8]) -> list[SortedLevel]:
    levels: list[SortedLevel] = []
    rows = len(spans)
    new = np.zeros(rows, dtype=bool)  # whether a window's first n tokens differ from those of the window before
    if rows:
        new[0] = True
    above = np.zeros(rows, dtype=np.int32)  # place among the (n - 1)-grams of the one that each window belongs to
    for n, column in enumerate(columns, start=1):
        new[1:] |= column[1:] != column[:-1]
        heads = np.flatnonzero(new)
        sizes = np.diff(np.append(heads, rows))
        whole = spans[heads] >= n
        first, count = heads[whole], sizes[whole]
        levels.append(SortedLevel(above[first].astype(np.int64), column[first].astype(np.int64), first, count))
        above = np.cumsum(new & (spans >= n), dtype=np.int32) - 1
    return levels

"""Sentences as trees, so that each distinct beginning of a sentence is computed once.

A node is a beginning of at least one sentence, BOS the root.  Sentences that sort side by side share a tree, and a tree is one row
of a batch: a node's position is its depth, and it sees its ancestors and itself alone.  Nodes stand in depth-first order, so that
those that see a node are an interval, from it to its `end`.

Each scored token is an edge out of a node.  A tree repeats what it shares with the tree before it; the next-token distribution,
which costs the vocabulary times the width, is made only at the first of all nodes with the same beginning.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Trees side by side.  Rows shorter than the longest end in padding: token 0 at position 0, which sees itself alone."""

    sentences: int  # that end in these trees
    tokens: Integers  # [B, N]
    depth: Integers  # [B, N] the position of each
    end: Integers  # [B, N] node i is seen by the nodes from i up to and without end[i]
    nodes: Integers  # [M] flat indices into B * N of the nodes that are read
    edge_node: Integers  # [E] which of the M nodes each token is predicted from, ascending
    edge_token: Integers  # [E] the token that is predicted
    edge_place: Integers  # [E] where that token stands among the scored tokens of all sentences, laid end to end


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees of nodes [N] laid end to end.  Tree k has the nodes, read nodes and edges from its first to the next tree's first."""

    tokens: Integers  # [N]
    depth: Integers  # [N]
    end: Integers  # [N] counted from the tree's first node
    read: NDArray[np.bool_]  # [N] the first node with its beginning, where a scored token comes after it
    edge_node: Integers  # [E] counted among the read nodes
    edge_token: Integers  # [E]
    edge_place: Integers  # [E]
    first: Integers  # [trees + 1]
    first_read: Integers  # [trees + 1]
    first_edge: Integers  # [trees + 1]
    sentences: Integers  # [trees] how many begin in each

    def groups(self, tokens: int, equal: bool) -> Iterator[Integers]:
        """Trees that go together, largest first: at most so many `tokens` (but at least one tree), of one size if `equal`."""
        size = np.diff(self.first)
        order = np.argsort(-size, kind="stable")
        start = 0
        while start < len(order):
            largest = size[order[start]]
            end = start + max(1, tokens // int(largest))
            group = order[start:end]
            if equal:
                group = group[size[group] == largest]
            yield group
            start += len(group)

    def batch(self, trees: Integers) -> Batch:
        """The trees as rows, the largest first."""
        size = self.first[trees + 1] - self.first[trees]
        column = np.arange(size[0])
        real = column < size[:, None]
        at = np.where(real, self.first[trees][:, None] + column, 0)
        edges, owner = ranges(self.first_edge[trees], self.first_edge[trees + 1])
        reads = self.first_read[trees + 1] - self.first_read[trees]
        shift = np.cumsum(reads) - reads - self.first_read[trees]
        return Batch(
            sentences=int(self.sentences[trees].sum()),
            tokens=np.where(real, self.tokens[at], 0),
            depth=np.where(real, self.depth[at], 0),
            end=np.where(real, self.end[at], column + 1),
            nodes=np.flatnonzero(real & self.read[at]),
            edge_node=self.edge_node[edges] + shift[owner],
            edge_token=self.edge_token[edges],
            edge_place=self.edge_place[edges],
        )


def grow(sentences: Sequence[tuple[int, ...]], most: int, given: Integers | None = None) -> Forest:
    """Trees of at most `most` nodes, but a sentence at least; with `most` 1 none branches.

    `sentences` are sorted, so that what one shares with any before it, it shares with the one just before it.  A sentence's last
    token is predicted and never a node.  So many of its first tokens are `given` and not scored: the first alone if left out.
    """
    flat = np.fromiter((token for sentence in sentences for token in sentence), dtype=np.int64)
    lengths = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))
    starts, inputs = np.cumsum(lengths) - lengths, np.maximum(lengths - 1, 0)
    shared = np.append(0, common(flat, starts[1:], starts[:-1], np.minimum(inputs[1:], inputs[:-1])))  # with the one before
    begins = _cut(inputs, shared, most)
    depth, owner = ranges(np.where(begins, 0, shared), inputs)
    read = depth >= shared[owner]
    given = np.minimum(lengths, 1) if given is None else given
    edge_node = _sources(inputs, shared, given)
    edge_token, _ = ranges(starts + given, starts + lengths)
    edge_node = _needed(read, edge_node)
    order = np.argsort(edge_node, kind="stable")
    first = np.append(np.flatnonzero(begins[owner] & (depth == 0)), len(depth))
    first_read = np.append(0, np.cumsum(read))[first]
    return Forest(
        tokens=flat[starts[owner] + depth],
        depth=depth,
        end=_ends(depth) - np.repeat(first[:-1], np.diff(first)),
        read=read,
        edge_node=edge_node[order],
        edge_token=flat[edge_token[order]],
        edge_place=order,
        first=first,
        first_read=first_read,
        first_edge=np.searchsorted(edge_node[order], first_read),
        sentences=np.diff(np.concatenate([[0], np.flatnonzero(begins)[1:], [len(sentences)]]))[: len(first) - 1],
    )


def ranges(starts: Integers, ends: Integers) -> tuple[Integers, Integers]:
    """The numbers from each start up to its end, laid end to end, and which of the ranges each is in."""
    lengths = ends - starts
    owner = np.repeat(np.arange(len(starts)), lengths)
    return np.arange(len(owner)) + (starts - np.cumsum(lengths) + lengths)[owner], owner


def common(flat: NDArray[Any], one: Integers, other: Integers, most: Integers, step: int = 1) -> Integers:
    """How many tokens are the same from each place of `one` and of `other` on, at most `most`; backwards with `step` -1."""
    shared = np.zeros(len(one), dtype=np.int64)
    alike = np.arange(len(one))  # those that are, so far
    while len(alike):
        alike = alike[shared[alike] < most[alike]]
        at = step * shared[alike]
        alike = alike[flat[one[alike] + at] == flat[other[alike] + at]]
        shared[alike] += 1
    return shared


def _cut(inputs: Integers, shared: Integers, most: int) -> NDArray[np.bool_]:
    """True for each sentence that begins a tree, so that as few nodes as can be are repeated.

    A sentence that begins a tree repeats what it shares with the one before.  Of all cuts of the sentences up to each the best ends
    in a tree that begins at the best cut before it: the least sum is at the top of a heap, from which a beginning is taken when the
    tree from it on has grown too large.  A sentence that adds no node stays in the tree before it.
    """
    begins, start, least = np.zeros(len(inputs), dtype=bool), -1, 0
    heap: list[
        tuple[int, int, int]
    ] = []  # nodes repeated so far, the sentence that would begin, nodes before it less what it shares
    starts: list[int] = []  # of the last tree if it ended with each sentence
    ends = np.cumsum(inputs - shared)
    for i, (count, known, end) in enumerate(zip(inputs.tolist(), shared.tolist(), ends.tolist(), strict=True)):
        if count > known:
            heappush(heap, (least + known, i, end - count))
            while end - heap[0][2] > most and heap[0][1] < i:
                heappop(heap)
            least, start, _ = heap[0]
        starts.append(start)
    last = len(starts) - 1
    while last >= 0 and starts[last] >= 0:
        begins[starts[last]] = True
        last = starts[last] - 1
    return begins


def _needed(read: NDArray[np.bool_], edge_node: Integers) -> Integers:
    """Takes out of `read`, in place, the nodes that no token is predicted from (of contexts), and numbers the others anew."""
    wanted = np.bincount(edge_node, minlength=int(read.sum())) > 0
    read[read] = wanted
    return (np.cumsum(wanted) - 1)[edge_node]


def _sources(inputs: Integers, shared: Integers, given: Integers) -> Integers:
    """The first node of the same beginning that each sentence's scored tokens are predicted from, sentence by sentence."""
    sources = array("q")
    path: list[int] = []
    ends = np.cumsum(inputs - shared)
    for known, end, count, skip in zip(shared.tolist(), ends.tolist(), inputs.tolist(), given.tolist(), strict=True):
        path[known:] = range(end - count + known, end)
        sources.extend(path[max(skip - 1, 0) :])
    return np.frombuffer(sources, dtype=np.int64)


def _ends(depth: Integers) -> Integers:
    """For each node the first after it that is no deeper."""
    ends, path = array("q", [len(depth)]) * len(depth), list[int]()
    for node, deep in enumerate(depth.tolist()):
        for passed in path[deep:]:
            ends[passed] = node
        path[deep:] = [node]
    return np.frombuffer(ends, dtype=np.int64)

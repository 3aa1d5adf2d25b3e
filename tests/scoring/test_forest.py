"""Sentences as trees: every path reads back its tokens, a node is a distinct beginning, and it sees its ancestors."""

from itertools import pairwise, product

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.scoring.forest import common, grow, ranges
from ontogeny.scoring.readout import ancestors

settle = settings(max_examples=150, deadline=None)
some_sentences = st.sets(st.lists(st.integers(0, 2), min_size=1, max_size=7).map(tuple), min_size=1, max_size=30).map(sorted)
sizes = st.sampled_from([1, 2, 5, 12, 96])


def trees(forest):
    """Each tree by itself as a batch of one row, with the sentences that end in it."""
    ends = np.cumsum(forest.sentences)
    for tree, (last, count) in enumerate(zip(ends, forest.sentences, strict=True)):
        yield forest.batch(np.array([tree])), slice(last - count, last)


def beginnings(batch):
    """The beginning that each node [row][column] stands for, read off its ancestors alone."""
    sees = ancestors(torch.from_numpy(batch.end))[:, 0].numpy() == 0
    assert (np.where(sees, 0, 1).sum(-1) == sees.shape[-1] - sees.sum(-1)).all()
    return [[tuple(row[seen].tolist()) for seen in seen_by] for row, seen_by in zip(batch.tokens, sees, strict=True)]


@settle
@given(some_sentences, sizes)
def test_a_node_is_a_beginning_and_each_beginning_of_a_tree_is_one_node(sentences, most):
    done = 0
    for batch, which in trees(grow(sentences, most)):
        (found,) = beginnings(batch)
        expected = {sentence[:i] for sentence in sentences[which] for i in range(1, len(sentence))}
        assert sorted(found) == sorted(expected)
        assert batch.depth[0].tolist() == [len(beginning) - 1 for beginning in found]
        assert len(found) <= most or len(found) == max(map(len, found))  # or one sentence alone
        done += batch.sentences
    assert done == len(sentences) or all(len(sentence) == 1 for sentence in sentences)


@settle
@given(some_sentences, sizes, st.integers(1, 40), st.booleans())
def test_batches_predict_every_token_once_and_read_each_beginning_once(sentences, most, tokens, equal):
    forest = grow(sentences, most)
    scored = [(sentence[:i], sentence[i]) for sentence in sentences for i in range(1, len(sentence))]
    found, read = {}, []
    for group in forest.groups(tokens, equal):
        batch = forest.batch(group)
        assert batch.tokens.size <= max(tokens, batch.tokens.shape[1])
        flat = [beginning for row in beginnings(batch) for beginning in row]
        nodes = [flat[node] for node in batch.nodes]
        read += nodes
        assert (np.diff(batch.edge_node) >= 0).all()
        for place, node, token in zip(batch.edge_place, batch.edge_node, batch.edge_token, strict=True):
            assert place not in found
            found[place] = (nodes[node], token)
    assert found == dict(enumerate(scored))
    assert sorted(read) == sorted({beginning for beginning, _ in scored})


@settle
@given(some_sentences)
def test_sentences_by_themselves_are_not_padded_and_come_once(sentences):
    forest, rows = grow(sentences, 1), []
    for group in forest.groups(1000, equal=True):
        batch = forest.batch(group)
        assert batch.depth.tolist() == [list(range(batch.tokens.shape[1]))] * len(group)
        assert (batch.end == batch.tokens.shape[1]).all()
        rows += map(tuple, batch.tokens.tolist())
    inputs = {sentence[:-1] for sentence in sentences if len(sentence) > 1}
    assert len(set(rows)) == len(rows)
    assert set(rows) <= inputs
    assert all(any(row[: len(beginning)] == beginning for row in rows) for beginning in inputs)


def test_trees_by_hand():
    """0 1 2, 0 1 3 4, 0 5 6: BOS 0 is the root, and no last token is a node."""
    forest = grow([(0, 1, 2), (0, 1, 3, 4), (0, 5, 6)], 10)
    batch = forest.batch(np.array([0]))
    assert batch.tokens.tolist() == [[0, 1, 3, 5]]
    assert batch.depth.tolist() == [[0, 1, 2, 1]]
    assert batch.end.tolist() == [[4, 3, 3, 4]]
    assert batch.nodes.tolist() == [0, 1, 2, 3]
    edges = zip(batch.edge_node, batch.edge_token, batch.edge_place, strict=True)
    assert list(edges) == [(0, 1, 0), (0, 1, 2), (0, 5, 5), (1, 2, 1), (1, 3, 3), (2, 4, 4), (3, 6, 6)]

    cut = grow([(0, 1, 2), (0, 1, 3, 4), (0, 5, 6)], 3)  # the last sentence has a tree of its own, whose root was read before
    batch = cut.batch(np.array([0, 1]))
    assert batch.tokens.tolist() == [[0, 1, 3], [0, 5, 0]]  # the last 0 is padding
    assert batch.nodes.tolist() == [0, 1, 2, 4]
    assert ancestors(torch.from_numpy(batch.end))[1, 0].isneginf().sum() == 0  # finite: no row of attention is without a number
    assert (ancestors(torch.from_numpy(batch.end))[1, 0] == 0).tolist() == [
        [True, False, False],
        [True, True, False],
        [False] * 2 + [True],
    ]


def test_trees_are_cut_where_least_is_repeated():
    """0 1 2 a, 0 1 2 b, 0 3, 0 3 c in trees of five nodes: full trees would cut before 0 1 2 b and repeat three nodes, not one."""
    sentences = [(0, 1, 2, 7, 9), (0, 1, 2, 8, 9), (0, 3, 4, 9), (0, 3, 5, 9)]
    forest = grow(sentences, 5)
    assert [forest.tokens[a:b].tolist() for a, b in pairwise(forest.first)] == [[0, 1, 2, 7, 8], [0, 3, 4, 5]]
    assert forest.sentences.tolist() == [2, 2]


@settle
@given(some_sentences, sizes)
def test_no_cut_repeats_fewer_nodes(sentences, most):
    """Every set of cuts that keeps trees small, tried one after the other on few sentences."""
    sentences = sentences[:9]
    inputs = [sentence[:-1] for sentence in sentences]
    adds = [i for i, one in enumerate(inputs) if all(one != other[: len(one)] for other in inputs[:i]) and one]
    least = len({one[:n] for one in inputs for n in range(1, len(one) + 1)})
    if not adds:
        assert len(grow(sentences, most).tokens) == 0
        return
    counts = []
    for chosen in product([False, True], repeat=len(adds) - 1):
        cuts = [adds[0], *(at for at, cut in zip(adds[1:], chosen, strict=True) if cut)]
        parts = [inputs[a:b] for a, b in pairwise([*cuts, len(inputs)])]
        nodes = [len({one[:n] for one in part for n in range(1, len(one) + 1)}) for part in parts]
        alone = [sum(a <= at < b for at in adds) == 1 for a, b in pairwise([*cuts, len(inputs)])]
        if all(size <= most or single for size, single in zip(nodes, alone, strict=True)):
            counts.append(sum(nodes))
    assert len(grow(sentences, most).tokens) == min(counts) >= least


def test_common_runs_forwards_and_backwards():
    flat = np.array([1, 2, 3, 4, 1, 2, 9, 4])
    one, other, most = np.array([0, 0]), np.array([4, 4]), np.array([4, 1])
    assert common(flat, one, other, most).tolist() == [2, 1]
    assert common(flat, one + 3, other + 3, most, step=-1).tolist() == [1, 1]


def test_ranges_are_laid_end_to_end():
    numbers, owner = ranges(np.array([3, 5, 0]), np.array([5, 5, 3]))
    assert numbers.tolist() == [3, 4, 0, 1, 2]
    assert owner.tolist() == [0, 0, 2, 2, 2]


@settle
@given(some_sentences, sizes, st.randoms(use_true_random=False))
def test_what_is_given_is_neither_predicted_nor_read(sentences, most, random):
    """Contexts of any length before sentences, the same tokens with several of them too."""
    given_of = [(sentence, random.randint(1, len(sentence))) for sentence in sentences for _ in range(random.randint(1, 2))]
    rows = sorted(set(given_of))
    forest = grow([ids for ids, _ in rows], most, np.array([first for _, first in rows]))
    scored = [(ids[:i], ids[i]) for ids, first in rows for i in range(first, len(ids))]
    found, read = {}, []
    for batch, _ in trees(forest):
        (nodes,) = beginnings(batch)
        own = [nodes[node] for node in batch.nodes]
        read += own
        for place, node, token in zip(batch.edge_place, batch.edge_node, batch.edge_token, strict=True):
            found[place] = (own[node], token)
    assert found == dict(enumerate(scored))
    assert sorted(read) == sorted({beginning for beginning, _ in scored})

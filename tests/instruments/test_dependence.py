"""Trees of dependence whose edges are known, and the trees of largest sums beside all trees there are."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from scipy.sparse.csgraph import minimum_spanning_tree
from test_words_of_models import subject_of

from ontogeny.instruments.asked import Reads
from ontogeny.instruments.dependence import Dependence, Without, WordsAlone, cpmi, projective_tree, recall, spanning_tree, symmetric
from ontogeny.instruments.instrument import DoesNotApply
from ontogeny.instruments.parsed import parsed_text
from ontogeny.records import OntogenyError


def drawn(n, seed):
    return symmetric(np.random.default_rng(seed).normal(size=(n, n)))


def crosses(edges):
    return any(a < c < b < d for a, b in edges for c, d in edges)


def trees(n):
    for edges in combinations(list(combinations(range(n), 2)), n - 1):
        joined = list(range(n))
        for a, b in edges:
            joined = [joined[a] if one == joined[b] else one for one in joined]
        if len(set(joined)) == 1:
            yield set(edges)


@pytest.mark.parametrize("seed", range(4))
def test_trees_have_the_largest_sum_of_all(seed):
    weights = drawn(5, seed)
    every = list(trees(5))

    def total(edges):
        return sum(weights[edge] for edge in edges)

    assert total(spanning_tree(weights)) == pytest.approx(max(map(total, every)))
    best = projective_tree(weights)
    assert not crosses(best) and best in every
    assert total(best) == pytest.approx(max(total(edges) for edges in every if not crosses(edges)))


def test_a_large_tree_is_that_of_another_library():
    weights = drawn(30, 9)
    theirs = minimum_spanning_tree(np.triu(100 - weights, 1)).toarray()
    assert spanning_tree(weights) == {(int(a), int(b)) for a, b in zip(*np.nonzero(theirs), strict=True)}
    assert len(projective_tree(weights)) == 29


def test_dependence_is_what_the_later_word_gains_by_the_earlier_one():
    # three words at 5, 4, 3 nats; without the first 6 and 3; without the second 9
    assert cpmi(np.array([5.0, 4, 3, 6, 3, 9]), 3).tolist() == [[0, 2, 0], [2, 0, 6], [0, 6, 0]]


def test_arcs_are_counted_pooled_and_by_sentence():
    gold = [{(0, 1), (1, 2)}, {(0, 1)}, set()]
    assert recall([{(0, 1), (0, 2)}, {(0, 1)}, {(0, 1)}], gold) == (2 / 3, 0.75, 3)


def test_each_word_is_left_out_in_turn_and_what_shares_a_token_is_counted(tmp_path):
    tokenizer = tiny.words("the", *(a + b for a in tiny.NOUNS for b in tiny.VERBS), *tiny.NOUNS, *tiny.VERBS)
    text = parsed_text(subject_of(tokenizer), tiny.treebank(tmp_path), "dependence.treebank", 120)
    how = Reads(tokenizer, tokenizer.bos_token_id)
    asked = Without.of(text, 10, how)
    assert len(asked.parsed) == 10 and asked.left_out > 0 and asked.parsed[0].arcs == {(0, 1), (1, 2)}
    assert asked.ends[0] == 3 + 2 + 1
    ids = [asked.words.sentences[i] for i in range(len(asked.words.sentences))]
    assert {len(one) for one in ids} == {3, 4}  # BOS and three words, or two of them
    counts = np.array([sum(one[1:].count(token) for token in one[1:]) for one in ids])
    assert counts.min() >= 1
    with pytest.raises(OntogenyError, match="no sentence of the treebank has 2 to 40 words"):
        Without.of(type(text)(text.sentences[:1], text.tokens[:1], [np.zeros((3, 2), dtype=int)]), 10, how)


def test_a_models_own_trees_are_read_off_its_parents(tmp_path):
    """A model in which every token hangs on the one before it joins neighbours; a masked one is asked for nothing else."""
    tokenizer = tiny.words(*tiny.NOUNS, *tiny.VERBS, "the")

    def parents(ids):
        return torch.diag_embed(torch.ones(ids.shape[1] - 1), -1)[None]

    subject = subject_of(tokenizer)
    subject.kind, subject.model, subject.device = "masked", SimpleNamespace(parents=parents), "cpu"
    subject.context.once = lambda key, make: make()
    subject.parsed = lambda treebank, option, words: parsed_text(subject, treebank, option, words)
    table = Dependence(treebank=tiny.treebank(tmp_path), sentences=20).read(subject)
    arcs = dict(table.select("of", "arcs").iter_rows())
    assert set(arcs) == {"induced tree", "adjacency", "random projective tree"}
    assert arcs["induced tree"] == arcs["adjacency"]
    numbers = Dependence().numbers(table.with_columns(seed=0, step=1))
    assert list(numbers) == ["induced trees"] and numbers["induced trees"]["value"].to_list() == [0.0]
    subject.model = SimpleNamespace()
    with pytest.raises(DoesNotApply, match="it induces no trees"):
        Dependence(treebank=tiny.treebank(tmp_path)).read(subject)


def test_words_of_several_tokens_hang_by_all_of_them():
    sentence = WordsAlone([0, 1], {(0, 1)}, [2, 7, 8, 9], np.array([[1, 2], [3, 3]]))
    hangs = np.zeros((4, 4))
    hangs[1, 3], hangs[2, 3], hangs[2, 1] = 0.5, 0.25, 0.75
    assert sentence.joined(hangs)[0, 1] == 0.75

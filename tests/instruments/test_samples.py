"""Generated text whose words, novelty and loops are known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import linregress

from ontogeny.corpora.micro_english import MicroEnglish
from ontogeny.instruments.samples import accepted, by_rank, counted, loops, novelty, slope, told, types_after, written
from ontogeny.ngrams import index as indexes


class Drawn(torch.nn.Module):
    """After any text the same probabilities; of what it keeps it keeps nothing."""

    def __init__(self, p):
        super().__init__()
        self.logits = torch.log(torch.tensor(p))

    def forward(self, input_ids, **options):
        return SimpleNamespace(logits=self.logits.expand(*input_ids.shape, -1))


def subject_of(*p):
    def padded(rows):
        return [(slice(0, len(rows)), torch.tensor(rows))]

    return SimpleNamespace(model=Drawn(p), device=torch.device("cpu"), padded=padded)


def test_tokens_are_drawn_as_often_as_they_are_likely_and_greedy_ones_are_the_likeliest():
    uniform = np.random.default_rng(0).random((200, 20))
    text, logp, entropy = written(subject_of(0.1, 0.6, 0.3), np.zeros((200, 1), dtype=int), 20, uniform)
    assert np.bincount(text[:, 1:].ravel()) / 4000 == pytest.approx([0.1, 0.6, 0.3], abs=0.03)
    h = -sum(p * math.log(p) for p in (0.1, 0.6, 0.3))
    assert entropy == pytest.approx(np.full((200, 20), h)) and (-logp - entropy).mean() == pytest.approx(0, abs=0.03)
    greedy, logp, _ = written(subject_of(0.1, 0.6, 0.3), np.zeros((2, 3), dtype=int), 5, None)
    assert (greedy[:, 3:] == 1).all() and np.exp(logp) == pytest.approx(0.6)
    entropies, own = told(subject_of(0.1, 0.6, 0.3), text)
    assert np.exp(own[text[:, 1:] == 2]) == pytest.approx(0.3) and entropies == pytest.approx(np.full(own.shape, h), rel=1e-5)


def test_a_text_that_ends_in_one_piece_three_times_is_a_loop():
    assert loops([9, 1, 2, 1, 2, 1, 2]) and loops([5, 5, 5]) and loops(list(range(20)) * 3)
    assert not loops([1, 2, 1, 2, 3]) and not loops([1, 2, 2]) and not loops(list(range(21)) * 3) and not loops([])


def test_words_are_counted_as_on_paper():
    words = ["a", "b", "a", "c", "a", "b"]
    assert by_rank(words).tolist() == [3, 2, 1] and types_after(words).tolist() == [1, 2, 2, 3, 3, 3]
    own = counted(words, words)
    assert (own["ranks"], own["types"]) == (0, 0) and own["distinct"] == pytest.approx(4 / 5)  # ab ba ac ca ab
    other = counted(["a"] * 6, words)
    assert other["ranks"] == pytest.approx(0.5) and other["types"] == pytest.approx(2 / 3)
    x, y = np.arange(1, 30), np.arange(1, 30) ** -1.2
    assert slope(x, y) == pytest.approx(-1.2) and slope(x, y + 1) == pytest.approx(linregress(np.log(x), np.log(y + 1)).slope)


def test_novelty_is_what_the_text_has_nowhere(tmp_path):
    ids = np.array([0, 1, 2, 3, 0, 2, 3], dtype=np.uint16)  # 0 begins documents
    index = indexes.build(tmp_path / "index", ids, 4, 0, "key", order=3)
    found = novelty(index, np.array([[0, 1, 2, 3], [0, 2, 1, 3]]))
    assert found[1] == 0 and found[2] == pytest.approx(0.5) and found[3] == pytest.approx(0.5)  # 2 1, 1 3, 2 1 3
    two = novelty(index, np.array([[0, 1, 2, 3, 0, 2, 3]]))
    assert two[2] == two[3] == 0  # nothing goes over the end of a document


def test_the_grammar_derives_what_it_grew_and_nothing_else():
    texts = [document.text for document in MicroEnglish(words=300).documents()]
    assert accepted(["\n".join(["cut", *texts, "cut"])]) == 1.0
    backwards = [" ".join(reversed(text.rstrip(".?!").split())) + "." for text in texts]
    assert accepted(["\n".join(["cut", *backwards, "cut"])]) < 0.2
    assert accepted(["cut"]) is None

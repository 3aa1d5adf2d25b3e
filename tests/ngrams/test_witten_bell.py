"""Interpolated Witten-Bell: known values on paper, a distribution after any history, the same over every store of counts."""

import math
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_backend import BOS, ByHand, embedded

from ontogeny.ngrams.infinigram import write_index
from ontogeny.ngrams.witten_bell import WittenBell
from ontogeny.records import OntogenyError

settle = settings(max_examples=40, deadline=None)
documents = st.lists(st.lists(st.sampled_from([0, 1, 3, 4]), max_size=6), min_size=1, max_size=6)
histories = st.lists(st.integers(0, 5), max_size=6)


def test_values_on_paper():
    counts = ByHand([[0, 1], [0, 0]], 4)  # BOS 0 1 BOS, BOS 0 0 BOS
    unigram, bigram = WittenBell(counts, 1), WittenBell(counts, 2)
    # 6 tokens, 3 different: p(0) = (3 + 3/4) / (6 + 3)
    assert unigram.logp((), 0) == pytest.approx(math.log(3.75 / 9))
    # after 0: 1, 0 and BOS once each: p(0 | 0) = (1 + 3 p(0)) / (3 + 3)
    assert bigram.logp((0,), 0) == pytest.approx(math.log((1 + 3 * 3.75 / 9) / 6))
    # 3 was never seen: only what the uniform distribution leaves it
    assert bigram.logp((0,), 3) == pytest.approx(math.log(3 / 6 * (3 / 4 / 9)))
    # nothing follows 3: the unigram
    assert bigram.logp((3,), 0) == pytest.approx(math.log(3.75 / 9))


@settle
@given(documents, histories, st.integers(1, 5))
def test_every_history_has_a_distribution_and_logp_is_its_log(texts, history, order):
    model = WittenBell(ByHand(texts, 6), order)
    p = model.distribution(history)
    assert p.shape == (6,) and (p > 0).all()
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert [model.logp(history, token) for token in range(6)] == pytest.approx(np.log(p), abs=1e-12)


@settle
@given(documents, histories)
def test_what_lies_before_a_bos_or_too_far_back_does_not_count(texts, history):
    model = WittenBell(ByHand(texts, 6), 3)
    assert model.logp([*history, BOS, 1], 0) == model.logp([BOS, 1], 0)
    assert model.logp([*history, 3, 1], 0) == model.logp([3, 1], 0)


@settle
@given(documents, st.lists(st.sampled_from([0, 1, 3, 4, 5]), max_size=6), st.integers(1, 4))
def test_a_sentence_is_the_sum_of_its_tokens(texts, sentence, order):
    model = WittenBell(ByHand(texts, 6), order)
    begun = [BOS, *sentence]
    each = [model.logp(begun[: i + 1], token) for i, token in enumerate(sentence)]
    assert model.sentence(sentence) == pytest.approx(sum(each))
    assert model.sentence(sentence, end=True) == pytest.approx(sum(each) + model.logp(begun, BOS))


def test_sentences_of_the_same_transitions_tie_exactly():
    model = WittenBell(ByHand([[0, 1, 0, 3], [3, 3, 1]], 6), 2)
    assert model.sentence([0, 1, 0, 3, 0]) == model.sentence([0, 3, 0, 1, 0])


def test_without_bos_a_sentence_begins_with_its_first_token():
    counts = ByHand([[0, 1]], 4)
    counts.bos = None
    model = WittenBell(counts, 2)
    assert model.sentence([0, 1], end=True) == pytest.approx(model.logp((), 0) + model.logp((0,), 1))


def test_longer_histories_tell_more_about_their_own_text():
    text = [[0, 1, 3, 4, 0, 3, 1, 4]] * 5
    scores = [WittenBell(ByHand(text, 6), order).sentence(text[0]) for order in (1, 2, 3)]
    assert scores == sorted(scores)


TEXTS = [[0, 1, 3], [1], [3, 0, 0, 1], [0, 1, 0, 1], [], [1, 0, 4, 0, 1], [0, 1]]


def assert_the_same(counts):
    model, reference = WittenBell(counts, 4), WittenBell(ByHand(TEXTS, 6), 4)
    for sentence in [*TEXTS, [4, 4, 5], [0, 1, 3, 0, 1, 0]]:
        assert model.sentence(sentence, end=True) == reference.sentence(sentence, end=True)
        assert (model.distribution([BOS, *sentence]) == reference.distribution([BOS, *sentence])).all()


def test_the_same_over_our_own_index(tmp_path):
    assert_the_same(embedded(tmp_path, TEXTS, 6))


@pytest.mark.skipif(find_spec("infini_gram") is None, reason="infini-gram is not installed: pip install 'ontogeny[infinigram]'")
def test_the_same_over_infini_gram(tmp_path):
    assert_the_same(write_index(embedded(tmp_path, TEXTS, 6).stream, tmp_path / "infini-gram"))


def test_each_history_is_looked_up_once(tmp_path):
    counts, asked = ByHand([[0, 1, 0, 1]], 4), []
    look_up = counts.followers
    counts.followers = lambda history: asked.append(history) or look_up(history)
    model = WittenBell(counts, 3)
    model.sentence([0, 1, 0, 1])
    model.sentence([0, 1, 0, 3])
    assert len(asked) == len(set(asked)) and max(map(len, asked)) == 2


@pytest.mark.parametrize("order", [0, 6])
def test_orders_beyond_one_to_five_are_refused(order):
    with pytest.raises(OntogenyError, match=f"1 to 5, not {order}"):
        WittenBell(ByHand([[0]], 4), order)


def test_tokens_of_another_vocabulary_are_refused():
    with pytest.raises(OntogenyError, match="token 4 is none of the 4"):
        WittenBell(ByHand([[0]], 4), 2).sentence([0, 4])

"""Kneser-Ney on paper, against its definition, and against nltk where the two define the same."""

from itertools import product

import numpy as np
import pytest
from by_definition import Model, counts, streams
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ontogeny.ngrams import index as indices
from ontogeny.ngrams.growth import counts_among
from ontogeny.ngrams.kneser_ney import FALLBACK, Discounts, KneserNey, estimate
from ontogeny.records import OntogenyError

settle = settings(max_examples=40, deadline=None)
small = streams(vocabularies=(1, 3, 5), least=4)
BOS, A, B, C, D = range(5)
PAPER = [BOS, A, B, BOS, A, B, BOS, A, C]  # three sentences; D never occurs


def fitted(folder, ids, vocabulary, bos, order=4, seen=None, discounts=None):
    index = indices.build(folder / "index", np.asarray(ids), vocabulary, bos, order=order)
    seen = None if seen is None else counts_among(index, np.asarray(seen))
    return KneserNey(index, seen, discounts)


def after(model, *history, order=2):
    return model.distribution(np.array([history], dtype=np.int64), order)[0]


# --- on paper -----------------------------------------------------------------------------------------------------


def test_a_bigram_model_on_paper(tmp_path):
    """Bigrams: (BOS a) 3, (a b) 2, (b BOS) 2, (a c) 1, (c BOS) 1.

    n1 = 2, n2 = 2, n3 = 1, n4 = 0: Y = 2 / (2 + 4) = 1/3, D1 = 1 - 2/3 x 2/2 = 1/3, D2 = 2 - 1 x 1/2 = 3/2, D3+ = 3 - 0 = 3.
    Followed by different tokens: a, b, c 1 each, BOS 2, of 5 in all.  n3 = 0, so the fallback: D1 = 1/2, D2 = 1.
    Unigrams: gamma = (3 x 1/2 + 1) / 5 = 1/2, of which each of five gets .1: a, b, c = .5 / 5 + .1, BOS = 1 / 5 + .1, d = .1.
    """
    model = fitted(tmp_path, PAPER, 5, BOS, order=2)
    assert model.discounts(2) == [Discounts(*FALLBACK, estimated=False), (pytest.approx(1 / 3), 3 / 2, 3, True)]
    unigrams = np.array([0.3, 0.2, 0.2, 0.2, 0.1])
    assert after(model, D) == pytest.approx(unigrams)  # a history that never occurs
    assert after(model, -1) == pytest.approx(unigrams)  # no history
    assert after(model, BOS) == pytest.approx(3 / 3 * unigrams)  # (3 - 3) / 3 for a, gamma = 3 / 3
    gamma = (1 / 3 + 3 / 2) / 3
    assert after(model, A) == pytest.approx(gamma * unigrams + [0, 0, (2 - 3 / 2) / 3, (1 - 1 / 3) / 3, 0])
    assert after(model, B) == pytest.approx(3 / 2 / 2 * unigrams + [(2 - 3 / 2) / 2, 0, 0, 0, 0])
    assert after(model, C) == pytest.approx(1 / 3 * unigrams + [1 - 1 / 3, 0, 0, 0, 0])


def test_a_unigram_model_on_paper(tmp_path):
    """Occurrences: BOS 3, a 3, b 2, c 1.  n1 = 1, n2 = 1, n3 = 2, n4 = 0: Y = 1/3, D2 = 2 - 3Y 2/1 = 0: the fallback."""
    model = fitted(tmp_path, PAPER, 5, BOS, order=1)
    gamma = (1 / 2 + 1 + 2 * 3 / 2) / 9
    assert after(model, order=1) == pytest.approx(np.array([3 / 2, 3 / 2, 1, 1 / 2, 0]) / 9 + gamma / 5)


def test_discounts_on_paper():
    """n1 = 10, n2 = 4, n3 = 2, n4 = 1: Y = 10/18, D1 = 1 - 2Y 4/10, D2 = 2 - 3Y 2/4, D3+ = 3 - 4Y 1/2."""
    found = estimate(np.repeat([0, 1, 2, 3, 4, 9], [3, 10, 4, 2, 1, 5]).astype(np.uint32))
    assert found == (pytest.approx(5 / 9), pytest.approx(7 / 6), pytest.approx(17 / 9), True)
    assert found.of(np.array([0, 1, 2, 3, 7], dtype=np.uint32)) == pytest.approx([0, 5 / 9, 7 / 6, 17 / 9, 17 / 9])


@pytest.mark.parametrize("times", [[0, 4, 2, 1], [9, 0, 2, 1], [9, 4, 0, 1], [9, 4, 8, 1], [9, 4, 2, 9], [0, 0, 0, 0]])
def test_where_counts_of_counts_give_no_discount_the_fallback_stands_in_and_says_so(times):
    assert estimate(np.repeat([1, 2, 3, 4], times)) == Discounts(*FALLBACK, estimated=False)


# --- by definition ------------------------------------------------------------------------------------------------


@settle
@given(small, st.integers(1, 4), st.booleans(), st.data())
def test_every_probability_is_the_definitions(tmp_path_factory, stream, order, part, data):
    ids, vocabulary, bos = stream
    seen = data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids))) if part else None
    levels = [counts(ids.tolist(), n, bos, seen) for n in range(1, 5)]
    assume(part or max(levels[1].values(), default=0) > 1)
    model = fitted(tmp_path_factory.mktemp("m"), *stream, seen=seen)
    discounts = model.discounts(order)
    reference = Model(levels, order, vocabulary, bos, lambda n, count: discounts[n - 1].of(np.array([count]))[0])
    histories = [tuple(ids[i : i + order - 1].tolist()) for i in range(len(ids) - order + 2)][-8:]
    histories = [history for history in histories if bos not in history[1:]] or [(0,) * (order - 1)]
    found = model.distribution(np.array(histories, dtype=np.int64).reshape(len(histories), order - 1), order)
    expected = [[reference.p(token, history) for token in range(vocabulary)] for history in histories]
    assert found == pytest.approx(np.array(expected), abs=1e-12)


@settle
@given(small, st.data())
def test_probabilities_are_above_zero_and_sum_to_one_after_anything_at_any_moment(tmp_path_factory, stream, data):
    ids, vocabulary, _ = stream
    seen = data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
    model = fitted(tmp_path_factory.mktemp("m"), *stream, seen=seen)
    histories = np.array(list(product(range(-1, min(vocabulary, 3)), repeat=3)))
    for order in range(1, 5):
        p = model.distribution(histories, order)
        assert p.shape == (len(histories), vocabulary)
        assert p.min() > 0
        assert p.sum(axis=1) == pytest.approx(1)


@settle
@given(small, st.data())
def test_a_walk_has_the_probabilities_of_its_histories(tmp_path_factory, stream, data):
    ids, vocabulary, _ = stream
    model = fitted(tmp_path_factory.mktemp("m"), *stream, seen=[True] * len(ids))
    sentences = data.draw(st.lists(st.lists(st.integers(0, vocabulary - 1), max_size=6), min_size=1, max_size=3))
    walk = model.index.walk(sentences)
    for order in range(1, 5):
        padded = [[-1] * 3 + sentence for sentence in sentences]
        expected = [after(model, *row[i - 3 : i], order=order)[row[i]] for row in padded for i in range(3, len(row))]
        assert model.probabilities(walk, order) == pytest.approx(expected, abs=1e-14)


def test_a_moment_at_which_nothing_was_seen_is_uniform(tmp_path):
    model = fitted(tmp_path, PAPER, 5, BOS, seen=[False] * len(PAPER))
    for order in range(1, 5):
        assert after(model, BOS, A, B, order=order).tolist() == [0.2] * 5


def test_documents_shorter_than_the_order(tmp_path):
    model = fitted(tmp_path, [BOS, A, BOS, A, BOS, BOS, B], 5, BOS, order=5)
    assert len(model.index.levels[3]) == 0
    walk = model.index.walk([[BOS, A, B, C, A, BOS], []])
    assert model.probabilities(walk, 5) == pytest.approx(model.probabilities(walk, 3))
    assert after(model, BOS, A, B, A, order=5) == pytest.approx(after(model, B, A, order=3))


def test_a_stream_too_long_for_four_bytes_has_the_same_model(tmp_path, monkeypatch):
    narrow = fitted(tmp_path / "a", PAPER, 5, BOS)
    monkeypatch.setattr(indices, "NARROW", 0)
    wide = fitted(tmp_path / "b", PAPER, 5, BOS)
    grown = fitted(tmp_path / "c", PAPER, 5, BOS, seen=[True] * len(PAPER))
    assert after(wide, BOS, A, order=3).tolist() == after(narrow, BOS, A, order=3).tolist()
    assert after(grown, B, order=2).sum() == pytest.approx(1)


# --- bad input ----------------------------------------------------------------------------------------------------


def test_what_was_not_counted_is_refused(tmp_path):
    model = fitted(tmp_path, PAPER, 5, BOS, order=2)
    for ask in (
        model.levels,
        lambda order: model.probabilities(model.index.walk([[A]]), order),
        lambda n: after(model, A, B, order=n),
    ):
        for order in (0, 3):
            with pytest.raises(OntogenyError, match=f"counted up to n = 2; a model of order {order} needs n = {order}"):
                ask(order)
    with pytest.raises(OntogenyError, match="order 2 looks 1 tokens back, the histories have 0"):
        after(model, order=2)
    for token in (5, -2):
        with pytest.raises(OntogenyError, match=f"token {token} is none of this index's 5"):
            after(model, token)


def test_a_text_without_a_repeated_bigram_is_refused(tmp_path):
    with pytest.raises(OntogenyError, match="no bigram of this text occurs twice"):
        fitted(tmp_path / "a", [BOS, A, B, C], 5, BOS)
    assert fitted(tmp_path / "b", [BOS, A, B, C], 5, BOS, discounts=[Discounts(0.5, 1, 1.5)] * 4).levels(4)


# --- against nltk -------------------------------------------------------------------------------------------------

# nltk has one discount, takes none off unigrams and has no uniform distribution beneath them.  With our discounts set so, all
# else agrees but one thing: we keep the occurrences of lower n-grams that nothing precedes, nltk counts what precedes them.
NONE, SAME = Discounts(0, 0, 0), Discounts(0.7, 0.7, 0.7)


def peer(sentences, order):
    from nltk import lm
    from nltk.util import everygrams

    model = lm.KneserNeyInterpolated(order, discount=0.7)
    model.fit([everygrams(sentence, max_len=order) for sentence in sentences], [word for s in sentences for word in s])
    return model


def test_bigrams_agree_with_nltk(tmp_path):
    rng = np.random.default_rng(1)
    texts = [rng.integers(1, 7, rng.integers(1, 6)).tolist() for _ in range(20)]
    model = fitted(tmp_path, [token for text in texts for token in (BOS, *text)], 7, BOS, order=2, discounts=[NONE, SAME])
    theirs = peer([["<s>", *map(str, text), "</s>"] for text in texts], 2)
    words = ["</s>", *map(str, range(1, 7))]
    for history, name in enumerate(["<s>", *words[1:]]):
        assert after(model, history) == pytest.approx([theirs.score(word, [name]) for word in words], abs=1e-12)


@pytest.mark.parametrize("order", [3, 4])
def test_longer_orders_agree_with_nltk_on_a_stream_without_documents(tmp_path, order):
    ids = np.random.default_rng(2).integers(0, 4, 60)
    ids = np.append(ids, ids[:order])  # so that something precedes every n-gram
    model = fitted(tmp_path, ids, 4, None, order=order, discounts=[NONE, *[SAME] * 3])
    theirs = peer([list(map(str, ids.tolist()))], order)
    for history in product(range(4), repeat=order - 1):
        expected = [theirs.score(str(token), [str(h) for h in history]) for token in range(4)]
        assert after(model, *history, order=order) == pytest.approx(expected, abs=1e-12)

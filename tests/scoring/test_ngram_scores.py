"""Pairs under n-gram models: sums of logs by hand, exact ties, and the same table that a network gives."""

import math
from itertools import permutations

import numpy as np
import polars as pl
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.ngrams import KneserNey, build
from ontogeny.records import OntogenyError
from ontogeny.scoring import ngram_pairs, plan
from ontogeny.scoring import pairs as of_pairs
from ontogeny.trajectories.curves import curve

settle = settings(max_examples=40, deadline=None)
BOS, ORDER = 2, 4
TEXT = ("the dog sees the cat", "the cat runs", "the dog runs", "dogs run", "dogs see the cat", "", "the cat sees dogs")
PAIRS = tiny.pairs(
    ("the dog runs", "the dog run"),
    ("dogs see the cat", "dogs sees cat the"),
    ("the cat sees the dog", "the cat sees"),  # one is the beginning of the other
    ("cat the zebra", "dogs"),
)


@pytest.fixture(scope="module")
def tokenizer():
    return tiny.words(*TEXT)


def ids_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def fitted(folder, tokenizer, bos=BOS, blank=False, text=TEXT):
    ids = [token for line in text for token in ([] if bos is None else [bos]) + ids_of(tokenizer, line)]
    index = build(folder / "index", np.array(ids, dtype=np.uint16), len(tokenizer), bos, order=ORDER)
    return KneserNey(index, [np.zeros(len(level), dtype=np.uint32) for level in index.levels] if blank else None)


@pytest.fixture(scope="module")
def model(tmp_path_factory, tokenizer):
    return fitted(tmp_path_factory.mktemp("model"), tokenizer)


def sentences(model, tokenizer, pairs=PAIRS):
    return ngram_pairs.WalkedPairs(model.index, plan.make(pairs, tokenizer, model.index.bos, 100))


def margins(model, tokenizer, *pairs, orders=range(1, ORDER + 1)):
    return ngram_pairs.margins(model, sentences(model, tokenizer, tiny.pairs(*pairs)), orders)


def by_hand(model, tokenizer, text, order):
    """log p of each token of a sentence, one at a time, from whole distributions; the last is the end of the document's."""
    bos = model.index.bos
    row = ids_of(tokenizer, text) if bos is None else [bos, *ids_of(tokenizer, text), bos]
    histories = np.array([([-1] * order + row[:i])[-order:] for i in range(1, len(row))]).reshape(-1, order)
    return [math.log(p[token]) for p, token in zip(model.distribution(histories, order), row[1:], strict=True)]


def test_margins_are_differences_of_sums(model, tokenizer):
    found = ngram_pairs.margins(model, sentences(model, tokenizer), range(1, ORDER + 1))
    assert found["order"].to_list() == [order for order in range(1, ORDER + 1) for _ in PAIRS]
    for row in found.iter_rows(named=True):
        pair = PAIRS[int(row["pair"])]
        good, bad = (by_hand(model, tokenizer, text, row["order"]) for text in (pair.good, pair.bad))
        assert row["margin"] == pytest.approx(sum(good[:-1]) - sum(bad[:-1]), abs=1e-12)
        assert row["margin_eos"] == pytest.approx(sum(good) - sum(bad), abs=1e-12)
        assert (row["logp_good"], row["logp_bad"]) == (pytest.approx(sum(good[:-1])), pytest.approx(sum(bad[:-1])))
        assert (row["length_good"], row["length_bad"]) == (len(good) - 1, len(bad) - 1)


def test_the_table_is_the_one_that_a_network_gives(model, tokenizer):
    todo = sentences(model, tokenizer)
    network = of_pairs.score(tiny.opt(len(tokenizer)), todo.plan, "cpu")
    for order in (1, 3):
        found = ngram_pairs.score(model, order, todo)
        assert found.schema == network.schema
        same = ["paradigm", "pair", "tokens_good", "tokens_bad"]
        assert found.select(same).equals(network.select(same))
        margin = found.select(margin=pl.col("logp_good") - pl.col("logp_bad"))["margin"].to_list()
        assert margin == pytest.approx(ngram_pairs.margins(model, todo, [order])["margin"].to_list())
        runs, run = (by_hand(model, tokenizer, text, order)[2] for text in ("the dog runs", "the dog run"))
        assert (found["critical_good"][0], found["critical_bad"][0]) == pytest.approx((runs, run))


@settle
@given(st.data())
def test_the_same_transitions_in_another_order_tie_exactly(model, tokenizer, data):
    """a X a Y a: exchanging X and Y leaves every bigram as it was, and every unigram wherever they stand."""
    words = st.lists(st.sampled_from(["the", "dog", "cat", "runs", "sees", "zebra"]), max_size=3)
    a, x, y = data.draw(st.sampled_from(["the", "dog"])), data.draw(words), data.draw(words)
    pair = (" ".join([a, *x, a, *y, a]), " ".join([a, *y, a, *x, a]))
    assert margins(model, tokenizer, pair, orders=[1, 2])["margin"].to_list() == [0.0, 0.0]
    assert margins(model, tokenizer, pair, orders=[1, 2])["margin_eos"].to_list() == [0.0, 0.0]


def test_unseen_transitions_that_exchange_factors_tie_exactly(tmp_path):
    """No two of these words are neighbours in the text, so p(w | h) = gamma(h) p(w): exchanging words exchanges factors."""
    words = ["cat", "see", "runs", "run", "dogs", "mice", "men"]
    text = [f"f{k} {word} f{k % (n + 1)}" for n, word in enumerate(words, 1) for k in range(n * n)]  # weights of their own
    tokenizer = tiny.words(*text)
    model = fitted(tmp_path, tokenizer, text=text)
    pairs = [(" ".join(words), " ".join(order)) for order in permutations(words) if (order[0], order[-1]) == ("cat", "men")]
    assert model.index.count(ids_of(tokenizer, "see runs")) == 0
    assert margins(model, tokenizer, *pairs, orders=[2])["margin"].to_list() == [0.0] * 120


@settle
@given(st.lists(st.tuples(*[st.lists(st.sampled_from(["the", "dog", "dogs", "zebra"]), min_size=1).map(" ".join)] * 2), min_size=1))
def test_exchanging_good_and_bad_turns_the_sign(model, tokenizer, pairs):
    forth, back = margins(model, tokenizer, *pairs), margins(model, tokenizer, *[pair[::-1] for pair in pairs])
    for column in ("margin", "margin_eos"):
        assert forth[column].to_list() == (-back[column]).to_list()


@pytest.mark.parametrize("bos", [BOS, None])
def test_a_model_that_has_seen_nothing_is_right_half_the_time_on_equal_lengths(tmp_path, tokenizer, bos):
    blank = fitted(tmp_path, tokenizer, bos, blank=True)
    pairs = tiny.pairs(("the dog runs", "zebra cat the"), ("dogs run", "the zebra"), ("a the", "cat sees"))
    todo = sentences(blank, tokenizer, pairs)
    for order in range(1, ORDER + 1):
        assert curve(ngram_pairs.score(blank, order, todo))["accuracy"].to_list() == [0.5]
    found = ngram_pairs.margins(blank, todo, range(1, ORDER + 1))
    assert found["margin"].unique().to_list() == [0.0]
    assert found["margin_eos"].unique().to_list() == [None if bos is None else 0.0]
    assert found.schema["margin_eos"] == pl.Float64


def test_words_that_never_occur_are_told_apart_by_their_number_alone(model, tokenizer):
    found = margins(model, tokenizer, ("the zebra", "the okapi"), ("the zebra", "the zebra okapi"))
    tie, longer = found.filter(pl.col("order") == 2).sort("pair")["margin"].to_list()
    assert tie == 0.0
    assert longer > 0


def test_the_end_by_hand(model, tokenizer):
    """good = the dog runs EOS, bad = the dog EOS: the margin is p(runs | dog) alone, the end adds p(EOS | runs) / p(EOS | dog)."""
    dog, runs = ids_of(tokenizer, "dog runs")
    p = model.distribution(np.array([[dog], [runs]]), 2)
    row = margins(model, tokenizer, ("the dog runs", "the dog"), orders=[2]).row(0, named=True)
    assert row["margin"] == pytest.approx(math.log(p[0, runs]))
    assert row["margin_eos"] == pytest.approx(math.log(p[0, runs] * p[1, BOS] / p[0, BOS]))


def test_without_bos_the_first_token_is_not_scored(tmp_path, tokenizer):
    bare = fitted(tmp_path, tokenizer, None)
    found = margins(bare, tokenizer, ("the dog runs", "cat"), ("the dog", "cat dog"), ("the", "dog"), orders=[2])
    assert found["margin"][1] == pytest.approx(
        by_hand(bare, tokenizer, "the dog", 2)[0] - by_hand(bare, tokenizer, "cat dog", 2)[0]
    )
    assert found["margin"][1] != 0
    assert found.row(2)[3:] == (0, None, 0, 0, 0, 0)
    row = found.row(0, named=True)
    assert row["margin"] == row["logp_good"] == pytest.approx(sum(by_hand(bare, tokenizer, "the dog runs", 2)))
    assert (row["margin_eos"], row["logp_bad"], row["length_good"], row["length_bad"]) == (None, 0, 2, 0)


def test_another_tokenizer_and_another_beginning_are_refused(model, tokenizer):
    other = tiny.words(" ".join(f"w{i}" for i in range(99)))
    last = other.convert_ids_to_tokens(len(tokenizer))  # the first id that was not counted
    with pytest.raises(OntogenyError, match=f"token {len(tokenizer)}, .*were made with different tokenizers"):
        sentences(model, other, tiny.pairs((last, "w1 w0")))
    for first in (None, 0):
        with pytest.raises(OntogenyError, match="begins its documents with BOS, the sentences do not"):
            ngram_pairs.WalkedPairs(model.index, plan.make(PAIRS, tokenizer, first, 100))


def test_any_model_of_tokens_after_histories_fills_the_table(model, tokenizer):
    """Held against Kneser-Ney itself, asked token by token instead of all at once."""
    asked = plan.make(PAIRS, tokenizer, BOS, 100)

    def logp(history, token):
        tokens = np.array([[-1] * ORDER + list(history)])[:, -(ORDER - 1) :]
        return math.log(model.distribution(tokens, ORDER)[0, token])

    found, expected = (
        ngram_pairs.score_with(logp, asked),
        ngram_pairs.score(model, ORDER, ngram_pairs.WalkedPairs(model.index, asked)),
    )
    assert found.columns == expected.columns
    for name in ("logp_good", "logp_bad", "critical_good", "critical_bad"):
        assert found[name].to_list() == pytest.approx(expected[name].to_list())

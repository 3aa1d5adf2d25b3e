"""Explanations: logarithms and counts on paper, and contributions that add up to the margin whatever the sentences."""

import math

import polars as pl
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.evidence.concordance import START, Concordance
from ontogeny.evidence.why import DECIDING, PATTERNS, SENTENCES, Known, explain, pairs_of
from ontogeny.ngrams import KneserNey, build
from ontogeny.ngrams.kneser_ney import Discounts
from ontogeny.records import OntogenyError, Pair
from ontogeny.report import why_terminal
from ontogeny.report.why_page import render
from ontogeny.scoring import ngram_pairs, plan
from ontogeny.tokens import token_store

BOS, ORDER = 2, 3
TEXT = ("the dog runs", "the dog runs", "the dogs run", "a dog runs", "dogs run")
AGREEMENT = tiny.pairs(("the dog runs", "the dog run"), ("the dogs run", "the dogs runs"), ("a dog runs", "a dog run"))
WORDS = ["the", "a", "dog", "dogs", "runs", "run", "zebra"]

# On paper, with half of each count taken off.  Vocabulary: 6 words and 4 special tokens.  Distinct tokens before: the 1, a 1,
# dog 2, dogs 2, runs 1, run 1, the end 2, of 10 in all, 7 of them with a count: gamma = 3.5 / 10, a tenth of it to each token.
P_RUN = P_RUNS = 0.5 / 10 + 0.35 / 10
DOG_RUNS, DOG_RUN = 2.5 / 3 + 0.5 / 3 * P_RUNS, 0.5 / 3 * P_RUN  # dog is followed three times, by one word
DOGS_RUN, DOGS_RUNS = 1.5 / 2 + 0.5 / 2 * P_RUN, 0.5 / 2 * P_RUNS
SINGULAR, PLURAL = math.log(DOG_RUNS / DOG_RUN), math.log(DOGS_RUN / DOGS_RUNS)


@pytest.fixture(scope="module")
def concordance(tmp_path_factory):
    folder, tokenizer = tmp_path_factory.mktemp("why"), tiny.words(*TEXT)
    text = token_store.write(folder, "train", tiny.documents(*TEXT), tokenizer, bos=True, key="text")
    return Concordance(build(folder / "index", text.ids, len(tokenizer), BOS, order=ORDER), text, tokenizer)


@pytest.fixture(scope="module")
def model(concordance):
    return KneserNey(concordance.index, discounts=[Discounts(0.5, 0.5, 0.5)] * ORDER)


def explained(model, concordance, *sentences, order=2, most=10**6, lines=5):
    return explain("toy", tiny.pairs(*sentences), model, order, concordance, level="word", most=most, lines=lines)


def met(explanation):
    return explanation.deciding.select("kind", "good", "bad").rows()


# --- on paper -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def agreement(model, concordance):
    return explain("toy", AGREEMENT, model, 2, concordance, level="word")


def test_what_decides_on_paper(agreement):
    assert dict(agreement.deciding.schema) == DECIDING
    first, second = agreement.deciding.to_dicts()
    assert first == {
        "rank": 1,
        "kind": "contrast",
        "good": "dog runs",
        "bad": "dog run",
        "logp_good": pytest.approx(math.log(DOG_RUNS)),
        "logp_bad": pytest.approx(math.log(DOG_RUN)),
        "difference": pytest.approx(SINGULAR),
        "count_good": 3,
        "count_bad": 0,
        "before_good": 3,
        "before_bad": 3,
        "pairs": 2,
        "contribution": pytest.approx(2 / 3 * SINGULAR),
    }
    assert (second["good"], second["bad"], second["pairs"], second["contribution"]) == (
        "dogs run",
        "dogs runs",
        1,
        pytest.approx(PLURAL / 3),
    )
    assert (second["count_good"], second["count_bad"], second["before_good"], second["before_bad"]) == (2, 0, 2, 2)


def test_the_paradigm_on_paper(agreement):
    assert (agreement.suite, agreement.paradigm, agreement.level, agreement.order, agreement.pairs) == ("toy", "toy", "word", 2, 3)
    assert agreement.mean_margin == pytest.approx((2 * SINGULAR + PLURAL) / 3)
    assert agreement.ngram_accuracy == 1
    assert (agreement.verdict, agreement.network_accuracy, agreement.network_early, agreement.human) == (None,) * 4
    assert agreement.example in (AGREEMENT[0], AGREEMENT[2])  # the median pair


def test_patterns_leave_open_what_both_have(agreement):
    assert dict(agreement.patterns.schema) == PATTERNS
    assert agreement.patterns.rows() == [
        ("… runs", "… run", 2, 1, pytest.approx(2 / 3 * SINGULAR)),
        ("… run", "… runs", 1, 1, pytest.approx(PLURAL / 3)),
    ]


def test_patterns_sum_over_what_varies(model, concordance):
    """after dog and after a, dogs in place of the dog: one pattern, met in three transitions of two pairs."""
    found = explained(model, concordance, ("the dog runs", "the dog run"), ("a dog runs a runs", "a dog run a run"))
    assert met(found)[0] == ("contrast", "dog runs", "dog run")
    row = found.patterns.row(by_predicate=(pl.col("good") == "… runs") & (pl.col("bad") == "… run"), named=True)
    assert (row["pairs"], row["meetings"]) == (2, 2)


def test_a_pair_counts_once_however_often_it_has_a_transition(model, concordance):
    found = explained(model, concordance, ("dog the dog", "dogs the dogs"), order=1)
    assert found.deciding.select("good", "bad", "pairs").rows() == [("dog", "dogs", 1)]
    assert found.deciding["contribution"][0] == pytest.approx(2 * found.deciding["difference"][0])
    found = explained(model, concordance, ("dog runs the dog runs", "dog run the dog run"), order=2)
    assert found.deciding.filter(good="dog runs")["pairs"].to_list() == [1]
    assert found.patterns.filter(good="… runs")["pairs"].to_list() == [1]


def test_example_sentences_token_by_token(agreement, model, concordance):
    assert dict(agreement.sentences.schema) == SENTENCES
    assert set(agreement.sentences["pair"]) == {"0", "1", "2"}
    own = agreement.sentences.filter(pair="0", side="good")
    assert own.select("position", "token").rows() == [(1, "the"), (2, "dog"), (3, "runs")]
    assert own["logp"][2] == pytest.approx(math.log(DOG_RUNS))
    assert own["margin"].unique().to_list() == [pytest.approx(SINGULAR)]
    assert agreement.sentences["pair"][0] == "1"  # the worst first


def test_the_lines_behind_it(agreement):
    rows = agreement.lines.filter(rank=1, side="good")
    assert rows.filter("exact").select("left", "key", "source", "line").rows() == [
        ("the", "dog runs", "test", 1),
        ("the", "dog runs", "test", 2),
        ("a", "dog runs", "test", 4),
    ]
    assert len(rows) == 5
    never = agreement.lines.filter(rank=1, side="bad")
    assert never["what"].unique(maintain_order=True).to_list() == ["dog", "run"]
    assert not never["exact"].any()
    assert agreement.lines.group_by("rank", "side").len()["len"].max() <= 5


def test_trigrams_on_paper(model, concordance):
    """the dog is followed twice, by runs alone: p(runs | the dog) = 1.5 / 2 + .5 / 2 p(runs | dog), of distinct tokens before."""
    found = explained(model, concordance, ("the dog runs", "the dog run"), order=3)
    assert met(found) == [("contrast", "the dog runs", "the dog run")]
    runs_after_dog = (2 - 0.5) / 2 + 0.5 / 2 * P_RUNS  # after dog, runs follows two different words before dog
    assert found.deciding["logp_good"][0] == pytest.approx(math.log(1.5 / 2 + 0.5 / 2 * runs_after_dog))
    assert found.deciding.select("count_good", "before_good").row(0) == (2, 2)
    assert found.patterns["good"].to_list() == ["… … runs"]


# --- which transitions meet ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("good", "bad", "order", "expected"),
    [
        ("the dog runs", "the dogs runs", 1, {("contrast", "dog", "dogs")}),  # replaced
        ("the dog runs", "the dogs runs", 2, {("contrast", "the dog", "the dogs"), ("contrast", "dog runs", "dogs runs")}),
        ("the zebra dog", "the dog", 1, {("good only", "zebra", None)}),  # inserted
        ("the zebra dog", "the dog", 2, {("good only", "the zebra", None), ("contrast", "zebra dog", "the dog")}),
        ("the dog", "the a dog", 2, {("bad only", None, "the a"), ("contrast", "the dog", "a dog")}),
        ("dog", "dog runs", 2, {("bad only", None, "dog runs")}),  # one is the beginning of the other
        ("runs the dog", "the dog runs", 1, set()),  # moved: it stands alone on either side, and cancels
        (
            "runs the dog",
            "the dog runs",
            2,
            {("good only", f"{START} runs", None), ("contrast", "runs the", f"{START} the"), ("bad only", None, "dog runs")},
        ),
        ("a dog", "the dog", 3, {("contrast", f"{START} a", f"{START} the"), ("contrast", f"{START} a dog", f"{START} the dog")}),
    ],
)
def test_replaced_inserted_and_moved_words(model, concordance, good, bad, order, expected):
    expected = {tuple(side and side.replace("zebra", "<unk>") for side in row) for row in expected}
    found = explained(model, concordance, (good, bad), order=order)
    assert set(met(found)) == expected
    assert len(found.deciding) == len(expected)


def test_one_side_alone_has_no_figures_for_the_other(model, concordance):
    row = explained(model, concordance, ("the zebra dog", "the dog")).deciding.filter(kind="good only").to_dicts()[0]
    assert (row["bad"], row["logp_bad"], row["count_bad"], row["before_bad"]) == (None,) * 4
    assert row["difference"] == row["contribution"] == row["logp_good"] < 0


def test_nothing_decides_where_only_the_order_differs(model, concordance):
    """An explanation with no transition can still be shown."""
    found = explained(model, concordance, ("runs the dog", "the dog runs"), order=1)
    assert (found.mean_margin, found.ngram_accuracy) == (0, 0.5)
    assert found.deciding.is_empty()
    assert dict(found.deciding.schema) == DECIDING
    assert "toy" in render(found)
    assert why_terminal(found) is not None


# --- whatever the sentences ---------------------------------------------------------------------------------------

sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(sentences, sentences), min_size=1, max_size=4), st.integers(1, ORDER))
def test_contributions_add_up_to_the_mean_margin(model, concordance, pairs, order):
    found = explained(model, concordance, *pairs, order=order, lines=1)
    todo = ngram_pairs.WalkedPairs(model.index, plan.make(tiny.pairs(*pairs), concordance.tokenizer, BOS, 100))
    margins = ngram_pairs.margins(model, todo, [order])["margin"]
    assert found.mean_margin == pytest.approx(margins.mean(), abs=1e-12)
    assert found.ngram_accuracy == pytest.approx(((margins.sign() + 1) / 2).mean())
    assert found.deciding["contribution"].sum() == pytest.approx(found.mean_margin, abs=1e-9)
    assert found.patterns["contribution"].sum() == pytest.approx(found.mean_margin, abs=1e-9)
    assert found.deciding["contribution"].abs().is_sorted(descending=True)
    assert found.deciding["rank"].to_list() == list(range(1, len(found.deciding) + 1))
    assert found.deciding["pairs"].max() is None or found.deciding["pairs"].max() <= len(pairs)
    assert found.patterns["pairs"].max() is None or found.patterns["pairs"].max() <= len(pairs)
    assert not found.deciding.filter(pl.col("good") == pl.col("bad")).height


@settings(max_examples=30, deadline=None)
@given(sentences, sentences, st.integers(1, ORDER))
def test_exchanging_good_and_bad_turns_the_sum(model, concordance, good, bad, order):
    forth, back = (explained(model, concordance, pair, order=order, lines=1) for pair in ((good, bad), (bad, good)))
    assert forth.deciding["contribution"].sum() == pytest.approx(-back.deciding["contribution"].sum(), abs=1e-9)


def test_only_as_much_as_wanted_the_heaviest_first(model, concordance):
    pairs = [("the dog runs", "zebra the a"), ("dogs run the dog", "run a dogs")]
    whole, part = (explained(model, concordance, *pairs, most=most, lines=2) for most in (10**6, 3))
    assert part.deciding.equals(whole.deciding.head(3))
    assert len(part.patterns) == 3
    assert part.mean_margin == whole.mean_margin
    assert set(part.lines["rank"]) <= {1, 2, 3}
    assert part.lines.group_by("rank", "side").len()["len"].max() <= 2


# --- asking for it ------------------------------------------------------------------------------------------------


def test_what_is_known_elsewhere_is_handed_on(model, concordance):
    known = Known("entrenched", 0.2, 0.3, 0.9)
    found = explain("toy", AGREEMENT, model, 2, concordance, known=known)
    assert (found.verdict, found.network_accuracy, found.network_early, found.human) == ("entrenched", 0.2, 0.3, 0.9)


def test_an_order_that_was_not_counted_is_refused(model, concordance):
    with pytest.raises(OntogenyError, match="n-grams were counted up to n = 3; a model of order 4 needs n = 4"):
        explained(model, concordance, ("the dog", "the dogs"), order=4)


def test_pairs_are_found_by_paradigm_and_id():
    pairs = [*tiny.pairs(("a", "b"), ("c", "d")), Pair("other", "x1", "e", "f")]
    assert pairs_of(pairs, "toy") == pairs[:2]
    assert pairs_of(pairs, "toy", "1") == pairs[1:2]
    with pytest.raises(OntogenyError, match="no paradigm is called 'othr' here; did you mean 'other'"):
        pairs_of(pairs, "othr")
    with pytest.raises(OntogenyError, match="other has no pair 'x2'; did you mean 'x1'"):
        pairs_of(pairs, "other", "x2")
    many = tiny.pairs(*[("a", "b")] * 20)
    with pytest.raises(OntogenyError, match="toy has no pair '20'; ids run from 0 to 19"):
        pairs_of(many, "toy", "20")

"""Agreement of two runs: known answers on paper, and definitions written out a second way."""

from itertools import permutations
from math import comb, sqrt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from ontogeny.comparison.agreement import Resampled, kappa, overlap, pairwise, same, seeds_agree, spearman, spread

VERDICTS = st.sampled_from(["learned", "entrenched", "undecided"])
TWO = st.lists(st.tuples(VERDICTS, VERDICTS), min_size=2, max_size=12).map(lambda rows: list(zip(*rows, strict=True)))
SETS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12).map(lambda rows: list(zip(*rows, strict=True)))


def test_kappa_on_paper():
    """Of 10: agreement .7; chance .5 x .6 + .5 x .4 = .5; kappa (.7 - .5) / .5 = .4."""
    first = ["learned"] * 5 + ["entrenched"] * 5
    second = ["learned"] * 4 + ["entrenched"] + ["learned"] * 2 + ["entrenched"] * 3
    assert same(first, second) == pytest.approx(0.7)
    assert kappa(first, second) == pytest.approx(0.4)


def test_kappa_is_not_known_where_chance_is_sure():
    assert kappa(["learned"] * 3, ["learned"] * 3) is None
    assert kappa(["learned"] * 3, ["undecided"] * 3) == 0


@given(TWO)
@settings(max_examples=60, deadline=None)
def test_kappa_is_scikit_learns(two):
    found = kappa(*two)
    if found is not None:
        assert found == pytest.approx(cohen_kappa_score(*two))
        assert found == pytest.approx(kappa(two[1], two[0])) and found <= 1


def test_overlap_on_paper():
    """Of 5 paradigms, 2 and 2 end wrong and both are the same: chance .8; p = 1 / C(5, 2) = .1."""
    wrong = [True, True, False, False, False]
    assert overlap(wrong, wrong) == {
        "size_first": 2, "size_second": 2, "both": 2, "jaccard": 1.0, "expected": pytest.approx(0.8), "p": pytest.approx(0.1),
    }  # fmt: skip
    none = overlap([False] * 5, wrong)
    assert none["p"] == 1 and none["jaccard"] == 0 and overlap([False] * 5, [False] * 5)["jaccard"] is None


@given(SETS)
@settings(max_examples=60, deadline=None)
def test_overlap_counts_the_ways(sets):
    """The p-value is the share of all sets of that size that meet the other as much or more."""
    first, second = map(np.array, sets)
    found, n, a, b = overlap(first, second), len(first), int(first.sum()), int(second.sum())
    ways = sum(comb(a, k) * comb(n - a, b - k) for k in range(found["both"], min(a, b) + 1) if b - k <= n - a)
    assert found["p"] == pytest.approx(ways / comb(n, b))
    assert found["expected"] == pytest.approx(a * b / n)


def test_chance_is_the_mean_over_all_orders():
    """Jaccard's expected meeting, by trying every order of one set."""
    first, second = [True, True, False, False], [True, False, True, True]
    tried = [overlap(first, order)["both"] for order in permutations(second)]
    assert overlap(first, second)["expected"] == pytest.approx(np.mean(tried))


def test_seeds_of_one_run_and_of_two():
    """Seeds a, b, c of two paradigms: pairs agree in 1, 0, 0 of the first and 1, 1, 1 of the second: (2 + 1 + 1) / 6."""
    own = [["learned", "learned", "undecided"], ["learned"] * 3]
    assert seeds_agree(own) == pytest.approx(4 / 6)
    assert seeds_agree(own, [["learned"], ["undecided"]]) == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert seeds_agree([["learned"], ["learned"]]) is None  # one seed has nobody to agree with
    assert seeds_agree([["learned"], ["learned", "learned"]], [["learned"], ["learned"]]) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12))
@settings(max_examples=60, deadline=None)
def test_rho_is_scipys(values):
    first, second = np.array(values, dtype=float).T
    found = spearman(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(first, second).statistic)


def test_an_interval_over_paradigms_is_about_two_standard_errors():
    """400 accuracies of standard deviation .1: the mean's error is .005."""
    accuracy = np.random.default_rng(0).normal(0.6, 0.1, (1, 400))
    low, high = Resampled({"a": accuracy}).mean("a")
    assert high - low == pytest.approx(2 * 1.96 * accuracy.std() / sqrt(400), rel=0.1)
    assert low < accuracy.mean() < high


def test_runs_meet_the_same_paradigms():
    """b is a, .1 better everywhere: their difference has no width, however far paradigms lie apart."""
    accuracy = np.linspace(0.2, 0.8, 20)[None, :]
    drawn = Resampled({"a": accuracy, "b": accuracy + 0.1})
    assert drawn.difference("b", "a") == (pytest.approx(0.1), pytest.approx(0.1))
    assert drawn.rho("a", "b") == (pytest.approx(1), pytest.approx(1))


def test_a_difference_of_accuracies_ends_at_one():
    two = np.array([[0.0, 0.9]])
    assert Resampled({"a": two, "b": 1 - two}).difference("a", "b") == (-1.0, 1.0)  # two paradigms, 12.7 standard errors


def test_seeds_widen_the_interval():
    """By Student's t of the seeds: 3.18 standard errors of four, and two tell next to nothing."""
    four = np.full((4, 10), 0.6) + np.array([[-0.01], [0.01], [-0.01], [0.01]])
    low, high = Resampled({"a": four}).mean("a")
    assert high - low == pytest.approx(2 * 3.182 * four[:, 0].std(ddof=1) / 2, rel=0.01)
    low, high = Resampled({"a": np.array([[0.5] * 10, [0.7] * 10])}).mean("a")
    assert low < 0.1 and high > 0.95
    low, high = Resampled({"a": four, "b": four - 0.2}).difference("a", "b")
    assert (low + high) / 2 == pytest.approx(0.2) and high - low == pytest.approx(2**0.5 * 3.182 * four[:, 0].std(ddof=1), rel=0.01)


def test_every_pair_has_a_row():
    verdicts = {"a": ["learned", "entrenched", "entrenched"], "b": ["learned"] * 3, "c": ["entrenched"] * 3}
    accuracy = {name: np.array([[0.9, 0.2, 0.3]]) for name in verdicts}
    wrong = {name: [verdict == "entrenched" for verdict in own] for name, own in verdicts.items()}
    seeds = {name: [[verdict] for verdict in own] for name, own in verdicts.items()}
    table = pairwise(verdicts, seeds, accuracy, wrong, Resampled(accuracy, 50))
    assert table.select("first", "second").rows() == [("a", "b"), ("a", "c"), ("b", "c")]
    assert table["agreement"].to_list() == [pytest.approx(1 / 3), pytest.approx(2 / 3), 0]
    assert table["both"].to_list() == [0, 2, 0] and table["difference"].to_list() == [0, 0, 0]
    assert (table["p_adjusted"] >= table["p"]).all() and table["seeds_agree"].to_list() == table["agreement"].to_list()


def test_spread_is_of_runs_with_several_seeds():
    accuracy = {"one": np.array([[0.5, 0.7]]), "two": np.array([[0.5, 0.7], [0.7, 0.9]])}
    seeds = {"one": [["learned"], ["learned"]], "two": [["learned", "undecided"], ["learned", "learned"]]}
    (row,) = spread(seeds, accuracy).to_dicts()
    assert row == {"run": "two", "seeds": 2, "agreement": 0.5, "rho": pytest.approx(1), "sd": pytest.approx(0.2 / sqrt(2))}
    assert isinstance(spread({}, {}), pl.DataFrame)
